//! What the store counts, and what it may forget.

use crate::domain::time::Timestamp;

/// Counts for metrics, readiness and the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub pending: u64,
    pub running: u64,
    pub waiting: u64,
    /// Jobs that wait for another URL.
    pub awaiting: u64,
    /// When the job that has been ready longest became so; in the future when all that is left
    /// waits for its time.
    pub oldest_ready: Option<Timestamp>,
}

/// What [`super::Store::purge`] may forget.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub now: Timestamp,
    /// Failed and cancelled records that ended before this are removed; everything else stays.
    /// They are to be queryable for one year (§9.2).
    pub records_before: Timestamp,
    /// Most rows of each kind to remove in one go.
    pub batch: usize,
}
