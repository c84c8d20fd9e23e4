//! The store in PostgreSQL: what several nodes share.
//!
//! Any number of nodes work on one database. Rows are claimed with `FOR UPDATE SKIP LOCKED`, every
//! write of a worker names the token of its lease, submissions and nonces that wait go into one
//! transaction together (`batches`), and counters are kept in parts that nobody waits for. What
//! happens when the database fails a verb is in `link`; why this and not something else, in ADR 0020.

mod accounts;
mod batches;
mod cancel;
mod claim;
mod connect;
mod counts;
mod desk;
mod failure;
mod hosts;
mod jobs;
mod lanes;
mod link;
mod listen;
mod migrate;
mod nonces;
mod pages;
mod queries;
mod row;
mod sql;
mod submit;

#[cfg(test)]
pub(super) mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::batches::Batches;
pub use self::connect::Server;
use self::connect::{Duty, Place};
use self::hosts::Driver;
use self::jobs::Judge;
use self::link::Link;
use self::listen::Wake;
use self::nonces::Use;
use super::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, JobPage, MediaLookup, MediaRef,
    Nonce, NonceUse, Outcome, PageRequest, RateGrant, Replaced, Replacement, Retention, Stats,
    Store, StoreResult, Submission, Submitted,
};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::domain::turns::Turns;
use crate::door::Clock;
use crate::door::clock::Followed;

/// Fewest connections: two to write with, one to read.
const LEAST_CONNECTIONS: usize = 3;

/// A stored object that the database names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownObject {
    pub key: Key,
    pub location: String,
    pub object_key: String,
    /// Bytes.
    pub size: u64,
}

/// What a look at a database shows.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub server: Server,
    /// Version of the schema; 0 when there is none yet.
    pub schema: u32,
    /// The newest version that this program knows.
    pub known: u32,
}

/// See the module.
#[derive(Debug)]
pub struct PostgresStore {
    link: Link,
    submits: Batches<Submission, Submitted>,
    nonces: Batches<Use, bool>,
    /// Who was served how often by this node. Its claims come one after the other.
    turns: Arc<tokio::sync::Mutex<Turns>>,
    wake: Wake,
    clock: Arc<Followed>,
    judge: Judge,
    /// Where the database is, for people.
    shown: String,
    server: Mutex<Option<Server>>,
}

impl PostgresStore {
    /// Connects to a database whose schema is this program's, with at most `connections`
    /// connections and one more to listen with. Must be called on the runtime that is to drive
    /// them.
    ///
    /// # Errors
    /// [`StoreError::Unmigrated`](super::StoreError::Unmigrated) and
    /// [`StoreError::Newer`](super::StoreError::Newer) for another schema,
    /// [`StoreError::Engine`](super::StoreError::Engine) when the server cannot be reached or used.
    /// No message repeats the URL.
    pub async fn open(url: &str, connections: usize) -> StoreResult<Self> {
        Self::open_judged(url, connections, Judge::Database).await
    }

    async fn open_judged(url: &str, connections: usize, judge: Judge) -> StoreResult<Self> {
        let place = Place::parse(url)?;
        let connections = connections.max(LEAST_CONNECTIONS);
        let readers = connections / 3;
        let link = Link::new(
            place.hosts().clone(),
            place.pool(connections - readers, Duty::Write)?,
            place.pool(readers, Duty::Read)?,
        );
        let (client, driver) = place.connect("haulage start").await?;
        link.spawn("store start", driver.run());
        let server = connect::inspect(&client).await?;
        for warning in &server.warnings {
            tracing::warn!("{warning}");
        }
        migrate::check(&client).await?;
        drop(client);
        let wake = Wake { stop: CancellationToken::new(), ..Wake::default() };
        let store = Self {
            submits: Batches::new(submit::BATCH, submit::LANES, submit::run),
            nonces: Batches::new(nonces::BATCH, nonces::LANES, nonces::run),
            turns: Arc::default(),
            wake: wake.clone(),
            clock: Arc::new(Followed::default()),
            judge,
            shown: place.shown(),
            server: Mutex::new(Some(server)),
            link,
        };
        follow(&store.link, &store.clock).await?;
        store.link.spawn(
            "store clock",
            keep_following(store.link.clone(), store.clock.clone(), wake.stop.clone()),
        );
        listen::start(&store.link, place, wake);
        Ok(store)
    }

    /// Brings the schema of a database up to date; several callers may do so at once.
    ///
    /// # Errors
    /// As [`Self::open`], but for an older schema.
    pub async fn migrate(url: &str) -> StoreResult<()> {
        let place = Place::parse(url)?;
        let (mut client, driver) = place.connect("haulage migrate").await?;
        with_driver(driver, async move {
            connect::inspect(&client).await?;
            migrate::run(&mut client).await
        })
        .await
    }

    /// Looks at a database without changing it, for the operator.
    ///
    /// # Errors
    /// As [`Self::open`], but for another schema.
    pub async fn inspect(url: &str) -> StoreResult<Inspection> {
        let place = Place::parse(url)?;
        let (client, driver) = place.connect("haulage doctor").await?;
        with_driver(driver, async move {
            let server = connect::inspect(&client).await?;
            let (schema, known) = (migrate::found(&client).await?, migrate::known()?);
            Ok(Inspection { server, schema, known })
        })
        .await
    }

    /// Keeps the fingerprint of the installation's master key; `false` when the database has
    /// another.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_master_key(&self, fingerprint: [u8; 32]) -> StoreResult<bool> {
        self.link
            .write(fingerprint, |write, fingerprint| {
                accounts::keep_master_key(write, fingerprint).boxed()
            })
            .await
    }

    /// The stored objects of the media after `key`, at most `limit`, for a backup.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn objects_after(&self, key: Key, limit: usize) -> StoreResult<Vec<KnownObject>> {
        self.link
            .read((key, limit), |db, (key, limit)| queries::objects_after(db, *key, *limit).boxed())
            .await
    }

    /// Where the database is, without user and password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Version of the server, as it was at the start.
    pub fn server_version(&self) -> String {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().map(|server| server.version.clone()).unwrap_or_default()
    }

    /// The database's clock, as this node follows it.
    pub fn clock(&self) -> Clock {
        Clock::Followed(Arc::clone(&self.clock))
    }
}

/// Looks at the database's clock.
async fn follow(link: &Link, clock: &Arc<Followed>) -> StoreResult<()> {
    link.read(clock.clone(), |db, clock| queries::follow(db, clock).boxed()).await
}

/// How often a node looks at the database's clock.
const LOOK: Duration = Duration::from_secs(5);
/// A database that needs longer for it may hang, with all connections open.
const LOOK_TIME: Duration = Duration::from_secs(2);

async fn keep_following(link: Link, clock: Arc<Followed>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        match timeout(LOOK_TIME, follow(&link, &clock)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot look at the database's clock; it is taken to go on");
            }
            Err(_) => link.look_for_the_primary().await,
        }
    }
}

/// Runs what needs a connection beside what drives it.
async fn with_driver<T>(
    driver: Driver,
    work: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    tokio::pin!(work);
    let driving = driver.run();
    tokio::pin!(driving);
    tokio::select! {
        done = &mut work => done,
        // The connection is gone; the work finds out.
        () = &mut driving => work.await,
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>> {
        let made = (name.to_owned(), operator, now);
        self.link
            .write(made, |write, (name, operator, now)| {
                accounts::create(write, name, *operator, *now).boxed()
            })
            .await
    }

    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        self.link.read((), |db, ()| accounts::list(db).boxed()).await
    }

    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>> {
        self.link
            .write((name.to_owned(), change), |write, (name, change)| {
                accounts::change(write, name, *change).boxed()
            })
            .await
    }

    async fn key_create(&self, key: AccessKey) -> StoreResult<bool> {
        self.link.write(key, |write, key| accounts::create_key(write, key).boxed()).await
    }

    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        self.link.read(account, |db, account| accounts::list_keys(db, *account).boxed()).await
    }

    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool> {
        let set = (id.to_owned(), status);
        self.link
            .write(set, |write, (id, status)| accounts::set_key_status(write, id, *status).boxed())
            .await
    }

    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        self.link.read(id.to_owned(), |db, id| accounts::find_key(db, id).boxed()).await
    }

    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool> {
        let asked = (super::nonces::hash(&nonce), nonce.now);
        self.link.read(asked, |db, (hash, now)| nonces::is_live(db, hash, *now).boxed()).await
    }

    /// What the answer says is on stable storage already.
    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        let Nonce { now, expires, .. } = nonce;
        let used = Use { hash: super::nonces::hash(&nonce), now, expires };
        if self.nonces.call(&self.link, used).await? {
            Ok(NonceUse::Fresh(Box::pin(std::future::ready(Ok(())))))
        } else {
            Ok(NonceUse::Replayed)
        }
    }

    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted> {
        let submitted = self.submits.call(&self.link, submission).await?;
        if matches!(submitted, Submitted::Accepted(_)) {
            self.wake.outgoing.notify_one();
        }
        Ok(submitted)
    }

    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
        let mut turns = Arc::clone(&self.turns).lock_owned().await;
        let asked = (request, turns.clone());
        let claimed = self
            .link
            .write(asked, |write, (request, turns)| claim::claim(write, request, turns).boxed());
        let (claims, after) = claimed.await?;
        *turns = after;
        Ok(claims)
    }

    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>> {
        let beats = (beats.to_vec(), until);
        self.link
            .write(beats, |write, (beats, until)| jobs::beat(write, beats, *until).boxed())
            .await
    }

    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.link
            .write((claim, due, now), |write, (claim, due, now)| {
                jobs::hand_back(write, claim, *due, *now).boxed()
            })
            .await
    }

    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, fault, due, now);
        self.link
            .write(word, |write, (claim, fault, due, now)| {
                jobs::retry_later(write, claim, fault, *due, *now).boxed()
            })
            .await
    }

    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, fault, kept, now);
        self.link
            .write(word, |write, (claim, fault, kept, now)| {
                jobs::halt(write, claim, fault, *kept, *now).boxed()
            })
            .await
    }

    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced> {
        self.link
            .write((replacement, now), |write, (replacement, now)| {
                jobs::replace_url(write, replacement, *now).boxed()
            })
            .await
    }

    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize> {
        self.link
            .write((now, limit), |write, (now, limit)| jobs::lapse(write, *now, *limit).boxed())
            .await
    }

    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, outcome, now);
        self.link
            .write(word, |write, (claim, outcome, now)| {
                jobs::finish(write, claim, outcome, *now).boxed()
            })
            .await
    }

    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize> {
        let asked = (now, limit, everything, self.judge);
        self.link
            .write(asked, |write, (now, limit, everything, judge)| {
                jobs::expire(write, *now, *limit, *everything, *judge).boxed()
            })
            .await
    }

    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        self.link
            .write((account, by, now), |write, (account, by, now)| {
                cancel::cancel(write, *account, by, *now).boxed()
            })
            .await
    }

    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        self.link
            .read((account, keys.to_vec(), since), |db, (account, keys, since)| {
                queries::infos_by_id(db, *account, keys, *since).boxed()
            })
            .await
    }

    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        self.link
            .read((account, urls.to_vec(), since), |db, (account, urls, since)| {
                queries::infos_by_url(db, *account, urls, *since).boxed()
            })
            .await
    }

    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage> {
        let budget = request.budget();
        self.link
            .read((request, budget), |db, (request, budget)| {
                pages::page(db, request, *budget).boxed()
            })
            .await
    }

    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        self.link.write(keys.to_vec(), |write, keys| queries::states(write, keys).boxed()).await
    }

    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup> {
        self.link
            .read((account, media), |db, (account, media)| {
                queries::media(db, *account, media).boxed()
            })
            .await
    }

    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        let found = self.link.read(vec![key], |db, keys| queries::objects(db, keys).boxed());
        Ok(found.await?.pop().map(|(_, object, facts)| (object, facts)))
    }

    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        let found = self.link.read(keys.to_vec(), |db, keys| queries::objects(db, keys).boxed());
        Ok(found.await?.into_iter().map(|(key, object, _)| (key, object)).collect())
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.link.read((), |db, ()| queries::stats(db).boxed()).await
    }

    async fn purge(&self, retention: Retention) -> StoreResult<usize> {
        self.link.write(retention, |write, retention| jobs::purge(write, retention).boxed()).await
    }

    async fn rate_take(
        &self,
        account: AccountId,
        operation: &str,
        limit: u32,
        wanted: u32,
    ) -> StoreResult<Option<RateGrant>> {
        let asked = (account, operation.to_owned(), limit, wanted);
        let taken = self.link.touch(asked, |db, (account, operation, limit, wanted)| {
            queries::rate_take(db, *account, operation, *limit, *wanted).boxed()
        });
        taken.await.map(Some)
    }

    async fn woken(&self) {
        self.wake.incoming.notified().await;
    }

    async fn close(&self) -> StoreResult<()> {
        self.link.shut();
        self.wake.stop.cancel();
        self.link.close().await;
        Ok(())
    }
}
