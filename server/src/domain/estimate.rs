//! When a job that waits will start, as far as its account's own past tells.
//!
//! Nothing of other accounts goes into it: neither how many jobs they have, nor how fast the node
//! works for them. An account that had nothing done lately gets no estimate instead of a guess.

use std::time::Duration;

use super::time::Timestamp;

/// How far back an account's jobs are counted.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Fewest jobs that must have ended in that time.
const LEAST: u64 = 5;
/// Shortest time that a rate is taken over: tallies are kept by the minute.
const SHORTEST: Duration = Duration::from_secs(60);

/// How long until the job at `position` (from 1) of its account's line starts, if the account's
/// jobs go on ending as in the [`WINDOW`] before `now`; `None` when too few ended to tell. `ended`
/// are the starts of minutes, each with the jobs that ended in it.
pub fn until_start(
    position: u64,
    ended: impl IntoIterator<Item = (Timestamp, u64)>,
    now: Timestamp,
) -> Option<Duration> {
    let begins = now - WINDOW;
    let (mut first, mut jobs) = (now, 0u64);
    for (minute, ended) in ended {
        if minute >= begins && minute <= now && ended > 0 {
            first = first.min(minute);
            jobs = jobs.saturating_add(ended);
        }
    }
    if jobs < LEAST {
        return None;
    }
    let over = u64::try_from(now.since(first).max(SHORTEST).as_millis()).unwrap_or(u64::MAX);
    Some(Duration::from_millis(over.saturating_mul(position).div_ceil(jobs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const NOW: Timestamp = Timestamp(1_000 * MINUTE);

    fn minute(ago: i64) -> Timestamp {
        Timestamp(NOW.0 - ago * MINUTE)
    }

    #[test]
    fn an_estimate_goes_by_what_ended_since_the_account_began_in_the_last_quarter_of_an_hour() {
        let steady: Vec<_> = (1..=10).map(|ago| (minute(ago), 6)).collect();
        // Six a minute.
        assert_eq!(until_start(12, steady.clone(), NOW), Some(Duration::from_secs(120)));
        assert_eq!(until_start(1, steady, NOW), Some(Duration::from_secs(10)));
        // What is older, or of the future, does not count.
        let other = [(minute(16), 1_000), (minute(-1), 1_000), (minute(2), 6)];
        assert_eq!(until_start(6, other, NOW), Some(Duration::from_secs(120)));
    }

    #[test]
    fn too_little_is_told_as_nothing() {
        assert_eq!(until_start(1, [], NOW), None);
        assert_eq!(until_start(1, [(minute(1), LEAST - 1)], NOW), None);
        // One burst within this minute is taken over a minute.
        assert_eq!(until_start(10, [(NOW, LEAST)], NOW), Some(Duration::from_secs(120)));
        assert!(until_start(u64::MAX, [(minute(9), LEAST)], NOW).is_some());
    }
}
