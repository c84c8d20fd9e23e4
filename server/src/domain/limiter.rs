//! The rate limit of one account and operation: at most `limit` accepted calls in *any* window of
//! one second, and never fewer than offered below that.
//!
//! The window is kept exactly, as the times of the last `limit` accepted calls. A token bucket
//! (GCRA) with burst 50 would accept up to 100 calls in a badly placed second, one with burst 1
//! would refuse two calls of a quiet client; see ADR 0005.

use std::collections::VecDeque;

use super::time::Timestamp;

/// Length of the window, in milliseconds.
const WINDOW_MS: i64 = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accept,
    /// Over the limit; a call is accepted again after this many milliseconds (at least 1).
    Surplus {
        retry_after_ms: u64,
    },
}

/// The accepted calls of the last window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    accepted: VecDeque<Timestamp>,
}

impl Window {
    /// Judges a call at `now` under `limit` calls a second and counts it if accepted.
    pub fn admit(&mut self, now: Timestamp, limit: u32) -> Verdict {
        while self.accepted.front().is_some_and(|at| now.0.saturating_sub(at.0) >= WINDOW_MS) {
            self.accepted.pop_front();
        }
        let limit = limit as usize;
        if self.accepted.len() < limit {
            self.accepted.push_back(now);
            return Verdict::Accept;
        }
        // The call that must leave the window before there is room; the clock may have stepped back.
        let blocking = self.accepted.get(self.accepted.len() - limit).copied().unwrap_or(now);
        let wait = blocking.0.saturating_add(WINDOW_MS).saturating_sub(now.0);
        Verdict::Surplus { retry_after_ms: u64::try_from(wait).unwrap_or(0).clamp(1, 1_000) }
    }

    /// Calls accepted within the window that ends with the last one judged.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// Whether the window holds nothing any more, so that its owner may be forgotten.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.accepted.back().is_none_or(|at| now.0.saturating_sub(at.0) >= WINDOW_MS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fifty_of_fifty_one_calls_in_a_second_pass() {
        let mut window = Window::default();
        let verdicts: Vec<_> = (0..51).map(|i| window.admit(Timestamp(i * 19), 50)).collect();
        assert!(verdicts[..50].iter().all(|v| *v == Verdict::Accept));
        assert_eq!(verdicts[50], Verdict::Surplus { retry_after_ms: 50 });
        assert_eq!(window.admit(Timestamp(1_000), 50), Verdict::Accept);
    }

    #[test]
    fn an_offer_of_twice_the_limit_gets_all_of_the_limit() {
        let mut window = Window::default();
        let accepted =
            (0..6_000).filter(|i| window.admit(Timestamp(i * 10), 50) == Verdict::Accept).count();
        assert_eq!(accepted, 60 * 50);
    }

    proptest! {
        #[test]
        fn no_window_of_one_second_holds_more_than_the_limit(
            limit in 1u32..20,
            gaps in prop::collection::vec(0i64..200, 1..400),
        ) {
            let mut window = Window::default();
            let mut now = 0;
            let mut accepted: Vec<i64> = Vec::new();
            for gap in gaps {
                now += gap;
                match window.admit(Timestamp(now), limit) {
                    Verdict::Accept => accepted.push(now),
                    Verdict::Surplus { retry_after_ms } => {
                        // The promise of the hint: exactly then there is room.
                        let then = Timestamp(now + i64::try_from(retry_after_ms).unwrap());
                        prop_assert_eq!(window.clone().admit(then, limit), Verdict::Accept);
                    }
                }
            }
            for (i, at) in accepted.iter().enumerate() {
                let within = accepted[i..].iter().take_while(|t| **t - at < 1_000).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }
}
