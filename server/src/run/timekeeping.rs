//! How a lone node's schedule ([`Schedule`]) and the wall clock come together again after one of them
//! was set: at a start, and when there are no jobs.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::stop::Stop;
use crate::domain::id::Key;
use crate::domain::job::{State, StateKind};
use crate::door::schedule::Schedule;
use crate::store::{PageRequest, Stats, Store, StoreResult};

/// How often the wall clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Jobs that wait for their next attempt and are looked at by a start, the newest first: more than
/// wait where not everything fails, and read in a moment.
const LOOKED_AT: usize = 5_000;
/// Jobs read at once.
const PAGE: usize = 200;

/// Before anything else is done with jobs: where the wall clock went back while jobs wait, the schedule
/// goes on from the newest of them, and from the last attempt at any of them. None of them then waits
/// for a time that has been.
///
/// # Errors
/// Those of the store.
pub async fn begin(schedule: &Schedule, store: &dyn Store) -> StoreResult<()> {
    if is_empty(&store.stats().await?) {
        return Ok(());
    }
    // Times of acceptance grow with the keys while jobs are there.
    let newest = store.job_page(PageRequest { limit: 1, ..PageRequest::default() }).await?;
    if let Some(newest) = newest.jobs.first() {
        schedule.not_before(newest.created);
    }
    let (mut before, mut looked_at) = (None, 0);
    loop {
        let states = vec![StateKind::Waiting, StateKind::AwaitingUrl];
        let request = PageRequest { states, before, limit: PAGE, ..PageRequest::default() };
        let page = store.job_page(request).await?;
        let keys: Vec<Key> = page.jobs.iter().map(|job| job.key).collect();
        for (_, attempts) in store.job_attempts(&keys).await? {
            attempts.iter().for_each(|attempt| schedule.not_before(attempt.ended));
        }
        for job in &page.jobs {
            if let State::Waiting { due } = job.progress.state
                && job.progress.renewals > 0
                && job.progress.attempt == 0
            {
                // It goes on since it was given another URL, without a pause.
                schedule.not_before(due);
            }
        }
        looked_at += keys.len();
        before = page.next.filter(|_| looked_at < LOOKED_AT);
        if before.is_none() {
            return Ok(());
        }
    }
}

/// Notices steps of the wall clock, and takes them over when no job is there whose times they could
/// upset and no submission that may still be repeated. Ends when the node drains.
pub async fn keep(schedule: &Schedule, store: &dyn Store, stop: &Stop) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            () = stop.draining() => return,
            _ = tick.tick() => {}
        }
        if !schedule.is_off() {
            told = false;
            continue;
        }
        let off_ms = schedule.off();
        match try_take_over(schedule, store).await {
            Ok(true) => tracing::info!(off_ms, "the clock of this machine was set"),
            Ok(false) if !told => {
                told = true;
                tracing::warn!(
                    off_ms,
                    "the clock of this machine was set while jobs wait: times of jobs go by the old one until none does"
                );
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot look whether jobs wait"),
        }
    }
}

async fn try_take_over(schedule: &Schedule, store: &dyn Store) -> StoreResult<bool> {
    // First this, then the look: a job that is accepted meanwhile spoils it.
    let Some(lull) = schedule.lull() else { return Ok(false) };
    Ok(is_empty(&store.stats().await?) && schedule.take_over(lull))
}

fn is_empty(stats: &Stats) -> bool {
    let Stats { pending, running, waiting, awaiting, oldest_ready: _ } = *stats;
    pending + running + waiting + awaiting == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountId;
    use crate::domain::fault::{FaultClass, JobFault};
    use crate::domain::job::JobRequest;
    use crate::domain::source_url::SourceUrl;
    use crate::domain::time::Timestamp;
    use crate::domain::turns::Shares;
    use crate::door::Clock;
    use crate::store::memory::MemoryStore;
    use crate::store::{CancelBy, ClaimRequest, HostPlaces, NewJob, Submission, SubmitLimits};

    const NOW: Timestamp = Timestamp(1_767_323_045_000);
    const DAY: Duration = Duration::from_secs(24 * 3_600);

    /// A store with one job, accepted at `NOW`, and whose it is.
    async fn with_a_job() -> (MemoryStore, AccountId) {
        let store = MemoryStore::new();
        let account = store.account_create("a", false, NOW).await.unwrap().unwrap().id;
        let url = SourceUrl::new("http://media.example/a.mp4");
        let submission = Submission {
            account,
            jobs: vec![NewJob { url: url.clone(), request: JobRequest::default() }],
            session: None,
            now: NOW,
            deadline: NOW + DAY,
            limits: SubmitLimits { calls_per_day: 0, pending: 0 },
        };
        store.job_submit(submission).await.unwrap();
        (store, account)
    }

    #[tokio::test]
    async fn a_start_after_the_clock_was_set_back_goes_on_from_the_newest_job() {
        let (store, _) = with_a_job().await;
        let schedule = Schedule::alone(Clock::manual(NOW - DAY), Duration::ZERO);
        begin(&schedule, &store).await.unwrap();
        assert!(schedule.now() >= NOW && schedule.is_off());
        // Without jobs, or when time has passed, the wall clock counts.
        for (store, wall) in [(store, NOW + DAY), (MemoryStore::new(), NOW - DAY)] {
            let schedule = Schedule::alone(Clock::manual(wall), Duration::ZERO);
            begin(&schedule, &store).await.unwrap();
            assert!(schedule.now() >= wall && !schedule.is_off());
        }
    }

    #[tokio::test]
    async fn a_start_goes_on_from_the_last_attempt_at_a_job_that_waits() {
        let (store, _) = with_a_job().await;
        let request = ClaimRequest {
            slots: 1,
            spare: 0,
            shares: Shares::default(),
            hosts: HostPlaces::default(),
            now: NOW,
            lease: DAY,
        };
        let claim = store.job_claim(request).await.unwrap().pop().unwrap();
        let (fault, later) = (JobFault::new(FaultClass::Stalled, ""), NOW + DAY);
        let due = later + Duration::from_secs(10);
        store.job_retry_later(claim, fault, due, later).await.unwrap();
        // That was a day ahead, and is right again.
        let schedule = Schedule::alone(Clock::manual(NOW), Duration::ZERO);
        begin(&schedule, &store).await.unwrap();
        assert!(schedule.now() >= later && schedule.now() < due, "it waits for seconds");
    }

    #[tokio::test]
    async fn a_step_is_taken_over_when_no_job_is_left() {
        let (store, account) = with_a_job().await;
        let wall = Clock::manual(NOW);
        let schedule = Schedule::alone(wall.clone(), Duration::ZERO);
        wall.set(NOW + DAY);
        assert!(!try_take_over(&schedule, &store).await.unwrap());
        assert!(schedule.now() < NOW + DAY / 2, "a deadline would pass early");
        let by = CancelBy::Urls(vec![SourceUrl::new("http://media.example/a.mp4")]);
        store.job_cancel_pending(account, by, NOW).await.unwrap();
        assert!(try_take_over(&schedule, &store).await.unwrap());
        assert!(schedule.now() >= NOW + DAY);
    }
}
