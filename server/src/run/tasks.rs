//! The only place that spawns: every task has a name and a panic boundary, and is waited for.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The tasks of a node.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task. A panic ends the task, is logged under its name, and stays inside.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        tokio::spawn(self.0.track_future(guarded(name, task)))
    }

    /// As [`Tasks::spawn`], on another runtime.
    pub fn spawn_on<F>(&self, runtime: &Handle, name: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn(self.0.track_future(guarded(name, task)));
    }

    /// Ready when all tasks have ended.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
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
}
