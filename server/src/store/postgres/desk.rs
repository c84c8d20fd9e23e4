//! Attempts, tallies and console sessions.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use deadpool_postgres::Client;
use futures_util::FutureExt;

use super::failure::Failure;
use super::link::{Write, execute, first_row, rows};
use super::{PostgresStore, queries, row, sql};
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::priority::Priority;
use crate::domain::time::Timestamp;
use crate::store::{
    AccountQueue, ConsoleSession, Desk, NODES_LIMIT, NodeRecord, PLACES_LIMIT, QUEUES_LIMIT,
    QueuePlace, SESSIONS_KEPT, StoreResult, TALLIES_LIMIT, Tally, line,
};

#[async_trait]
impl Desk for PostgresStore {
    async fn job_attempts(&self, keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        let keys = queries::distinct(keys);
        self.link.read(keys, |db, keys| attempts(db, keys).boxed()).await
    }

    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        self.link.read((), |db, ()| queues(db).boxed()).await
    }

    async fn queue_places(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> StoreResult<Vec<(Key, QueuePlace)>> {
        self.link.read((keys.to_vec(), now), |db, (keys, now)| places(db, keys, *now).boxed()).await
    }

    async fn tallies(
        &self,
        account: Option<AccountId>,
        since: Timestamp,
    ) -> StoreResult<Vec<Tally>> {
        let asked = (account, since);
        self.link.read(asked, |db, (account, since)| tallies(db, *account, *since).boxed()).await
    }

    async fn session_open(&self, session: ConsoleSession) -> StoreResult<()> {
        self.link.write(session, |write, session| open(write, session).boxed()).await
    }

    async fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        self.link.read((*hash, now), |db, (hash, now)| find(db, hash, *now).boxed()).await
    }

    async fn session_close(&self, hash: &[u8; 32]) -> StoreResult<bool> {
        self.link.write(*hash, |write, hash| close(write, hash).boxed()).await
    }

    async fn node_beat(&self, node: &NodeRecord) -> StoreResult<()> {
        self.link.write(node.clone(), |write, node| node_beat(write, node).boxed()).await
    }

    async fn node_leave(&self, id: &str) -> StoreResult<()> {
        self.link.write(id.to_owned(), |write, id| node_leave(write, id).boxed()).await
    }

    async fn nodes(&self, since: Timestamp) -> StoreResult<Vec<NodeRecord>> {
        self.link.read(since, |db, since| nodes(db, *since).boxed()).await
    }
}

async fn attempts(db: &Client, keys: &[Key]) -> Result<Vec<(Key, Vec<Attempt>)>, Failure> {
    let mut known: BTreeMap<Key, Vec<Attempt>> = BTreeMap::new();
    for found in &rows(db, sql::ATTEMPTS, &[&queries::numbers(keys)]).await? {
        let (key, attempt) = row::attempt(found)?;
        known.entry(key).or_default().push(attempt);
    }
    Ok(keys.iter().filter_map(|key| known.remove(key).map(|told| (*key, told))).collect())
}

async fn queues(db: &Client) -> Result<Vec<AccountQueue>, Failure> {
    let found = rows(db, sql::QUEUES, &[&row::count(QUEUES_LIMIT)]).await?;
    found.iter().map(row::queue).collect()
}

/// Counts all lanes of all jobs at once, none further than the limit.
async fn places(
    db: &Client,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<(Key, QueuePlace)>, Failure> {
    let mut pending: HashMap<Key, (AccountId, Timestamp, Priority)> = HashMap::new();
    for found in &rows(db, sql::PENDING_JOBS, &[&queries::numbers(keys)]).await? {
        let stands = (
            AccountId(row::get(found, 1)?),
            Timestamp(row::get(found, 2)?),
            row::priority(row::get(found, 3)?)?,
        );
        pending.insert(Key(row::get(found, 0)?), stands);
    }
    let mut jobs: Vec<Key> = Vec::new();
    let (mut accounts, mut lanes): (Vec<i64>, Vec<i16>) = (Vec::new(), Vec::new());
    let (mut dues, mut befores): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for key in keys {
        let Some((account, due, priority)) = pending.get(key) else { continue };
        for of in Priority::ALL {
            let (due, before) = line::before((*due, *key), *priority, of, now);
            accounts.push(account.0);
            lanes.push(row::short(of as i64));
            dues.push(due.0);
            befores.push(before.0);
        }
        jobs.push(*key);
    }
    let most = row::count(PLACES_LIMIT) + 1;
    let mut ahead: Vec<u64> = vec![0; jobs.len()];
    for found in &rows(db, sql::AHEAD, &[&accounts, &lanes, &dues, &befores, &most]).await? {
        let (lane, counted): (i64, i64) = (row::get(found, 0)?, row::get(found, 1)?);
        let job = usize::try_from(lane - 1).ok().map(|lane| lane / Priority::ALL.len());
        let of = job.and_then(|job| ahead.get_mut(job));
        *of.ok_or_else(|| row::corrupt("a place of no job"))? += counted.unsigned_abs();
    }
    let place =
        |ahead: u64| QueuePlace { ahead: ahead.min(PLACES_LIMIT), is_exact: ahead <= PLACES_LIMIT };
    Ok(jobs.into_iter().zip(ahead.into_iter().map(place)).collect())
}

async fn tallies(
    db: &Client,
    account: Option<AccountId>,
    since: Timestamp,
) -> Result<Vec<Tally>, Failure> {
    let limit = row::count(TALLIES_LIMIT);
    let newest_first = match account {
        None => rows(db, sql::TALLIES, &[&since.0, &limit]).await?,
        Some(account) => rows(db, sql::TALLIES_OF, &[&since.0, &limit, &account.0]).await?,
    };
    newest_first.iter().rev().map(row::tally).collect()
}

async fn open(write: &Write<'_>, session: &ConsoleSession) -> Result<(), Failure> {
    let ConsoleSession { hash, access_key_id, created, expires } = session;
    let (hash, key) = (&hash[..], row::text(access_key_id));
    execute(&write.db, sql::CONSOLE_OPEN, &[&hash, &key, &created.0, &expires.0]).await?;
    execute(&write.db, sql::CONSOLE_TRIM, &[&key, &row::count(SESSIONS_KEPT)]).await?;
    Ok(())
}

async fn find(
    db: &Client,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<ConsoleSession>, Failure> {
    let found = first_row(db, sql::CONSOLE_FIND, &[&&hash[..]]).await?;
    let found = found.as_ref().map(row::session).transpose()?;
    Ok(found.filter(|session| session.expires > now))
}

async fn close(write: &Write<'_>, hash: &[u8; 32]) -> Result<bool, Failure> {
    Ok(execute(&write.db, sql::CONSOLE_CLOSE, &[&&hash[..]]).await? > 0)
}

async fn node_beat(write: &Write<'_>, node: &NodeRecord) -> Result<(), Failure> {
    let NodeRecord { id, address, roles, version, started, seen, draining, transfers } = node;
    let transfers = row::count(*transfers);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
        [id, address, roles, version, &started.0, &seen.0, draining, &transfers];
    execute(&write.db, sql::NODE_BEAT, &values).await?;
    Ok(())
}

async fn node_leave(write: &Write<'_>, id: &str) -> Result<(), Failure> {
    execute(&write.db, sql::NODE_LEAVE, &[&id]).await?;
    Ok(())
}

async fn nodes(db: &Client, since: Timestamp) -> Result<Vec<NodeRecord>, Failure> {
    let found = rows(db, sql::NODES, &[&since.0, &row::count(NODES_LIMIT)]).await?;
    found.iter().map(row::node).collect()
}
