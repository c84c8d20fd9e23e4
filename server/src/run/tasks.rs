//! The only place that spawns: every task has a name and a panic boundary, and is waited for.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The tasks of a node.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    warden: Option<Arc<dyn Warden>>,
}

/// Decides when the tasks of a node may run. A node that serves has none; a simulation pauses and
/// kills nodes with it, at whatever await their tasks have come to.
pub trait Warden: fmt::Debug + Send + Sync {
    /// Asked before each step of a task. When the leave is to [`Leave::Wait`], the warden keeps the
    /// context's waker and wakes the task when that has changed.
    fn leave(&self, cx: &mut Context<'_>) -> Leave;
}

/// What a task may do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    Go,
    Wait,
    /// It is dropped where it stands.
    End,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks that run by the leave of a warden.
    pub fn under(warden: Arc<dyn Warden>) -> Self {
        Self { tracker: TaskTracker::new(), warden: Some(warden) }
    }

    /// Spawns a task. A panic ends the task, is logged under its name, and stays inside; its output
    /// is `None` then, as it is when the warden ends it.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = guarded(name, task);
        match &self.warden {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            None => tokio::spawn(self.tracker.track_future(task)),
            Some(warden) => {
                let task = Some(Box::pin(task));
                let led = Led { warden: Arc::clone(warden), task };
                #[expect(clippy::disallowed_methods, reason = "this is the door")]
                tokio::spawn(self.tracker.track_future(led))
            }
        }
    }

    /// As [`Tasks::spawn`], on another runtime.
    pub fn spawn_on<F>(&self, runtime: &Handle, name: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn(self.tracker.track_future(guarded(name, task)));
    }

    /// Ready when all tasks have ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A task with a warden.
struct Led<F> {
    warden: Arc<dyn Warden>,
    /// `None` once it has ended.
    task: Option<Pin<Box<F>>>,
}

impl<T, F: Future<Output = Option<T>>> Future for Led<F> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.warden.leave(cx) {
            Leave::Go => {}
            Leave::Wait => return Poll::Pending,
            Leave::End => self.task = None,
        }
        match &mut self.task {
            Some(task) => task.as_mut().poll(cx),
            None => Poll::Ready(None),
        }
    }
}

/// Runs `task` behind a panic boundary; `None` means it panicked.
///
/// No `async fn`: that would hold the task twice, as its argument and as what it awaits.
pub fn guarded<F: Future>(name: &'static str, task: F) -> impl Future<Output = Option<F::Output>> {
    AssertUnwindSafe(task).catch_unwind().map(move |ended| match ended {
        Ok(output) => Some(output),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            tracing::error!(task = name, panic = text, "a task panicked");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn a_panic_stays_inside_its_task() {
        let tasks = Tasks::new();
        let broken = tasks.spawn("broken", async { panic!("on purpose") });
        let sound = tasks.spawn("sound", async { 7 });
        tasks.finished().await;
        assert_eq!(broken.await.unwrap(), None::<()>);
        assert_eq!(sound.await.unwrap(), Some(7));
    }

    #[derive(Debug, Default)]
    struct Gate {
        shut: AtomicBool,
        ended: AtomicBool,
        waiting: Mutex<Vec<Waker>>,
    }

    impl Warden for Gate {
        fn leave(&self, cx: &mut Context<'_>) -> Leave {
            if self.ended.load(Ordering::SeqCst) {
                return Leave::End;
            }
            self.waiting.lock().unwrap().push(cx.waker().clone());
            if self.shut.load(Ordering::SeqCst) { Leave::Wait } else { Leave::Go }
        }
    }

    impl Gate {
        fn set(&self, what: &AtomicBool, to: bool) {
            what.store(to, Ordering::SeqCst);
            self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
        }
    }

    #[tokio::test]
    async fn a_warden_pauses_and_ends_tasks_at_their_awaits() {
        let gate = Arc::new(Gate::default());
        let tasks = Tasks::under(gate.clone());
        let (steps, counter) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (dropped, seen) = (Arc::new(()), steps.clone());
        let witness = Arc::downgrade(&dropped);
        let stepping = tasks.spawn("stepping", async move {
            let _dropped = dropped;
            loop {
                seen.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        let other = counter.clone();
        tasks.spawn("counting", async move { other.fetch_add(1, Ordering::SeqCst) });
        while steps.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        gate.set(&gate.shut, true);
        let paused_at = steps.load(Ordering::SeqCst);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(steps.load(Ordering::SeqCst), paused_at, "it ran while it was paused");
        gate.set(&gate.shut, false);
        while steps.load(Ordering::SeqCst) <= paused_at {
            tokio::task::yield_now().await;
        }
        gate.set(&gate.ended, true);
        assert_eq!(stepping.await.unwrap(), None::<()>);
        assert!(witness.upgrade().is_none(), "what the task held is dropped");
        assert_eq!(counter.load(Ordering::SeqCst), 1);
    }
}
