//! What only reads. Each runs in a read transaction of its own.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{Media, MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::store::{INFOS_LIMIT, MediaLookup, MediaRef, Stats};

pub(super) fn infos_by_id(
    db: &Connection,
    account: AccountId,
    keys: &[Key],
    since: Timestamp,
) -> Result<Vec<Job>, Failure> {
    let mut statement = db.prepare_cached(sql::INFO_BY_ID)?;
    let mut seen = BTreeSet::new();
    let mut jobs = Vec::with_capacity(keys.len());
    for key in keys.iter().filter(|key| seen.insert(**key)) {
        let mut rows = statement.query_and_then([key.0, account.0, since.0], row::job)?;
        jobs.extend(rows.next().transpose()?);
    }
    Ok(jobs)
}

pub(super) fn infos_by_url(
    db: &Connection,
    account: AccountId,
    urls: &[SourceUrl],
    since: Timestamp,
) -> Result<Vec<Vec<Job>>, Failure> {
    let mut statement = db.prepare_cached(sql::INFOS_BY_URL)?;
    let mut room = INFOS_LIMIT;
    let mut out = Vec::with_capacity(urls.len());
    for url in urls {
        let first = Key::first_at(since).0;
        let values =
            params![account.0, url.hash64(), first, url.expose(), since.0, row::count(room)];
        let jobs: Vec<Job> =
            statement.query_and_then(values, row::job)?.collect::<Result<_, _>>()?;
        room -= jobs.len();
        out.push(jobs);
    }
    Ok(out)
}

pub(super) fn states(
    db: &Connection,
    keys: &[Key],
) -> Result<Vec<(Key, StateKind, Option<Token>)>, Failure> {
    let mut statement = db.prepare_cached(sql::STATE_AND_TOKEN)?;
    let mut out = Vec::with_capacity(keys.len());
    for key in keys {
        let found: Option<(i64, i64)> =
            statement.query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((state, token)) = found {
            let token = (token > 0).then_some(Token(token));
            out.push((*key, row::state_kind(state)?, token));
        }
    }
    Ok(out)
}

pub(super) fn media(
    db: &Connection,
    account: AccountId,
    wanted: &MediaRef,
) -> Result<MediaLookup, Failure> {
    let key = match wanted {
        MediaRef::Key(key) => Some(*key),
        MediaRef::ReferenceId(id) => {
            let mut statement = db.prepare_cached(sql::REFERENCE_HOLDER)?;
            statement.query_row(params![account.0, id], |row| row.get(0)).optional()?.map(Key)
        }
    };
    let Some(key) = key else { return Ok(MediaLookup::Unknown) };
    let mut statement = db.prepare_cached(sql::MEDIA_FIND)?;
    let mut rows = statement.query([key.0, account.0])?;
    if let Some(row) = rows.next()? {
        let (facts, object) = row::facts_and_object(row, 8)?;
        return Ok(MediaLookup::Stored(Box::new(Media {
            key,
            account,
            created: Timestamp(row.get(0)?),
            title: row.get(1)?,
            description: row.get(2)?,
            tags: row.get(3)?,
            cover_url: row.get(4)?,
            cate_id: row.get(5)?,
            reference_id: row.get(6)?,
            user_data: row.get(7)?,
            facts,
            object,
        })));
    }
    let mut statement = db.prepare_cached(sql::STATE_OF)?;
    let state: Option<i64> =
        statement.query_row([key.0, account.0], |row| row.get(0)).optional()?;
    match state {
        Some(state) => Ok(MediaLookup::NotStored(row::state_kind(state)?)),
        None => Ok(MediaLookup::Unknown),
    }
}

pub(super) fn object(
    db: &Connection,
    key: Key,
) -> Result<Option<(StoredObject, MediaFacts)>, Failure> {
    let mut statement = db.prepare_cached(sql::MEDIA_OBJECT)?;
    let mut rows = statement.query_and_then([key.0], |found| row::facts_and_object(found, 0))?;
    Ok(rows.next().transpose()?.map(|(facts, object)| (object, facts)))
}

pub(super) fn objects(db: &Connection, keys: &[Key]) -> Result<Vec<(Key, StoredObject)>, Failure> {
    let mut out = Vec::with_capacity(keys.len());
    for key in keys {
        out.extend(object(db, *key)?.map(|(object, _)| (*key, object)));
    }
    Ok(out)
}

pub(super) fn stats(db: &Connection) -> Result<Stats, Failure> {
    let totals = db
        .prepare_cached(sql::QUEUE_TOTALS)?
        .query_row([], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    let [pending, running, waiting, awaiting] = totals.map(|n| u64::try_from(n).unwrap_or(0));
    let oldest: Option<i64> =
        db.prepare_cached(sql::OLDEST_READY)?.query_row([], |row| row.get(0))?;
    Ok(Stats { pending, running, waiting, awaiting, oldest_ready: oldest.map(Timestamp) })
}
