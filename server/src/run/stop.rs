//! The two stages of a stop: drain, then abort.

use tokio_util::sync::CancellationToken;

/// Shared by every task of a node.
///
/// *Drain*: take nothing new (no connection, no claim), finish what is under way. *Abort*: stop
/// now; transfers hand their jobs back. Abort implies drain.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn drain(&self) {
        self.drain.cancel();
    }

    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Ready once draining has begun.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Ready once aborting has begun.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// A token that ends when aborting begins, for one task to end earlier on its own.
    pub fn abort_child(&self) -> CancellationToken {
        self.abort.child_token()
    }
}
