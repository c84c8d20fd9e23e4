//! Ends leases that nobody keeps, and removes what crashes left behind.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Worker;
use super::partials::{self, When};
use crate::blob::{BlobError, parse_object_key};
use crate::domain::fault::FaultClass;
use crate::domain::id::Key;
use crate::domain::job::{StateKind, Token};
use crate::store::{Retention, StoreError};
use crate::telemetry::metrics::JobLabels;

/// Leases ended in one transaction.
const EXPIRE_BATCH: usize = 500;
/// Objects judged at once by a sweep.
const SWEEP_BATCH: usize = 1_000;
/// Rows of each kind forgotten in one transaction.
const PURGE_BATCH: usize = 2_000;
const PURGE_INTERVAL: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(6 * 3_600);

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Ends leases past their time, and waits for another URL at their jobs' deadline, a third of a
/// lease after it at the latest.
pub async fn reap(worker: &Worker) {
    let mut tick = tokio::time::interval(worker.rules.lease / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = worker.stop.draining() => return,
            _ = tick.tick() => {}
        }
        lapse(worker).await;
        // Batch after batch, so that many dead leases cannot hide one more.
        loop {
            match worker.store.job_expire(worker.clock.now(), EXPIRE_BATCH, false).await {
                Ok(0) => break,
                Ok(ended) => {
                    worker.metrics.leases_expired.inc_by(ended as u64);
                    tracing::warn!(ended, "leases ended without a word of their worker");
                    worker.wake.notify_one();
                }
                Err(error) => {
                    tracing::error!(%error, "cannot end leases");
                    break;
                }
            }
        }
    }
}

/// Fails the jobs that were given no other URL. Their staged files go with the next sweep.
async fn lapse(worker: &Worker) {
    loop {
        match worker.store.job_lapse(worker.clock.now(), EXPIRE_BATCH).await {
            Ok(0) => return,
            Ok(lapsed) => {
                // Nothing else halts a job.
                let outcome = FaultClass::HttpStatus.code();
                let finished = worker.metrics.jobs_finished.get_or_create(&JobLabels { outcome });
                finished.inc_by(lapsed as u64);
                tracing::info!(lapsed, "jobs were given no other URL before their deadline");
            }
            Err(error) => {
                tracing::error!(%error, "cannot fail jobs that await a URL");
                return;
            }
        }
    }
}

/// Forgets what is past its retention, and sweeps objects: at the start, then now and then.
pub async fn tidy(worker: &Worker) {
    let mut purge = tokio::time::interval(PURGE_INTERVAL);
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = worker.stop.draining() => return,
            _ = purge.tick() => {
                worker.probe.rest();
                forget(worker).await;
                sweep_partials(worker).await;
            }
            _ = sweep.tick() => match sweep_objects(worker).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "objects without a job removed"),
                Err(error) => tracing::error!(%error, "cannot sweep objects"),
            },
        }
    }
}

async fn sweep_partials(worker: &Worker) {
    let (store, limits) = (worker.store.as_ref(), &worker.rules.partials);
    let now = worker.clock.now();
    match partials::sweep(store, &worker.spool, limits, now, When::Running).await {
        Ok(swept) if swept.removed == 0 => {}
        Ok(swept) => {
            worker.metrics.partials_removed.inc_by(swept.removed as u64);
            tracing::info!(removed = swept.removed, kept = swept.kept, "unfinished files removed");
        }
        Err(error) => tracing::error!(%error, "cannot sweep unfinished files"),
    }
}

async fn forget(worker: &Worker) {
    let now = worker.clock.now();
    let records_before = now - worker.rules.retention;
    let retention = Retention { now, records_before, batch: PURGE_BATCH };
    loop {
        match worker.store.purge(retention).await {
            Ok(forgotten) if forgotten >= PURGE_BATCH && !worker.stop.is_draining() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, "cannot forget old records");
                return;
            }
        }
    }
}

/// Removes objects whose generation can never be asked for: their job ended otherwise, or a later
/// lease holds it. Objects of unknown jobs stay: after a restored backup they may be all there is.
///
/// # Errors
/// When the objects or the jobs cannot be read; what was removed until then stays removed.
pub async fn sweep_objects(worker: &Worker) -> Result<usize, SweepError> {
    let mut removed = 0;
    let mut after: Option<String> = None;
    loop {
        let objects = worker.blobs.list(after.as_deref(), SWEEP_BATCH).await?;
        let Some(last) = objects.last() else { return Ok(removed) };
        after = Some(last.clone());
        let generations: Vec<(&str, Key, Token)> = objects
            .iter()
            .filter_map(|name| parse_object_key(name).map(|(k, t)| (name.as_str(), k, t)))
            .collect();
        let mut keys: Vec<Key> = generations.iter().map(|(_, key, _)| *key).collect();
        keys.dedup();
        let states: HashMap<Key, (StateKind, Option<Token>)> = worker
            .store
            .job_states(&keys)
            .await?
            .into_iter()
            .map(|(key, kind, token)| (key, (kind, token)))
            .collect();
        for (name, key, token) in generations {
            let Some((kind, current)) = states.get(&key) else { continue };
            if is_orphan(*kind, *current, token) && worker.blobs.delete(name).await? {
                worker.metrics.orphans_removed.inc();
                removed += 1;
            }
        }
    }
}

/// Whether the object of generation `token` can never become its job's medium.
fn is_orphan(kind: StateKind, current: Option<Token>, token: Token) -> bool {
    match kind {
        StateKind::Running | StateKind::Succeeded => current.is_some_and(|t| t != token),
        StateKind::Waiting | StateKind::AwaitingUrl | StateKind::Failed | StateKind::Canceled => {
            true
        }
        StateKind::Pending => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generation_in_force_keeps_its_object() {
        let (old, new) = (Token(1), Token(2));
        assert!(!is_orphan(StateKind::Succeeded, Some(new), new));
        assert!(is_orphan(StateKind::Succeeded, Some(new), old));
        assert!(!is_orphan(StateKind::Running, Some(new), new));
        assert!(is_orphan(StateKind::Running, Some(new), old));
        assert!(is_orphan(StateKind::Waiting, Some(old), old));
        assert!(is_orphan(StateKind::Failed, Some(old), old));
        assert!(!is_orphan(StateKind::Pending, None, old));
    }
}
