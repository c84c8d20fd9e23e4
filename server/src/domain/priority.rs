//! How urgent a job is among the jobs of its own account.

use std::time::Duration;

use super::time::Timestamp;

/// What one level of urgency is worth: a job goes before those of the level below it that became
/// ready up to this long before it. The longest head start, of high over low, is well within the
/// usual deadline of a job.
pub const HEAD_START: Duration = Duration::from_secs(4 * 3_600);

/// The caller's word; it means nothing between accounts.
///
/// Jobs age: a job keeps its place in line while it waits, and those that become ready later pass
/// it only for as long as their head start lasts. However many urgent jobs come, a job waits for
/// no job that became ready more than two head starts after it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Low = 0,
    #[default]
    Normal = 1,
    High = 2,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The place in line of a job that is ready since `due`: the smaller goes first. It is a time
    /// that only compares with other places.
    pub fn place(self, due: Timestamp) -> Timestamp {
        match self {
            Self::Low => due + HEAD_START,
            Self::Normal => due,
            Self::High => due - HEAD_START,
        }
    }

    /// The time since which a job of this urgency has been ready if it has this place in line.
    pub fn ready_since(self, place: Timestamp) -> Timestamp {
        match self {
            Self::Low => place - HEAD_START,
            Self::Normal => place,
            Self::High => place + HEAD_START,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_behind_more_urgent_jobs_is_bounded() {
        let ready = Timestamp(100_000_000_000);
        let low = Priority::Low.place(ready);
        assert!(Priority::High.place(ready + HEAD_START * 2 - Duration::from_millis(1)) < low);
        assert!(Priority::High.place(ready + HEAD_START * 2) >= low);
        assert!(Priority::Normal.place(ready + HEAD_START) >= low);
        for priority in Priority::ALL {
            assert_eq!(priority.ready_since(priority.place(ready)), ready);
        }
    }
}
