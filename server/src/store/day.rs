//! The UTC days that quotas are counted in.

use crate::domain::time::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// The day `now` lies in, counted from 1970-01-01.
pub(super) fn number(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY_MS)
}

/// When the day after `day` begins.
pub(super) fn next_begins(day: i64) -> Timestamp {
    Timestamp(day.saturating_add(1).saturating_mul(DAY_MS))
}
