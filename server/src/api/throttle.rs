//! Calls a second, by account and operation. The rule is `domain::limiter`; here are its windows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use wire::spec::Operation;

use crate::domain::account::AccountId;
use crate::domain::limiter::{Verdict, Window};
use crate::domain::time::Timestamp;

/// Windows kept before idle ones are dropped.
const WINDOWS_BEFORE_PRUNING: usize = 1_024;

#[derive(Debug)]
pub struct Throttle {
    /// Calls a second by operation, where they differ from the documented ones; 0 = no limit.
    overrides: BTreeMap<String, u32>,
    windows: Mutex<Windows>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Windows {
    by_caller: HashMap<(AccountId, &'static str), Window>,
    /// Prune when the map has grown to this.
    prune_at: usize,
}

impl Throttle {
    pub fn new(overrides: BTreeMap<String, u32>) -> Self {
        let windows = Windows { prune_at: WINDOWS_BEFORE_PRUNING, ..Windows::default() };
        Self { overrides, windows: Mutex::new(windows), started: Instant::now() }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// When it is surplus: milliseconds until there is room again.
    pub fn admit(&self, account: AccountId, operation: &Operation) -> Result<(), u64> {
        let limit = match self.overrides.get(operation.action) {
            Some(limit) => *limit,
            None => operation.qps.unwrap_or(0),
        };
        if limit == 0 {
            return Ok(());
        }
        // Measured on the monotonic clock: a step of the wall clock must not open or shut a limit.
        let now = Timestamp(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.by_caller.len() >= windows.prune_at {
            windows.by_caller.retain(|_, window| !window.is_idle(now));
            windows.prune_at = (windows.by_caller.len() * 2).max(WINDOWS_BEFORE_PRUNING);
        }
        let window = windows.by_caller.entry((account, operation.action)).or_default();
        match window.admit(now, limit) {
            Verdict::Accept => Ok(()),
            Verdict::Surplus { retry_after_ms } => Err(retry_after_ms),
        }
    }
}
