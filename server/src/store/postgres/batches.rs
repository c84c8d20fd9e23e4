//! Group commit: calls that come while a transaction is under way wait, and go into the next one
//! together. The size of a batch follows the load without any timer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

use super::link::Link;
use crate::store::{StoreError, StoreResult};

/// Calls that wait; callers beyond it wait for room.
const ROOM: usize = 4_096;

/// Runs the calls of a batch; an answer for each, in their order.
pub(super) type Run<I, O> = fn(Link, Vec<I>) -> BoxFuture<'static, Vec<StoreResult<O>>>;

pub(super) struct Batches<I, O>(Arc<Shared<I, O>>);

struct Shared<I, O> {
    run: Run<I, O>,
    /// Most calls of one transaction.
    size: usize,
    /// Most transactions at once.
    lanes: usize,
    room: Semaphore,
    queue: Mutex<Queue<I, O>>,
}

struct Queue<I, O> {
    waiting: Vec<Call<I, O>>,
    busy: usize,
}

struct Call<I, O> {
    what: I,
    reply: oneshot::Sender<StoreResult<O>>,
}

impl<I, O> fmt::Debug for Batches<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches(..)")
    }
}

impl<I: Send + 'static, O: Send + 'static> Batches<I, O> {
    pub(super) fn new(size: usize, lanes: usize, run: Run<I, O>) -> Self {
        let queue = Mutex::new(Queue { waiting: Vec::new(), busy: 0 });
        Self(Arc::new(Shared { run, size, lanes, room: Semaphore::new(ROOM), queue }))
    }

    /// Puts a call into the next batch and waits for its answer. It runs even when the caller goes
    /// away.
    pub(super) async fn call(&self, link: &Link, what: I) -> StoreResult<O> {
        let _room = self.0.room.acquire().await.map_err(|_| StoreError::Closed)?;
        link.check_open()?;
        let (reply, answer) = oneshot::channel();
        let has_lane = {
            let mut queue = self.0.queue();
            queue.waiting.push(Call { what, reply });
            let free = queue.busy < self.0.lanes;
            queue.busy += usize::from(free);
            free
        };
        if has_lane {
            let lane = Lane { shared: Arc::clone(&self.0), is_given_back: false };
            let on = link.clone();
            link.spawn("store batch", async move { lane.serve(on).await });
        }
        let panicked = || StoreError::Engine("a verb of the store panicked".to_owned());
        answer.await.unwrap_or_else(|_| Err(panicked()))
    }
}

impl<I, O> Shared<I, O> {
    fn queue(&self) -> MutexGuard<'_, Queue<I, O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction after the other, until nothing waits. Gives its place back also when it panics.
struct Lane<I, O> {
    shared: Arc<Shared<I, O>>,
    is_given_back: bool,
}

impl<I, O> Lane<I, O> {
    async fn serve(mut self, link: Link) {
        while let Some(batch) = self.next() {
            let (calls, replies): (Vec<I>, Vec<_>) =
                batch.into_iter().map(|call| (call.what, call.reply)).unzip();
            let answers = (self.shared.run)(link.clone(), calls).await;
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A caller that went away does not want to know.
                drop(reply.send(answer));
            }
        }
    }

    /// What waits. Finding nothing gives the lane back under the same lock, so that whoever comes
    /// next finds it free.
    fn next(&mut self) -> Option<Vec<Call<I, O>>> {
        let mut queue = self.shared.queue();
        if queue.waiting.is_empty() {
            queue.busy -= 1;
            self.is_given_back = true;
            return None;
        }
        let size = self.shared.size.min(queue.waiting.len());
        Some(queue.waiting.drain(..size).collect())
    }
}

impl<I, O> Drop for Lane<I, O> {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.shared.queue().busy -= 1;
        }
    }
}
