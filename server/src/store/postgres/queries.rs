//! What only reads. What one answer must not see at two moments is read by one statement.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Client;
use tokio::time::Instant;

use super::KnownObject;
use super::failure::Failure;
use super::link::{Write, execute, first_row, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::door::clock::Followed;
use crate::store::{INFOS_LIMIT, MediaLookup, MediaRef, RateGrant, Stats};

pub(super) fn numbers(keys: &[Key]) -> Vec<i64> {
    keys.iter().map(|key| key.0).collect()
}

pub(super) async fn infos_by_id(
    db: &Client,
    account: AccountId,
    keys: &[Key],
    since: Timestamp,
) -> Result<Vec<Job>, Failure> {
    let asked = numbers(keys);
    let found = rows(db, sql::INFOS_BY_ID, &[&asked, &account.0, &since.0]).await?;
    in_order(keys, found.iter().map(row::job))
}

/// Jobs in the order of the keys asked for, each once.
pub(super) fn in_order(
    keys: &[Key],
    jobs: impl Iterator<Item = Result<Job, Failure>>,
) -> Result<Vec<Job>, Failure> {
    let mut by_key: BTreeMap<Key, Job> = BTreeMap::new();
    for job in jobs {
        let job = job?;
        by_key.insert(job.key, job);
    }
    Ok(keys.iter().filter_map(|key| by_key.remove(key)).collect())
}

pub(super) async fn infos_by_url(
    db: &Client,
    account: AccountId,
    urls: &[SourceUrl],
    since: Timestamp,
) -> Result<Vec<Vec<Job>>, Failure> {
    let hashes: Vec<i64> = urls.iter().map(SourceUrl::hash64).collect();
    let texts: Vec<_> = urls.iter().map(|url| row::text(url.expose())).collect();
    let first = Key::first_at(since).0;
    let limit = row::count(INFOS_LIMIT);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&account.0, &hashes, &texts, &first, &since.0, &limit];
    let mut out: Vec<Vec<Job>> = urls.iter().map(|_| Vec::new()).collect();
    // In the order of the URLs, newest first.
    for found in rows(db, sql::INFOS_BY_URL, &values).await?.iter().take(INFOS_LIMIT) {
        let place: i64 = row::get(found, sql::JOB_COLUMNS)?;
        let at = usize::try_from(place - 1).ok().and_then(|at| out.get_mut(at));
        at.ok_or_else(|| row::corrupt("a URL that nobody asked for"))?.push(row::job(found)?);
    }
    Ok(out)
}

/// By these objects are removed, so they must not be those of a server that has been replaced and does
/// not know it: it could not commit here, where a synchronous standby is waited for.
pub(super) async fn states(
    write: &Write<'_>,
    keys: &[Key],
) -> Result<Vec<(Key, StateKind, Option<Token>)>, Failure> {
    execute(&write.db, sql::STILL_PRIMARY, &[]).await?;
    let asked = numbers(keys);
    let mut known = BTreeMap::new();
    for found in &rows(&write.db, sql::STATES_AND_TOKENS, &[&asked]).await? {
        let token: i64 = row::get(found, 2)?;
        let token = (token > 0).then_some(Token(token));
        let kind = row::state_kind(row::get(found, 1)?)?;
        known.insert(Key(row::get(found, 0)?), (kind, token));
    }
    let told = |key: &Key| known.get(key).map(|(kind, token)| (*key, *kind, *token));
    Ok(keys.iter().filter_map(told).collect())
}

pub(super) async fn media(
    db: &Client,
    account: AccountId,
    wanted: &MediaRef,
) -> Result<MediaLookup, Failure> {
    let found = match wanted {
        MediaRef::Key(key) => first_row(db, sql::MEDIA_FIND, &[&key.0, &account.0]).await?,
        MediaRef::ReferenceId(id) => {
            let id = row::text(id);
            first_row(db, sql::MEDIA_BY_REFERENCE, &[&id, &account.0]).await?
        }
    };
    let Some(found) = found else { return Ok(MediaLookup::Unknown) };
    match row::media(&found, account)? {
        Some(media) => Ok(MediaLookup::Stored(Box::new(media))),
        None => Ok(MediaLookup::NotStored(row::state_kind(row::get(&found, 1)?)?)),
    }
}

pub(super) async fn objects(
    db: &Client,
    keys: &[Key],
) -> Result<Vec<(Key, StoredObject, MediaFacts)>, Failure> {
    let asked = numbers(keys);
    let mut known = BTreeMap::new();
    for found in &rows(db, sql::MEDIA_OBJECTS, &[&asked]).await? {
        let (facts, object) = row::facts_and_object(found, 1)?;
        known.insert(Key(row::get(found, 0)?), (object, facts));
    }
    let told =
        |key: &Key| known.get(key).map(|(object, facts)| (*key, object.clone(), facts.clone()));
    Ok(keys.iter().filter_map(told).collect())
}

pub(super) async fn stats(db: &Client) -> Result<Stats, Failure> {
    let totals = first_row(db, sql::QUEUE_TOTALS, &[]).await?;
    let oldest = first_row(db, sql::OLDEST_READY, &[]).await?;
    let (Some(totals), Some(oldest)) = (totals, oldest) else {
        return Err(row::corrupt("no totals"));
    };
    let total = |at| Ok::<u64, Failure>(u64::try_from(row::get::<i64>(&totals, at)?).unwrap_or(0));
    Ok(Stats {
        pending: total(0)?,
        running: total(1)?,
        waiting: total(2)?,
        awaiting: total(3)?,
        oldest_ready: row::get::<Option<i64>>(&oldest, 0)?.map(Timestamp),
    })
}

/// Distinct keys, in their order.
pub(super) fn distinct(keys: &[Key]) -> Vec<Key> {
    let mut seen = BTreeSet::new();
    keys.iter().filter(|key| seen.insert(**key)).copied().collect()
}

/// Looks at the database's clock and sets the node's by it.
pub(super) async fn follow(db: &Client, clock: &Followed) -> Result<(), Failure> {
    let asked = Instant::now();
    if let Some(told) = first_row(db, sql::NOW, &[]).await? {
        clock.set(Timestamp(row::get(&told, 0)?), asked, Instant::now());
    }
    Ok(())
}

pub(super) async fn rate_take(
    db: &Client,
    account: AccountId,
    operation: &str,
    limit: u32,
    wanted: u32,
) -> Result<RateGrant, Failure> {
    let (limit, wanted) = (i64::from(limit), i64::from(wanted));
    let taken = first_row(db, sql::RATE_TAKE, &[&account.0, &operation, &limit, &wanted]).await?;
    let taken = taken.ok_or_else(|| row::corrupt("no answer about a rate"))?;
    Ok(RateGrant {
        calls: u32::try_from(row::get::<i64>(&taken, 0)?).unwrap_or(0),
        retry_after_ms: u64::try_from(row::get::<i64>(&taken, 1)?).unwrap_or(0),
    })
}

pub(super) async fn objects_after(
    db: &Client,
    key: Key,
    limit: usize,
) -> Result<Vec<KnownObject>, Failure> {
    let mut out = Vec::new();
    for found in &rows(db, sql::OBJECTS_AFTER, &[&key.0, &row::count(limit)]).await? {
        let size: i64 = row::get(found, 3)?;
        out.push(KnownObject {
            key: Key(row::get(found, 0)?),
            location: row::get(found, 1)?,
            object_key: row::get(found, 2)?,
            size: size.unsigned_abs(),
        });
    }
    Ok(out)
}
