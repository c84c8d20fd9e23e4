//! When a job that met a transient fault is tried again.

use std::time::Duration;

use super::fault::Retry;
use super::time::Timestamp;

/// The configured shape of the pauses between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Pause after the first attempt; doubles with each further one.
    pub first: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Attempts of a job in all.
    pub attempts: u32,
}

/// What to do with a job after a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    GiveUp,
    At(Timestamp),
}

impl Backoff {
    /// Decides the next step after attempt number `attempt` (from 1) met a fault at `now`.
    ///
    /// `jitter` in `0.0..1.0` spreads the pause over its upper half, so that jobs which failed
    /// together do not come back together. A pause past `deadline` gives up at once: the caller
    /// learns now what could only be learnt later.
    pub fn next(
        &self,
        attempt: u32,
        retry: Retry,
        now: Timestamp,
        deadline: Timestamp,
        jitter: f64,
    ) -> Next {
        let floor = match retry {
            Retry::Never | Retry::AnotherUrl => return Next::GiveUp,
            Retry::Once if attempt > 1 => return Next::GiveUp,
            Retry::Once | Retry::Backoff | Retry::AtNoCost => Duration::ZERO,
            Retry::NotBefore(ms) => Duration::from_millis(ms),
        };
        if attempt >= self.attempts {
            return Next::GiveUp;
        }
        let doublings = attempt.saturating_sub(1).min(30);
        let full = self.first.saturating_mul(1 << doublings).min(self.max);
        let pause = full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0).max(floor);
        let at = now + pause;
        if at >= deadline { Next::GiveUp } else { Next::At(at) }
    }
}

/// First and longest pause of a job whose host had no place.
const PLACE_PAUSE: Duration = Duration::from_secs(1);
const PLACE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// When a job that was led to a full host is tried again: the pause doubles with each of the
/// `returns` before, and `jitter` in `0.0..1.0` spreads it over its upper half. Never past
/// `deadline`, where the job has to be told that it failed.
pub fn place_again(returns: u32, now: Timestamp, deadline: Timestamp, jitter: f64) -> Timestamp {
    let full = PLACE_PAUSE.saturating_mul(1 << returns.min(10)).min(PLACE_PAUSE_MAX);
    (now + full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)).min(deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_secs(1), max: Duration::from_secs(10), attempts: 5 };
    const FAR: Timestamp = Timestamp(i64::MAX);

    #[test]
    fn pauses_double_up_to_the_maximum_and_end_with_the_last_attempt() {
        let pauses: Vec<Next> = (1..=5)
            .map(|attempt| BACKOFF.next(attempt, Retry::Backoff, Timestamp(0), FAR, 1.0))
            .collect();
        assert_eq!(
            pauses,
            [
                Next::At(Timestamp(1_000)),
                Next::At(Timestamp(2_000)),
                Next::At(Timestamp(4_000)),
                Next::At(Timestamp(8_000)),
                Next::GiveUp
            ]
        );
        let jittered = BACKOFF.next(1, Retry::Backoff, Timestamp(0), FAR, 0.0);
        assert_eq!(jittered, Next::At(Timestamp(500)));
    }

    #[test]
    fn a_permanent_fault_or_a_pause_past_the_deadline_gives_up_at_once() {
        assert_eq!(BACKOFF.next(1, Retry::Never, Timestamp(0), FAR, 0.5), Next::GiveUp);
        assert_eq!(BACKOFF.next(1, Retry::AnotherUrl, Timestamp(0), FAR, 0.5), Next::GiveUp);
        let near = Timestamp(800);
        assert_eq!(BACKOFF.next(1, Retry::Backoff, Timestamp(0), near, 1.0), Next::GiveUp);
    }

    #[test]
    fn a_passing_mix_up_is_given_one_more_attempt() {
        let next = |attempt| BACKOFF.next(attempt, Retry::Once, Timestamp(0), FAR, 1.0);
        assert_eq!((next(1), next(2)), (Next::At(Timestamp(1_000)), Next::GiveUp));
    }

    #[test]
    fn the_pause_before_a_full_host_is_asked_again_doubles_up_to_its_limit() {
        let after = |returns| place_again(returns, Timestamp(0), Timestamp(29_000), 1.0).0;
        assert_eq!([0, 1, 4, 5, 99].map(after), [1_000, 2_000, 16_000, 29_000, 29_000]);
        assert_eq!(place_again(9, Timestamp(0), FAR, 0.0), Timestamp(15_000));
    }

    #[test]
    fn retry_after_is_the_least_pause() {
        let next = BACKOFF.next(1, Retry::NotBefore(30_000), Timestamp(0), FAR, 0.5);
        assert_eq!(next, Next::At(Timestamp(30_000)));
    }
}
