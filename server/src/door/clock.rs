//! Wall-clock time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// Where the program reads the time of day.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Stands still until it is set: for tests.
    Manual(Arc<AtomicI64>),
    /// Goes by a clock that several nodes share.
    Followed(Arc<Followed>),
    /// Goes with tokio's clock, which can be paused, and can be set as a wall clock is: for
    /// simulations.
    Going {
        from: Instant,
        start: Arc<AtomicI64>,
    },
}

/// Somebody else's clock: what it said when it was last looked at, and how long ago that was by the
/// monotonic clock. A step of this machine's own time of day does not move it.
#[derive(Debug, Default)]
pub struct Followed(Mutex<Option<Look>>);

#[derive(Clone, Copy, Debug)]
struct Look {
    said: Timestamp,
    at: Instant,
    /// How long the answer took; half of it is how wrong the look can be.
    took: Duration,
}

/// A look that took this long is not believed while there is a better one...
const SLOW_LOOK: Duration = Duration::from_millis(20);
/// ...that is younger than this.
const OLD_LOOK: Duration = Duration::from_secs(30);

impl Followed {
    /// The clock said `said` at some moment between `asked` and `answered`.
    pub fn set(&self, said: Timestamp, asked: Instant, answered: Instant) {
        let took = answered.saturating_duration_since(asked);
        let at = asked + took / 2;
        let mut look = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_better = look.is_none_or(|before| {
            took <= SLOW_LOOK.max(before.took) || at.saturating_duration_since(before.at) > OLD_LOOK
        });
        if is_better {
            *look = Some(Look { said, at, took });
        }
    }

    /// What it says at a moment of this process, as far as is known; the time of day before it was
    /// ever looked at.
    fn at(&self, moment: Instant) -> Timestamp {
        let look = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look.map_or_else(system, |look| look.said + moment.saturating_duration_since(look.at))
    }
}

impl Clock {
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    pub fn going(start: Timestamp) -> Self {
        Self::Going { from: Instant::now(), start: Arc::new(AtomicI64::new(start.0)) }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system(),
            Self::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
            Self::Followed(clock) => clock.at(Instant::now()),
            Self::Going { from, start } => Timestamp(start.load(Ordering::SeqCst)) + from.elapsed(),
        }
    }

    /// Sets a clock of ours; does nothing to the others.
    pub fn set(&self, to: Timestamp) {
        match self {
            Self::System | Self::Followed(_) => {}
            Self::Manual(at) => at.store(to.0, Ordering::SeqCst),
            Self::Going { from, start } => {
                start.store((to - from.elapsed()).0, Ordering::SeqCst);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |d| d.as_millis());
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_followed_clock_goes_on_from_the_middle_of_the_last_good_look() {
        let clock = Followed::default();
        let start = Instant::now();
        let ms = |ms: u64| start + Duration::from_millis(ms);
        clock.set(Timestamp(1_000_000), ms(0), ms(10));
        assert_eq!(clock.at(ms(10)), Timestamp(1_000_005));
        assert_eq!(clock.at(ms(105)), Timestamp(1_000_100));
        // Slow, and so not believed; good, and so followed, also backwards.
        clock.set(Timestamp(5_000_000), ms(105), ms(505));
        assert_eq!(clock.at(ms(505)), Timestamp(1_000_500));
        clock.set(Timestamp(900_000), ms(505), ms(515));
        assert_eq!(clock.at(ms(515)), Timestamp(900_005));
        // Better than nothing after a long time.
        clock.set(Timestamp(2_000_000), ms(40_000), ms(40_400));
        assert_eq!(clock.at(ms(40_400)), Timestamp(2_000_200));
    }
}
