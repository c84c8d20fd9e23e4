//! Keeps the leases of this node's transfers: each is prolonged once in a third of a lease, many in one
//! write, and all of them spread over that time.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Worker;
use crate::store::Beat;

/// Leases prolonged in one write. Whoever waits for the store meanwhile waits for no more than one of
/// them: a call to the API is answered no later because thousands of transfers run.
const AT_ONCE: usize = 200;
/// How often a changed phase is written, so that a query sees what truly happens, and how often some
/// of the leases are prolonged.
const TICK: Duration = Duration::from_millis(500);
/// Transfers that were put on the board one after the other and beat together: the rows of their jobs
/// lie side by side mostly, and a write of one page serves several.
const NEIGHBOURS: u64 = 50;

/// Beats every third of a lease; ends when the node aborts, or drains and runs no transfer.
pub async fn keep(worker: &Worker) {
    let interval = worker.rules.lease / 3;
    let pause = interval.min(TICK);
    let mut tick = tokio::time::interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut round) = (Instant::now(), Round::new(interval, pause));
    loop {
        tokio::select! {
            biased;
            () = worker.stop.aborting() => return,
            _ = tick.tick() => {}
        }
        if worker.stop.is_draining() && worker.board.is_empty() {
            return;
        }
        let turn = round.turn(began.elapsed());
        let beats = worker.board.beats(|place| turn.is_of(place));
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

/// Whose lease is prolonged when. Time is cut into spans of about a tick, and of the spans in an
/// interval each transfer has one: thousands that began together do not beat together.
#[derive(Debug)]
struct Round {
    span: Duration,
    /// Spans in an interval.
    spans: u64,
    /// Spans whose turn has been.
    done: u64,
}

/// The spans that came to an end between two ticks.
#[derive(Clone, Copy, Debug)]
struct Turn {
    spans: u64,
    first: u64,
    count: u64,
}

impl Round {
    fn new(interval: Duration, tick: Duration) -> Self {
        let spans = interval.as_nanos() / tick.as_nanos().max(1);
        let spans = u32::try_from(spans).unwrap_or(u32::MAX).max(1);
        Self { span: interval / spans, spans: u64::from(spans), done: 0 }
    }

    /// The turn of those whose span has ended since the last call; everybody's, if that was an interval
    /// ago: a node that was paused looks at all its leases at once.
    fn turn(&mut self, elapsed: Duration) -> Turn {
        let ended = elapsed.as_nanos() / self.span.as_nanos().max(1);
        let ended = u64::try_from(ended).unwrap_or(u64::MAX);
        let (first, count) = (self.done % self.spans, ended.saturating_sub(self.done));
        self.done = ended;
        Turn { spans: self.spans, first, count }
    }
}

impl Turn {
    /// Whether it is that of the transfer with this place on the board.
    fn is_of(self, place: u64) -> bool {
        let own = place / NEIGHBOURS % self.spans;
        (own + self.spans - self.first) % self.spans < self.count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn leases_that_began_together_are_prolonged_one_after_the_other_and_each_once_in_an_interval() {
        let (mut round, mut beaten) = (Round::new(INTERVAL, TICK), [0; 5_000]);
        for tick in 1..=20 {
            let turn = round.turn(tick * TICK);
            let due: Vec<usize> = (0..5_000).filter(|place| turn.is_of(*place as u64)).collect();
            assert_eq!(due.len(), 250, "a twentieth at once");
            due.into_iter().for_each(|place| beaten[place] += 1);
        }
        assert!(beaten.iter().all(|beaten| *beaten == 1));
    }

    #[test]
    fn whoever_was_paused_for_an_interval_looks_at_all_leases() {
        let mut round = Round::new(INTERVAL, TICK);
        round.turn(INTERVAL / 3);
        let turn = round.turn(INTERVAL / 3 + INTERVAL);
        assert!((0..5_000).all(|place| turn.is_of(place)));
        let turn = round.turn(INTERVAL / 3 + INTERVAL);
        assert!(!(0..5_000).any(|place| turn.is_of(place)), "not twice");
        let mut short = Round::new(Duration::from_millis(400), Duration::from_millis(400));
        assert!(short.turn(Duration::from_millis(400)).is_of(7));
    }

    proptest! {
        /// However late the ticks are, a lease waits no longer than an interval and the lateness.
        #[test]
        fn no_lease_waits_longer_than_an_interval_and_a_tick(
            ticks in prop::collection::vec(500..3_000u64, 1..200),
            place in any::<u64>(),
        ) {
            let mut round = Round::new(INTERVAL, TICK);
            let (mut now, mut last) = (Duration::ZERO, Duration::ZERO);
            for tick in ticks {
                let tick = Duration::from_millis(tick);
                now += tick;
                if round.turn(now).is_of(place) {
                    last = now;
                }
                prop_assert!(now - last <= INTERVAL + tick, "{:?} since the last", now - last);
            }
        }
    }
}
