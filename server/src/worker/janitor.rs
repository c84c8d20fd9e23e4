//! Ends leases that nobody keeps, and removes what crashes left behind.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Worker;
use super::partials::{self, When};
use crate::blob::{BlobError, Blobs, Cleared, Upload, parse_object_key};
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
                clear_abandoned(worker).await;
            }
            _ = sweep.tick() => sweep_locations(worker).await,
        }
    }
}

async fn sweep_partials(worker: &Worker) {
    let (store, limits) = (worker.store.as_ref(), &worker.rules.partials);
    let now = worker.past();
    match partials::sweep(store, &worker.spool, limits, now, When::Running).await {
        Ok(swept) if swept.removed == 0 => {}
        Ok(swept) => {
            worker.metrics.partials_removed.inc_by(swept.removed as u64);
            tracing::info!(removed = swept.removed, kept = swept.kept, "unfinished files removed");
        }
        Err(error) => tracing::error!(%error, "cannot sweep unfinished files"),
    }
}

/// Ends uploads that broke off, of this process or of the one before it.
async fn clear_abandoned(worker: &Worker) {
    for (location, blobs) in worker.locations.all() {
        match blobs.clear_abandoned().await {
            Ok(cleared) if cleared == Cleared::default() => {}
            Ok(Cleared { aborted, failed }) => {
                worker.metrics.uploads_aborted.inc_by(aborted as u64);
                worker.metrics.aborts_failed.inc_by(failed as u64);
                tracing::info!(location, aborted, failed, "broken-off uploads ended");
            }
            Err(error) => tracing::error!(location, %error, "cannot end broken-off uploads"),
        }
    }
}

/// Each location for itself: one that is away keeps no other from being swept.
async fn sweep_locations(worker: &Worker) {
    for (location, blobs) in worker.locations.all() {
        match sweep_objects(worker, blobs.as_ref()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(location, removed, "objects without a job removed"),
            Err(error) => tracing::error!(location, %error, "cannot sweep objects"),
        }
        match sweep_uploads(worker, blobs.as_ref()).await {
            Ok(0) => {}
            Ok(aborted) => tracing::info!(location, aborted, "uploads without a job ended"),
            Err(error) => tracing::error!(location, %error, "cannot sweep uploads"),
        }
    }
}

async fn forget(worker: &Worker) {
    let now = worker.past();
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
pub async fn sweep_objects(worker: &Worker, blobs: &dyn Blobs) -> Result<usize, SweepError> {
    let mut removed = 0;
    let mut after: Option<String> = None;
    loop {
        let objects = blobs.list(after.as_deref(), SWEEP_BATCH).await?;
        let Some(last) = objects.last() else { return Ok(removed) };
        after = Some(last.clone());
        let states = states(worker, objects.iter().map(String::as_str)).await?;
        for name in &objects {
            let Some((key, token)) = parse_object_key(name) else { continue };
            let Some((kind, current)) = states.get(&key) else { continue };
            if is_orphan(*kind, *current, token) && blobs.delete(name).await? {
                worker.metrics.orphans_removed.inc();
                removed += 1;
            }
        }
    }
}

/// Ends uploads that can never become their job's object, whichever node began them: those of a
/// node that is gone for good, and those whose beginning was answered to nobody. Uploads of
/// unknown jobs stay, as objects do.
///
/// # Errors
/// When the uploads or the jobs cannot be read; what was ended until then stays ended.
pub async fn sweep_uploads(worker: &Worker, blobs: &dyn Blobs) -> Result<usize, SweepError> {
    let mut aborted = 0;
    let mut after: Option<Upload> = None;
    loop {
        let uploads = blobs.uploads(after.as_ref(), SWEEP_BATCH).await?;
        let Some(last) = uploads.last() else { return Ok(aborted) };
        // A service that ignores where to go on must not be asked for ever.
        if after.as_ref() == Some(last) {
            return Ok(aborted);
        }
        after = Some(last.clone());
        let names = uploads.iter().map(|upload| upload.object_key.as_str());
        let states = states(worker, names).await?;
        for upload in &uploads {
            let Some((key, token)) = parse_object_key(&upload.object_key) else { continue };
            let Some((kind, current)) = states.get(&key) else { continue };
            if !is_void(*kind, *current, token) {
                continue;
            }
            match blobs.abort(upload).await {
                Ok(()) => {
                    worker.metrics.uploads_aborted.inc();
                    aborted += 1;
                }
                Err(error) => {
                    worker.metrics.aborts_failed.inc();
                    tracing::warn!(object_key = upload.object_key, %error, "an upload stays");
                }
            }
        }
    }
}

/// The state and current token of the jobs that these objects are named after.
async fn states(
    worker: &Worker,
    names: impl Iterator<Item = &str>,
) -> Result<HashMap<Key, (StateKind, Option<Token>)>, StoreError> {
    let mut keys: Vec<Key> = names.filter_map(parse_object_key).map(|(key, _)| key).collect();
    keys.dedup();
    let states = worker.store.job_states(&keys).await?;
    Ok(states.into_iter().map(|(key, kind, token)| (key, (kind, token))).collect())
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

/// Whether the upload of generation `token` can never be completed any more. Unlike an object, one
/// of a job that has succeeded is of no use either.
fn is_void(kind: StateKind, current: Option<Token>, token: Token) -> bool {
    match kind {
        StateKind::Succeeded => true,
        StateKind::Running
        | StateKind::Waiting
        | StateKind::AwaitingUrl
        | StateKind::Failed
        | StateKind::Canceled
        | StateKind::Pending => is_orphan(kind, current, token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generation_in_force_keeps_its_uploads_and_only_while_it_runs() {
        let (old, new) = (Token(1), Token(2));
        assert!(!is_void(StateKind::Running, Some(new), new));
        assert!(is_void(StateKind::Running, Some(new), old));
        assert!(is_void(StateKind::Succeeded, Some(new), new));
        assert!(is_void(StateKind::Waiting, Some(old), old));
        assert!(!is_void(StateKind::Pending, None, old));
    }

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
