//! The connections of a node: how verbs reach the database, and what happens when it fails them.
//!
//! Every verb runs as a task of its own, on the runtime that opened the store: a caller that goes
//! away leaves no half of it behind, and no transfer's blocking write holds up the database. A write
//! is one transaction. What fails before its commit was sent has certainly not happened and is tried
//! again where that may help; a commit whose answer does not come is told as unknown, never as failed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, GenericClient, Object, Pool, Transaction};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::counts::Counts;
use super::failure::{Failure, Remedy, describe};
use super::hosts::{self, Hosts};
use crate::door::random;
use crate::run::tasks::Tasks;
use crate::store::{StoreError, StoreResult};

/// Times that a verb is tried in all.
const TRIES: u32 = 6;
/// Pause after the first failure; it doubles, and up to as much again is added at random. In all
/// about three seconds: what a failover in good order takes.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long one try may take up to its commit; longer than a statement may ([`super::connect`]).
const TRY_TIME: Duration = Duration::from_secs(45);
/// How long a look for the primary may take.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// How long the answer to a commit is waited for: a synchronous standby may be slow.
const COMMIT_TIME: Duration = Duration::from_secs(60);

/// What a write works with.
pub(super) struct Write<'a> {
    pub(super) db: Transaction<'a>,
    /// What this transaction adds to the counters.
    pub(super) counts: Counts,
}

/// A write verb: may run several times, each time in a new transaction.
pub(super) type WriteVerb<A, T> =
    for<'a, 'b> fn(&'a mut Write<'b>, &'a A) -> BoxFuture<'a, Result<T, Failure>>;
/// A verb that only reads: each statement sees one moment.
pub(super) type ReadVerb<A, T> = for<'a> fn(&'a Client, &'a A) -> BoxFuture<'a, Result<T, Failure>>;

/// The way to the database; clones share the connections.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    /// Two pools, so that pages of the console cannot keep a worker from prolonging its leases.
    writers: Pool,
    readers: Pool,
    hosts: Hosts,
    tasks: Tasks,
    home: Handle,
    closed: AtomicBool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

impl Link {
    /// Must be called on the runtime that is to drive the connections.
    pub(super) fn new(hosts: Hosts, writers: Pool, readers: Pool) -> Self {
        let (tasks, home, closed) = (Tasks::new(), Handle::current(), AtomicBool::new(false));
        Self(Arc::new(Shared { writers, readers, hosts, tasks, home, closed }))
    }

    /// Finds out whether the primary still takes connections, and whether another host is it now.
    pub(super) async fn look_for_the_primary(&self) {
        // What fails here is found out by the next verb, which tells.
        drop(timeout(LOOK_TIME, self.0.hosts.connect(None)).await);
    }

    /// Runs a change and waits until it is on stable storage. It happens, or fails, even when the
    /// caller goes away.
    pub(super) async fn write<A, T>(&self, args: A, verb: WriteVerb<A, T>) -> StoreResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let link = self.clone();
        self.detached(async move { link.write_here(&args, verb).await }).await
    }

    /// As [`Self::write`], in the task that calls.
    pub(super) async fn write_here<A, T>(&self, args: &A, verb: WriteVerb<A, T>) -> StoreResult<T>
    where
        A: Send + Sync,
        T: Send,
    {
        self.write_or_fail(args, verb).await.map_err(|failure| failure.to_store_error())
    }

    pub(super) async fn write_or_fail<A, T>(
        &self,
        args: &A,
        verb: WriteVerb<A, T>,
    ) -> Result<T, Failure>
    where
        A: Send + Sync,
        T: Send,
    {
        let mut patience = Patience::new();
        loop {
            match self.try_write(args, verb).await {
                Err(failure) if patience.allows(&failure) => patience.wait().await,
                ended => return ended,
            }
        }
    }

    /// Runs a query.
    pub(super) async fn read<A, T>(&self, args: A, verb: ReadVerb<A, T>) -> StoreResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let link = self.clone();
        let reading = async move {
            let mut patience = Patience::new();
            loop {
                match link.ask(&link.0.readers, &args, verb).await {
                    Err(failure) if patience.allows(&failure) => patience.wait().await,
                    ended => return ended.map_err(|failure| failure.to_store_error()),
                }
            }
        };
        self.detached(reading).await
    }

    /// Runs one statement of its own that may change something of no lasting worth: it waits for
    /// no disk, and if its answer is lost it may run twice.
    pub(super) async fn touch<A, T>(&self, args: A, verb: ReadVerb<A, T>) -> StoreResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let link = self.clone();
        let touching = async move {
            let outcome = link.ask(&link.0.writers, &args, verb).await;
            outcome.map_err(|failure| failure.to_store_error())
        };
        self.detached(touching).await
    }

    /// Starts a task that lives as long as the store.
    pub(super) fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.tasks.spawn_on(&self.0.home, name, task);
    }

    pub(super) fn check_open(&self) -> StoreResult<()> {
        if self.0.closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Refuses what comes from here on.
    pub(super) fn shut(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
    }

    /// Waits for what is under way, and closes the connections.
    pub(super) async fn close(&self) {
        self.shut();
        self.0.tasks.finished().await;
        self.0.writers.close();
        self.0.readers.close();
    }

    async fn detached<T>(
        &self,
        work: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T>
    where
        T: Send + 'static,
    {
        self.check_open()?;
        let (reply, answer) = oneshot::channel();
        self.spawn("store", async move {
            // A caller that went away does not want to know.
            drop(reply.send(work.await));
        });
        let panicked = || StoreError::Engine("a verb of the store panicked".to_owned());
        answer.await.unwrap_or_else(|_| Err(panicked()))
    }

    async fn try_write<A, T>(&self, args: &A, verb: WriteVerb<A, T>) -> Result<T, Failure>
    where
        A: Send + Sync,
        T: Send,
    {
        let mut client = self.0.writers.get().await?;
        let outcome = transact(&self.0.hosts, &mut client, args, verb).await;
        give_back(client, &outcome);
        outcome
    }

    async fn ask<A, T>(&self, pool: &Pool, args: &A, verb: ReadVerb<A, T>) -> Result<T, Failure>
    where
        A: Send + Sync,
        T: Send,
    {
        let client = pool.get().await?;
        let mut primary = self.0.hosts.watch();
        let outcome = tokio::select! {
            biased;
            outcome = timeout(TRY_TIME, verb(&client, args)) => outcome.unwrap_or(Err(Failure::Late)),
            () = hosts::moved(&mut primary) => Err(Failure::Moved),
        };
        give_back(client, &outcome);
        outcome
    }
}

/// A connection that may hold something unexpected is closed, not used again.
fn give_back<T>(client: Client, outcome: &Result<T, Failure>) {
    if matches!(outcome, Err(failure) if failure.spoils_the_connection()) {
        drop(Object::take(client));
    }
}

async fn transact<A, T>(
    hosts: &Hosts,
    client: &mut Client,
    args: &A,
    verb: WriteVerb<A, T>,
) -> Result<T, Failure>
where
    A: Send + Sync,
    T: Send,
{
    let mut primary = hosts.watch();
    let before_commit = async {
        let db = client.transaction().await?;
        let mut write = Write { db, counts: Counts::default() };
        let answer = verb(&mut write, args).await?;
        write.counts.write(&write.db).await?;
        // From here on no timer of the server's may end the wait for a standby: it would answer
        // with success.
        write.db.batch_execute("SET LOCAL statement_timeout = 0").await?;
        Ok::<_, Failure>((write.db, answer))
    };
    let (db, answer) = tokio::select! {
        biased;
        done = timeout(TRY_TIME, before_commit) => done.unwrap_or(Err(Failure::Late))?,
        () = hosts::moved(&mut primary) => return Err(Failure::Moved),
    };
    let cancelled_waits = hosts.cancelled_waits();
    let committed = tokio::select! {
        biased;
        done = timeout(COMMIT_TIME, db.commit()) => done,
        () = hosts::moved(&mut primary) => {
            return Err(Failure::Unknown("another host took over meanwhile".to_owned()));
        }
    };
    match committed {
        // An operator may end that wait as well; what the primary has then, it may lose.
        Ok(Ok(())) if hosts.cancelled_waits() != cancelled_waits => {
            Err(Failure::Unknown("the wait for a standby was cancelled".to_owned()))
        }
        Ok(Ok(())) => Ok(answer),
        Ok(Err(error)) if Failure::is_certain(&error) => Err(error.into()),
        Ok(Err(error)) => Err(Failure::Unknown(describe(&error))),
        Err(_) => Err(Failure::Unknown("no answer in time".to_owned())),
    }
}

/// How often a verb is still tried, and the pause until then.
struct Patience {
    left: u32,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { left: TRIES - 1, pause: FIRST_PAUSE }
    }

    fn allows(&self, failure: &Failure) -> bool {
        self.left > 0 && failure.remedy() != Remedy::Nothing
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause.mul_f64(1.0 + random::fraction())).await;
        self.left -= 1;
        self.pause *= 2;
    }
}

/// All rows of a statement.
pub(super) async fn rows<C: GenericClient>(
    db: &C,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Failure> {
    let statement = db.prepare_cached(statement).await?;
    Ok(db.query(&statement, values).await?)
}

/// The first row of a statement, if it has one.
pub(super) async fn first_row<C: GenericClient>(
    db: &C,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, Failure> {
    Ok(rows(db, statement, values).await?.into_iter().next())
}

/// How many rows a statement changed.
pub(super) async fn execute<C: GenericClient>(
    db: &C,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<u64, Failure> {
    let statement = db.prepare_cached(statement).await?;
    Ok(db.execute(&statement, values).await?)
}
