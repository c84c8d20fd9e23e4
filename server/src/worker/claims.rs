//! Hands jobs to free slots.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Worker, one_job};
use crate::store::{Claim, ClaimRequest, HostPlaces, StoreResult};

/// Jobs taken in one claim: enough to amortise its commit, few enough that a node does not hold
/// jobs another could start.
const CLAIM_BATCH: usize = 64;
/// Without a wake-up, look for work this often: wake-ups are a hint, polling is the promise, and
/// it is what finds jobs whose pause between two attempts is over.
const POLL: Duration = Duration::from_millis(250);

/// Claims and starts jobs until the node drains.
pub async fn run(worker: Arc<Worker>) {
    loop {
        // Interest is registered before the query, so a submission between the two is not missed.
        let woken = worker.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();

        let permit = tokio::select! {
            biased;
            () = worker.stop.draining() => return,
            permit = worker.slots.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        match fill(&worker, permit).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => tracing::error!(%error, "cannot claim jobs"),
        }
        tokio::select! {
            biased;
            () = worker.stop.draining() => return,
            () = woken => {}
            () = worker.store.woken() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Claims as many jobs as there are free slots, up to a batch, and starts them; returns how many.
async fn fill(worker: &Arc<Worker>, first: OwnedSemaphorePermit) -> StoreResult<usize> {
    let free = worker.slots.available_permits() + 1;
    let slots = free.min(CLAIM_BATCH);
    let claims = worker
        .store
        .job_claim(ClaimRequest {
            slots,
            spare: free - slots,
            shares: worker.rules.shares,
            hosts: HostPlaces {
                per_host: worker.fetcher.per_host(),
                used: worker.fetcher.places_taken(),
            },
            now: worker.clock.now(),
            lease: worker.rules.lease,
        })
        .await?;
    let taken = claims.len();
    let mut permit = Some(first);
    for claim in claims {
        // This loop alone acquires slots, so those counted free above still are.
        let slot = permit.take().or_else(|| worker.slots.clone().try_acquire_owned().ok());
        start(worker.clone(), Box::new(claim), slot);
    }
    Ok(taken)
}

fn start(worker: Arc<Worker>, claim: Box<Claim>, slot: Option<OwnedSemaphorePermit>) {
    let posted = worker.board.post(&claim);
    // Taken now, so that the next claim counts it.
    let place = worker.fetcher.place(&claim.job().url);
    worker.metrics.transfers.inc();
    worker.tasks.clone().spawn("transfer", async move {
        one_job::run(&worker, claim, posted.active(), place).await;
        drop(posted);
        worker.metrics.transfers.dec();
        drop(slot);
        // Others may have waited for this account's share, or for the place at this host, while
        // slots were free.
        worker.wake.notify_one();
    });
}
