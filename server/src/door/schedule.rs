//! The time that jobs go by: their order, leases, pauses and deadlines.
//!
//! Nodes that share a database go by its clock. A lone node has only its machine's wall clock, which
//! can be set: by a person, by NTP at the start, by a laptop that wakes up. So it looks at that once and
//! goes on by the monotonic clock (ADR 0023): no step ends a lease or a deadline early, and none holds
//! a job up. A step is taken over when no job is there whose times it could upset, and none was accepted
//! for so long that nobody repeats a submission any more; and at a start.
//!
//! What is not about jobs (signatures, nonces, play URLs) goes by the wall clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Clock;
use super::clock::Followed;
use crate::domain::time::Timestamp;

/// A wall clock that is off by less was slewed, or was looked at a moment later.
pub const STEP: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Debug)]
pub struct Schedule {
    clock: Clock,
    /// Of a lone node.
    alone: Option<Arc<Alone>>,
}

#[derive(Debug)]
struct Alone {
    wall: Clock,
    time: Arc<Followed>,
    /// How long nobody may have been accepting jobs before a step is taken over.
    rest: Duration,
    entries: Mutex<Entries>,
}

/// Who is accepting jobs.
#[derive(Debug)]
struct Entries {
    open: usize,
    ever: u64,
    /// When the last one came, or the process began.
    last: Instant,
}

/// The acceptance of jobs at a time: while it is held, and since it was, nobody may say that there
/// are no jobs.
#[derive(Debug)]
pub struct Entry {
    now: Timestamp,
    alone: Option<Arc<Alone>>,
}

/// A moment at which nobody had been accepting jobs for a while.
#[derive(Clone, Copy, Debug)]
pub struct Lull(u64);

impl Schedule {
    /// Goes by a clock that nobody sets: a shared database's.
    pub fn of(clock: Clock) -> Self {
        Self { clock, alone: None }
    }

    /// Goes on from what the wall clock of a lone node says now. A step is taken over once nobody has
    /// been accepting jobs for `rest`.
    pub fn alone(wall: Clock, rest: Duration) -> Self {
        let time = Arc::new(Followed::default());
        let now = Instant::now();
        time.set(wall.now(), now, now);
        let clock = Clock::Followed(time.clone());
        let entries = Mutex::new(Entries { open: 0, ever: 0, last: now });
        Self { clock, alone: Some(Arc::new(Alone { wall, time, rest, entries })) }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The time at which jobs are accepted; held until they are.
    pub fn enter(&self) -> Entry {
        let Some(alone) = &self.alone else { return Entry { now: self.now(), alone: None } };
        let mut entries = alone.entries();
        entries.open += 1;
        entries.ever += 1;
        entries.last = Instant::now();
        // Read under the lock: the wall clock is not taken over in between.
        Entry { now: self.clock.now(), alone: Some(alone.clone()) }
    }

    /// How far the wall clock is from it: ahead, in milliseconds, or behind (negative). 0 where there
    /// is nothing to take over.
    pub fn off(&self) -> i64 {
        self.alone.as_ref().map_or(0, |alone| alone.wall.now().0 - self.now().0)
    }

    /// Whether the wall clock was set.
    pub fn is_off(&self) -> bool {
        Duration::from_millis(self.off().unsigned_abs()) >= STEP
    }

    /// Goes on from `at`, if that is later: jobs are there that were accepted then.
    pub fn not_before(&self, at: Timestamp) {
        if let Some(alone) = &self.alone
            && at > self.now()
        {
            let now = Instant::now();
            alone.time.set(at, now, now);
        }
    }

    /// Whether nobody is accepting jobs, and has been for a while. With this and the finding, made later, that there are none,
    /// [`Schedule::take_over`] may be tried.
    pub fn lull(&self) -> Option<Lull> {
        let alone = self.alone.as_ref()?;
        let entries = alone.entries();
        let rests = entries.open == 0 && entries.last.elapsed() >= alone.rest;
        rests.then_some(Lull(entries.ever))
    }

    /// Goes on from what the wall clock says, unless somebody began to accept jobs since `lull`.
    pub fn take_over(&self, lull: Lull) -> bool {
        let Some(alone) = &self.alone else { return false };
        let entries = alone.entries();
        let is_quiet = entries.open == 0 && entries.ever == lull.0;
        if is_quiet {
            let now = Instant::now();
            alone.time.set(alone.wall.now(), now, now);
        }
        is_quiet
    }
}

impl Alone {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(alone) = &self.alone {
            alone.entries().open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_323_045_000);
    const DAY: i64 = 24 * 3_600_000;

    /// A lone node's schedule and its wall clock, which was set by `step` milliseconds since.
    fn stepped(step: i64) -> (Schedule, Clock) {
        let wall = Clock::manual(NOW);
        let schedule = Schedule::alone(wall.clone(), Duration::ZERO);
        wall.set(Timestamp(NOW.0 + step));
        (schedule, wall)
    }

    fn is_about(found: Timestamp, wanted: Timestamp) -> bool {
        (found.0 - wanted.0).abs() < DAY / 2
    }

    #[test]
    fn no_step_of_the_wall_clock_moves_it() {
        for step in [-DAY, -DAY / 24, DAY / 24, DAY] {
            let (schedule, _) = stepped(step);
            assert!(is_about(schedule.now(), NOW) && schedule.now() >= NOW);
            assert!(schedule.is_off() && (schedule.off() > 0) == (step > 0));
        }
        assert!(!stepped(0).0.is_off());
    }

    #[test]
    fn a_step_is_taken_over_in_a_lull_alone() {
        for step in [-DAY, DAY] {
            let (schedule, wall) = stepped(step);
            let lull = schedule.lull().expect("nobody has come yet");
            let entry = schedule.enter();
            assert!(is_about(entry.now(), NOW));
            assert!(schedule.lull().is_none() && !schedule.take_over(lull), "somebody is there");
            drop(entry);
            assert!(!schedule.take_over(lull), "somebody was there");
            let lull = schedule.lull().expect("everybody has gone");
            assert!(schedule.take_over(lull) && is_about(schedule.now(), wall.now()));
            assert!(!schedule.is_off());
        }
    }

    #[test]
    fn no_step_is_taken_over_while_submissions_may_be_repeated() {
        let wall = Clock::manual(NOW);
        let schedule = Schedule::alone(wall.clone(), Duration::from_secs(3_600));
        wall.set(Timestamp(NOW.0 + DAY));
        assert!(schedule.lull().is_none(), "a submission before the start may be repeated");
        drop(schedule.enter());
        assert!(schedule.lull().is_none());
    }

    #[test]
    fn it_begins_no_earlier_than_what_is_there() {
        let (schedule, _) = stepped(0);
        schedule.not_before(Timestamp(NOW.0 - DAY));
        assert!(is_about(schedule.now(), NOW));
        schedule.not_before(Timestamp(NOW.0 + DAY));
        assert!(schedule.now() >= Timestamp(NOW.0 + DAY) && schedule.off() < 0);
    }

    #[test]
    fn a_shared_clock_is_nobody_s_to_take_over() {
        let clock = Clock::manual(NOW);
        let schedule = Schedule::of(clock.clone());
        clock.set(Timestamp(NOW.0 + DAY));
        assert_eq!(schedule.enter().now(), clock.now());
        assert!(!schedule.is_off() && schedule.lull().is_none());
    }
}
