//! How fast bytes may flow: a token bucket that counts in debts.
//!
//! A transfer learns how many bytes it got only once it has them, so bytes are taken first and
//! paid for afterwards: whoever takes more than there is waits until the debt is worn off. Takers
//! that share a bucket each wait for the debt of all, so that together they keep the rate, however
//! many they are.

use std::time::Duration;

/// A bucket holds what its rate yields in this time: a burst is never longer.
const BURST: Duration = Duration::from_millis(250);

/// One limit of bandwidth. Times are distances from a moment that the owner chooses.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Bytes a second; at least 1.
    rate: u64,
    /// Bytes that may be taken at once; negative is a debt.
    level: i128,
    /// When `level` was right.
    at: Duration,
}

impl Bucket {
    /// A full bucket; `rate` in bytes a second, 0 counts as 1.
    pub fn new(rate: u64, now: Duration) -> Self {
        let rate = rate.max(1);
        Self { rate, level: yielded(rate, BURST), at: now }
    }

    /// Takes `bytes` at `now`; returns how long to wait before taking more.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        // Level is in bytes times nanoseconds, so that no rounding adds up.
        let passed = now.saturating_sub(self.at);
        self.level = (self.level + yielded(self.rate, passed)).min(yielded(self.rate, BURST));
        self.at = self.at.max(now);
        self.level -= i128::from(bytes) * NANOS;
        if self.level >= 0 {
            return Duration::ZERO;
        }
        let nanos = (-self.level).div_euclid(i128::from(self.rate)) + 1;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether the bucket is as full as a new one, so that its owner may forget it.
    pub fn is_full(&self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at);
        self.level + yielded(self.rate, passed) >= yielded(self.rate, BURST)
    }
}

const NANOS: i128 = 1_000_000_000;

/// What `rate` yields in `time`, in bytes times nanoseconds.
fn yielded(rate: u64, time: Duration) -> i128 {
    let nanos = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / 2);
    i128::from(rate).saturating_mul(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_burst_is_free_and_what_follows_keeps_the_rate() {
        let mut bucket = Bucket::new(1_000, MS(0));
        assert_eq!(bucket.take(250, MS(0)), MS(0));
        assert_eq!(bucket.take(500, MS(0)), MS(500) + Duration::from_nanos(1));
        assert_eq!(bucket.take(100, MS(501)), MS(99) + Duration::from_nanos(1));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_a_burst() {
        let mut bucket = Bucket::new(1_000, MS(0));
        assert_eq!(bucket.take(250, MS(0)), MS(0));
        assert!(!bucket.is_full(MS(249)));
        assert!(bucket.is_full(MS(250)));
        assert!(bucket.take(251, MS(3_600_000)) > MS(0));
    }

    proptest! {
        /// Takers of one bucket that wait as told, each from its own take on, never get more in any
        /// stretch of time than the rate, a burst and one piece of each.
        #[test]
        fn takers_that_wait_as_told_keep_the_rate_together(
            rate in 1u64..10_000_000,
            takers in 1usize..8,
            pieces in prop::collection::vec(1u64..100_000, 1..200),
        ) {
            let mut bucket = Bucket::new(rate, Duration::ZERO);
            let mut free_at = vec![Duration::ZERO; takers];
            let largest = pieces.iter().copied().max().unwrap_or(0);
            let mut taken = 0u128;
            for bytes in pieces {
                let next = free_at.iter().copied().enumerate().min_by_key(|(_, at)| *at);
                let (who, now) = next.unwrap();
                let wait = bucket.take(bytes, now);
                free_at[who] = now + wait;
                taken += u128::from(bytes);
                let allowed = u128::from(rate) * (now + BURST).as_nanos() / 1_000_000_000;
                let pieces = u128::from(largest) * takers as u128;
                prop_assert!(taken <= allowed + pieces + 1, "{taken} > {allowed} + {pieces}");
            }
        }
    }
}
