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
mod verbs;

#[cfg(test)]
pub(super) mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::batches::Batches;
use self::claim::Line;
pub use self::connect::Server;
use self::connect::{Duty, Place};
use self::hosts::Driver;
use self::jobs::Judge;
use self::link::Link;
use self::listen::Wake;
use self::nonces::Use;
use super::{StoreResult, Submission, Submitted};
use crate::domain::id::Key;
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
    /// Who was served how often by this node, and what it passed over. Its claims come one after the
    /// other.
    line: Arc<tokio::sync::Mutex<Line>>,
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
            line: Arc::default(),
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
