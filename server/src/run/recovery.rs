//! What a node does before its first transfer: it clears what a kill left.

use crate::blob::spool::Spool;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreResult};
use crate::worker::janitor::SweepError;
use crate::worker::partials::{self, PartialLimits, When};

/// Leases ended in one transaction.
const BATCH: usize = 1_000;

/// Ends the leases of the process that died, and removes the unfinished files that no job can
/// continue. Right because the lock says that no other process works in this data directory.
///
/// # Errors
/// When the store or the spool fails.
pub async fn recover(
    store: &dyn Store,
    spool: &Spool,
    limits: &PartialLimits,
    now: Timestamp,
    is_shared: bool,
) -> Result<(), SweepError> {
    // On a shared database other nodes work; leases of a node that died end by their time.
    let ended = if is_shared { 0 } else { end_leases(store, now).await? };
    let swept = partials::sweep(store, spool, limits, now, When::Start).await?;
    if ended + swept.removed + swept.kept > 0 {
        let (removed, kept) = (swept.removed, swept.kept);
        tracing::info!(
            ended,
            removed,
            kept,
            "recovered: leases ended, unfinished files removed, kept"
        );
    }
    Ok(())
}

async fn end_leases(store: &dyn Store, now: Timestamp) -> StoreResult<usize> {
    let mut ended = 0;
    loop {
        match store.job_expire(now, BATCH, true).await? {
            0 => return Ok(ended),
            some => ended += some,
        }
    }
}
