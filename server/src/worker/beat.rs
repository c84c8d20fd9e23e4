//! Keeps the leases of this node's transfers, many in one write.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Worker;
use crate::store::Beat;

/// Leases prolonged in one write. Whoever waits for the store meanwhile waits for no more than one of
/// them: a call to the API is answered no later because thousands of transfers run.
const AT_ONCE: usize = 200;
/// How often a changed phase is written, so that a query sees what truly happens.
const PHASE_TICK: Duration = Duration::from_millis(500);

/// Beats every third of a lease; ends when the node aborts, or drains and runs no transfer.
pub async fn keep(worker: &Worker) {
    let interval = worker.rules.lease / 3;
    let mut tick = tokio::time::interval(interval.min(PHASE_TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beaten = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = worker.stop.aborting() => return,
            _ = tick.tick() => {}
        }
        if worker.stop.is_draining() && worker.board.is_empty() {
            return;
        }
        let all = beaten.elapsed() >= interval;
        if all {
            beaten = Instant::now();
        }
        let beats = worker.board.beats(all);
        for beats in beats.chunks(AT_ONCE) {
            prolong(worker, beats).await;
        }
    }
}

async fn prolong(worker: &Worker, beats: &[Beat]) {
    let until = worker.clock.now() + worker.rules.lease;
    match worker.store.job_beat(beats, until).await {
        Ok(refused) => {
            for beat in refused.iter().filter(|beat| worker.board.lose(beat)) {
                worker.metrics.leases_lost.inc();
                tracing::warn!(job = beat.key.0, "the lease of a transfer is gone; it stops");
            }
        }
        // The leases run on; if this goes on, the reaper gives the jobs to others, and the tokens
        // keep our writes out.
        Err(error) => tracing::error!(%error, "cannot prolong leases"),
    }
}
