//! The only writer: one thread that takes everything queued and commits it as one transaction.
//!
//! While it waits for one fsync the next commands gather, so the size of a batch follows the load
//! without any timer. Each command runs in a savepoint of its own: one that fails leaves the others
//! as they are. Nobody is answered before the commit is on stable storage.

use std::fmt;
use std::panic::AssertUnwindSafe;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::claims::Line;
use super::connect::Place;
use super::counts::Counts;
use super::failure::Failure;
use super::readers::Readers;
use super::sql;
use crate::store::{StoreError, StoreResult};

/// Commands that wait for the writer; callers beyond it wait for room.
const QUEUE: usize = 1_024;
/// Most commands of one transaction: bounds how long a caller waits for others' work.
const BATCH: usize = 512;

/// What a command works with.
pub(super) struct Write<'a> {
    pub(super) db: &'a Connection,
    /// What claims remember.
    pub(super) line: &'a mut Line,
    /// What this transaction adds to the tallies.
    pub(super) counts: Counts,
}

/// A queued change with the way back to its caller. It may run twice: again on its own when the
/// batch it was part of did not fit on the disk.
trait Command: Send {
    fn is_wanted(&self) -> bool;
    /// Runs and keeps the answer; `false` when the change failed and must be undone.
    fn run(&mut self, write: &mut Write<'_>) -> bool;
    /// Whether it failed in a way that leaves nothing to trust.
    fn spoiled(&self) -> bool;
    /// Takes the failure of the last run.
    fn failure(&mut self) -> Option<Failure>;
    /// Answers the caller, after the commit or after it failed.
    fn answer(self: Box<Self>, batch: Result<(), &Failure>);
}

struct Call<T, F> {
    verb: F,
    /// Whether to leave it out when nobody waits for the answer any more.
    only_if_wanted: bool,
    outcome: Option<Result<T, Failure>>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: Fn(&mut Write<'_>) -> Result<T, Failure> + Send,
{
    fn is_wanted(&self) -> bool {
        !(self.only_if_wanted && self.reply.is_closed())
    }

    fn run(&mut self, write: &mut Write<'_>) -> bool {
        let outcome = (self.verb)(write);
        let done = outcome.is_ok();
        self.outcome = Some(outcome);
        done
    }

    fn spoiled(&self) -> bool {
        matches!(&self.outcome, Some(Err(failure)) if failure.spoils_the_connection())
    }

    fn failure(&mut self) -> Option<Failure> {
        match self.outcome.take() {
            Some(Err(failure)) => Some(failure),
            Some(Ok(_)) | None => None,
        }
    }

    fn answer(self: Box<Self>, batch: Result<(), &Failure>) {
        let answer = match (batch, self.outcome) {
            (Ok(()), Some(outcome)) => outcome.map_err(|failure| failure.to_store_error()),
            (Ok(()), None) => Err(StoreError::Closed),
            (Err(failure), _) => Err(failure.to_store_error()),
        };
        // A caller that went away does not want to know.
        drop(self.reply.send(answer));
    }
}

enum Message {
    Run(Box<dyn Command>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer's thread, which ends when the last one is dropped or on [`Self::close`].
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer(..)")
    }
}

/// Room for one command, so that what must happen together with queueing it cannot be interrupted.
pub(super) struct Slot<'a>(mpsc::Permit<'a, Message>);

impl Writer {
    /// Starts the thread.
    pub(super) fn start(place: Place, readers: Readers) -> StoreResult<Self> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let connection = place.writer().map_err(|failure| failure.to_store_error())?;
        let thread = Thread { place, readers, connection: Some(connection), line: Line::default() };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.serve(queue))
            .map_err(|e| StoreError::Engine(format!("no thread for the store's writer: {e}")))?;
        Ok(Self(sender))
    }

    /// Runs a change and waits until it is on stable storage. A change that is queued happens even
    /// when the caller goes away.
    pub(super) async fn call<T, F>(&self, verb: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        answered(self.slot().await?.send(false, verb)).await
    }

    /// As [`Self::call`], but a caller that goes away takes the queued change back.
    pub(super) async fn call_if_wanted<T, F>(&self, verb: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        answered(self.slot().await?.send(true, verb)).await
    }

    pub(super) async fn slot(&self) -> StoreResult<Slot<'_>> {
        self.0.reserve().await.map(Slot).map_err(|_| StoreError::Closed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends the thread after what is queued; later calls answer [`StoreError::Closed`].
    pub(super) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.0.send(Message::Close(done)).await.is_ok() {
            // An error means that the thread is gone, which is what was asked for.
            drop(ended.await);
        }
    }
}

impl Slot<'_> {
    pub(super) fn send<T, F>(
        self,
        only_if_wanted: bool,
        verb: F,
    ) -> oneshot::Receiver<StoreResult<T>>
    where
        T: Send + 'static,
        F: Fn(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Run(Box::new(Call { verb, only_if_wanted, outcome: None, reply })));
        answer
    }
}

pub(super) async fn answered<T>(answer: oneshot::Receiver<StoreResult<T>>) -> StoreResult<T> {
    answer.await.unwrap_or(Err(StoreError::Closed))
}

struct Thread {
    place: Place,
    readers: Readers,
    /// `None` after a failure that spoils it, until it is opened anew.
    connection: Option<Connection>,
    line: Line,
}

impl Thread {
    fn serve(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            // Zero messages: every handle is gone.
            if queue.blocking_recv_many(&mut messages, BATCH) == 0 {
                return;
            }
            let mut batch: Vec<Box<dyn Command>> = Vec::with_capacity(messages.len());
            let mut closing: Option<oneshot::Sender<()>> = None;
            for message in messages.drain(..) {
                match message {
                    // What was queued after the close is dropped, which answers `Closed`.
                    Message::Run(command) if closing.is_none() => batch.push(command),
                    Message::Run(_) => {}
                    Message::Close(done) => closing = closing.or(Some(done)),
                }
            }
            self.process(batch);
            if let Some(done) = closing {
                queue.close();
                self.flush();
                drop(self.connection.take());
                // Whoever asked may have gone away; it is done all the same.
                let _ = done.send(());
                return;
            }
        }
    }

    /// Runs a batch and answers it.
    fn process(&mut self, mut batch: Vec<Box<dyn Command>>) {
        batch.retain(|command| command.is_wanted());
        if batch.is_empty() {
            return;
        }
        match self.guarded(&mut batch) {
            Ok(()) => batch.into_iter().for_each(|command| command.answer(Ok(()))),
            // What does not fit together may fit one by one: a small cancel on a full disk.
            Err(failure) if failure.is_full() && batch.len() > 1 => {
                for command in batch {
                    self.process(vec![command]);
                }
            }
            Err(failure) => batch.into_iter().for_each(|command| command.answer(Err(&failure))),
        }
    }

    /// Commits a batch; a connection that can no longer be trusted is closed.
    fn guarded(&mut self, batch: &mut [Box<dyn Command>]) -> Result<(), Failure> {
        let committed = std::panic::catch_unwind(AssertUnwindSafe(|| self.commit(batch)))
            .unwrap_or(Err(Failure::Panicked));
        if let Err(failure) = &committed
            && failure.spoils_the_connection()
        {
            // Never trust it, or a repeated fsync of its file: the readers' handles go as well.
            let error = failure.to_store_error();
            tracing::error!("the store's database file is closed and opened anew: {error}");
            self.connection = None;
            self.readers.renew();
        }
        committed
    }

    fn commit(&mut self, batch: &mut [Box<dyn Command>]) -> Result<(), Failure> {
        let db = match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => self.connection.insert(self.place.writer()?),
        };
        execute(db, sql::BEGIN_WRITE)?;
        let mut write = Write { db, line: &mut self.line, counts: Counts::default() };
        let ended = run_all(&mut write, batch)
            .and_then(|()| write.counts.write(db))
            .and_then(|()| execute(db, sql::COMMIT));
        if ended.is_err() {
            // What was claimed stands in line again, before what was passed over.
            self.line.passed.clear();
            if !db.is_autocommit() {
                execute(db, sql::ROLLBACK)?;
            }
        }
        ended
    }

    fn flush(&mut self) {
        let Some(connection) = &self.connection else { return };
        let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpoint {
            // Nothing is lost: the log is read when the database is opened again.
            tracing::warn!("the store's log could not be folded in at the end: {error}");
        }
    }
}

fn run_all(write: &mut Write<'_>, batch: &mut [Box<dyn Command>]) -> Result<(), Failure> {
    let db = write.db;
    for command in batch {
        execute(db, sql::SAVE)?;
        if !command.run(write) {
            // SQLite itself gave the whole transaction up (disk full, I/O error): then it failed
            // for everybody.
            if db.is_autocommit() || command.spoiled() {
                return Err(command.failure().unwrap_or(Failure::Panicked));
            }
            execute(db, sql::UNDO)?;
            write.counts.undo();
            write.line.passed.clear();
        }
        write.counts.keep();
        execute(db, sql::KEEP)?;
    }
    Ok(())
}

fn execute(db: &Connection, statement: &str) -> Result<(), Failure> {
    db.prepare_cached(statement)?.execute([])?;
    Ok(())
}
