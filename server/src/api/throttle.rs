//! Calls a second, by account and operation.
//!
//! One node counts by itself, exactly (`domain::limiter`). Nodes that share a database take calls from
//! it in blocks (ADR 0021): a call takes one that this node has, or waits for the block it needs. The
//! database counts exactly; a block is used within [`HELD`], so no second of calls is more than 5 %
//! over the limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::spec::Operation;

use crate::domain::account::AccountId;
use crate::domain::limiter::{Verdict, Window};
use crate::domain::time::Timestamp;
use crate::store::{RateGrant, Store};

/// Windows kept before idle ones are dropped.
const WINDOWS_BEFORE_PRUNING: usize = 1_024;
/// How long calls that were taken from the database may be used: 5 % of the second they count in.
const HELD: Duration = Duration::from_millis(50);
/// A block is no more than what this node uses up in half of that time...
const BLOCKS_A_SECOND: u32 = 40;
/// ...and no more than this part of the limit, beside what callers wait for.
const LARGEST_PART: u32 = 20;

#[derive(Debug)]
pub struct Throttle {
    /// Calls a second by operation, where they differ from the documented ones; 0 = no limit.
    overrides: BTreeMap<String, u32>,
    /// Where several nodes count together.
    shared: Option<Arc<dyn Store>>,
    windows: Mutex<Windows>,
    started: Instant,
}

type Caller = (AccountId, &'static str);

#[derive(Debug, Default)]
struct Windows {
    by_caller: HashMap<Caller, Arc<Gate>>,
    /// Prune when the map has grown to this.
    prune_at: usize,
}

/// The calls of one account and operation on this node.
#[derive(Debug, Default)]
struct Gate {
    here: Mutex<Here>,
    /// Held by the one caller who asks the database.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Here {
    /// What was accepted here within the last second; with one node, what decides.
    window: Window,
    /// Calls taken from the database, and until when they may be used.
    taken: u32,
    usable_until: Option<Instant>,
    /// The database has said that there is no room until then.
    closed_until: Option<Instant>,
    /// Callers who wait for the database's answer, and how many of them have it.
    waiting: u32,
    promised: u32,
}

impl Throttle {
    pub fn new(overrides: BTreeMap<String, u32>) -> Self {
        let windows = Windows { prune_at: WINDOWS_BEFORE_PRUNING, ..Windows::default() };
        let windows = Mutex::new(windows);
        Self { overrides, shared: None, windows, started: Instant::now() }
    }

    /// As [`Throttle::new`], counting over all nodes of a store.
    pub fn shared(overrides: BTreeMap<String, u32>, store: Arc<dyn Store>) -> Self {
        Self { shared: Some(store), ..Self::new(overrides) }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// When it is surplus: milliseconds until there is room again.
    pub async fn admit(&self, account: AccountId, operation: &Operation) -> Result<(), u64> {
        let limit = match self.overrides.get(operation.action) {
            Some(limit) => *limit,
            None => operation.qps.unwrap_or(0),
        };
        if limit == 0 {
            return Ok(());
        }
        let caller = (account, operation.action);
        let gate = self.gate(caller);
        match &self.shared {
            None => judged(gate.here().window.admit(self.now(), limit)),
            Some(store) => self.admit_shared(store.as_ref(), &gate, caller, limit).await,
        }
    }

    async fn admit_shared(
        &self,
        store: &dyn Store,
        gate: &Gate,
        caller: Caller,
        limit: u32,
    ) -> Result<(), u64> {
        let alone = {
            let mut here = gate.here();
            // Counts the demand of this node. What it says decides only where nobody else can.
            let alone = here.window.admit(self.now(), limit);
            if let Some(answer) = here.answer(Instant::now()) {
                return answer;
            }
            here.waiting += 1;
            alone
        };
        let waits = Waiting(gate);
        let asking = gate.asking.lock().await;
        let wanted = {
            let mut here = gate.here();
            if here.promised > 0 {
                here.promised -= 1;
                return Ok(());
            }
            if let Some(answer) = here.answer(Instant::now()) {
                return answer;
            }
            let demand = u32::try_from(here.window.accepted()).unwrap_or(limit);
            let ahead = (demand / BLOCKS_A_SECOND).min(limit / LARGEST_PART).saturating_sub(1);
            here.waiting.saturating_add(ahead).min(limit)
        };
        let asked = Instant::now();
        let (account, operation) = caller;
        let answer = match store.rate_take(account, operation, limit, wanted).await {
            Ok(Some(RateGrant { calls: 0, retry_after_ms })) => {
                let wait = retry_after_ms.clamp(1, 1_000);
                gate.here().closed_until = Some(Instant::now() + Duration::from_millis(wait));
                Err(wait)
            }
            Ok(Some(RateGrant { calls, .. })) => {
                let mut here = gate.here();
                // Those who wait have theirs now, however long it takes until they run again.
                here.promised = (calls - 1).min(here.waiting - 1);
                here.taken = calls - 1 - here.promised;
                here.usable_until = Some(asked + HELD);
                Ok(())
            }
            // One node after all.
            Ok(None) => judged(alone),
            Err(error) => {
                tracing::warn!(%error, "cannot count calls over all nodes; this one counts alone");
                judged(alone)
            }
        };
        drop(asking);
        drop(waits);
        answer
    }

    fn gate(&self, caller: Caller) -> Arc<Gate> {
        let now = self.now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.by_caller.len() >= windows.prune_at {
            windows
                .by_caller
                .retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.here().window.is_idle(now));
            windows.prune_at = (windows.by_caller.len() * 2).max(WINDOWS_BEFORE_PRUNING);
        }
        windows.by_caller.entry(caller).or_default().clone()
    }

    /// Measured on the monotonic clock: a step of the wall clock must not open or shut a limit.
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

fn judged(verdict: Verdict) -> Result<(), u64> {
    match verdict {
        Verdict::Accept => Ok(()),
        Verdict::Surplus { retry_after_ms } => Err(retry_after_ms),
    }
}

impl Gate {
    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    /// What can be said without asking the database.
    fn answer(&mut self, now: Instant) -> Option<Result<(), u64>> {
        if self.taken > 0 && self.usable_until.is_some_and(|until| now < until) {
            self.taken -= 1;
            return Some(Ok(()));
        }
        let closed = self.closed_until.filter(|until| now < *until)?;
        let wait = closed.saturating_duration_since(now).as_millis();
        Some(Err(u64::try_from(wait).unwrap_or(1).clamp(1, 1_000)))
    }
}

/// A caller who waits; also one who goes away while waiting.
struct Waiting<'a>(&'a Gate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut here = self.0.here();
        here.waiting -= 1;
        here.promised = here.promised.min(here.waiting);
    }
}
