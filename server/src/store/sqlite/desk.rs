//! Attempts, tallies and console sessions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::writer::Write;
use super::{SqliteStore, row, sql};
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::priority::Priority;
use crate::domain::time::Timestamp;
use crate::store::{
    AccountQueue, ConsoleSession, Desk, PLACES_LIMIT, QUEUES_LIMIT, QueuePlace, SESSIONS_KEPT,
    StoreResult, TALLIES_LIMIT, Tally, line,
};

#[async_trait]
impl Desk for SqliteStore {
    async fn job_attempts(&self, keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| attempts(db, &keys)).await
    }

    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        self.readers.read(|db| queues(db)).await
    }

    async fn queue_places(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> StoreResult<Vec<(Key, QueuePlace)>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| places(db, &keys, now)).await
    }

    async fn tallies(
        &self,
        account: Option<AccountId>,
        since: Timestamp,
    ) -> StoreResult<Vec<Tally>> {
        self.readers.read(move |db| tallies(db, account, since)).await
    }

    async fn session_open(&self, session: ConsoleSession) -> StoreResult<()> {
        self.writer.call(move |write| open(write, &session)).await
    }

    async fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        let hash = *hash;
        self.readers
            .read(move |db| {
                let mut statement = db.prepare_cached(sql::CONSOLE_FIND)?;
                let mut rows = statement.query_and_then(params![hash, now.0], row::session)?;
                rows.next().transpose()
            })
            .await
    }

    async fn session_close(&self, hash: &[u8; 32]) -> StoreResult<bool> {
        let hash = *hash;
        let closed = self.writer.call(move |write| {
            Ok(write.db.prepare_cached(sql::CONSOLE_CLOSE)?.execute([hash])? > 0)
        });
        closed.await
    }
}

fn attempts(db: &Connection, keys: &[Key]) -> Result<Vec<(Key, Vec<Attempt>)>, Failure> {
    let mut statement = db.prepare_cached(sql::ATTEMPTS)?;
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for key in keys.iter().filter(|key| seen.insert(**key)) {
        let rows = statement.query_and_then([key.0], row::attempt)?;
        let found: Vec<Attempt> = rows.collect::<Result<_, _>>()?;
        if !found.is_empty() {
            out.push((*key, found));
        }
    }
    Ok(out)
}

fn queues(db: &Connection) -> Result<Vec<AccountQueue>, Failure> {
    let mut statement = db.prepare_cached(sql::QUEUES)?;
    statement.query_and_then([row::count(QUEUES_LIMIT)], row::queue)?.collect()
}

fn places(
    db: &Connection,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<(Key, QueuePlace)>, Failure> {
    let mut statement = db.prepare_cached(sql::PENDING_JOB)?;
    let mut out = Vec::new();
    for key in keys {
        let found = statement.query_row([key.0], |row| {
            Ok((AccountId(row.get(0)?), Timestamp(row.get(1)?), row.get::<_, i64>(2)?))
        });
        if let Some((account, due, priority)) = found.optional()? {
            let priority = row::priority(priority)?;
            out.push((*key, place(db, account, priority, (due, *key), now)?));
        }
    }
    Ok(out)
}

/// Counts lane by lane, and no further than the limit.
fn place(
    db: &Connection,
    account: AccountId,
    priority: Priority,
    stands: (Timestamp, Key),
    now: Timestamp,
) -> Result<QueuePlace, Failure> {
    let mut statement = db.prepare_cached(sql::AHEAD)?;
    let most = row::count(PLACES_LIMIT) + 1;
    let mut ahead = 0;
    for of in Priority::ALL {
        let (due, key) = line::before(stands, priority, of, now);
        let values = params![account.0, of as i64, due.0, key.0, most - ahead];
        ahead += statement.query_row(values, |row| row.get::<_, i64>(0))?;
    }
    let ahead = u64::try_from(ahead).unwrap_or(0);
    Ok(QueuePlace { ahead: ahead.min(PLACES_LIMIT), is_exact: ahead <= PLACES_LIMIT })
}

fn tallies(
    db: &Connection,
    account: Option<AccountId>,
    since: Timestamp,
) -> Result<Vec<Tally>, Failure> {
    let mut newest_first: Vec<Tally> = match account {
        None => {
            let mut statement = db.prepare_cached(sql::TALLIES)?;
            let values = [since.0, row::count(TALLIES_LIMIT)];
            statement.query_and_then(values, row::tally)?.collect::<Result<_, _>>()?
        }
        Some(account) => tallies_of(db, account, since)?,
    };
    newest_first.reverse();
    Ok(newest_first)
}

fn tallies_of(
    db: &Connection,
    account: AccountId,
    since: Timestamp,
) -> Result<Vec<Tally>, Failure> {
    let mut minutes = db.prepare_cached(sql::TALLY_MINUTE)?;
    let mut statement = db.prepare_cached(sql::TALLIES_OF)?;
    let mut out = Vec::new();
    let mut before = i64::MAX;
    while let Some(found) = minutes.query([since.0, before])?.next()? {
        before = found.get(0)?;
        for tally in statement.query_and_then([before, account.0], row::tally)? {
            if out.len() == TALLIES_LIMIT {
                return Ok(out);
            }
            out.push(tally?);
        }
    }
    Ok(out)
}

fn open(write: &mut Write<'_>, session: &ConsoleSession) -> Result<(), Failure> {
    let ConsoleSession { hash, access_key_id, created, expires } = session;
    let values = params![hash, access_key_id, created.0, expires.0];
    write.db.prepare_cached(sql::CONSOLE_OPEN)?.execute(values)?;
    let kept = row::count(SESSIONS_KEPT);
    write.db.prepare_cached(sql::CONSOLE_TRIM)?.execute(params![access_key_id, kept])?;
    Ok(())
}
