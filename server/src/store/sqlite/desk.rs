//! Attempts, tallies and console sessions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::failure::Failure;
use super::writer::Write;
use super::{SqliteStore, row, sql};
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::time::Timestamp;
use crate::store::{
    AccountQueue, ConsoleSession, Desk, QUEUES_LIMIT, SESSIONS_KEPT, StoreResult, TALLIES_LIMIT,
    Tally,
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
