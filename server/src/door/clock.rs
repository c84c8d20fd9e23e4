//! Wall-clock time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// Where the program reads the time of day.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Stands still until it is set: for tests.
    Manual(Arc<AtomicI64>),
    /// Goes with tokio's clock, which can be paused, and can be set as a wall clock is: for
    /// simulations.
    Going {
        from: Instant,
        start: Arc<AtomicI64>,
    },
}

impl Clock {
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    pub fn going(start: Timestamp) -> Self {
        Self::Going { from: Instant::now(), start: Arc::new(AtomicI64::new(start.0)) }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let millis = since.map_or(0, |d| d.as_millis());
                Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
            }
            Self::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
            Self::Going { from, start } => Timestamp(start.load(Ordering::SeqCst)) + from.elapsed(),
        }
    }

    /// Sets a clock of ours; does nothing to the system's.
    pub fn set(&self, to: Timestamp) {
        match self {
            Self::System => {}
            Self::Manual(at) => at.store(to.0, Ordering::SeqCst),
            Self::Going { from, start } => {
                start.store((to - from.elapsed()).0, Ordering::SeqCst);
            }
        }
    }
}
