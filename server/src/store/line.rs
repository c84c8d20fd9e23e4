//! The search for an account's next job: the order within the account, and the passing over of
//! jobs whose hosts have no free place. Both embedded backends search with it.
//!
//! An account may have a hundred thousand jobs of one full host before its first job of another.
//! A claim passes over [`SKIP_LIMIT`] jobs at most; what it passed over is remembered, so that the
//! next claim goes on from there, until a host that was passed over has a free place again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{HostPlaces, SKIP_LIMIT};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::priority::Priority;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;

/// A job that waits to be claimed, as the index of ready jobs has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) due: Timestamp,
    pub(super) key: Key,
    pub(super) host: HostId,
}

/// The last that goes before a job of `priority` in the lane of `of`, as a bound that is not
/// itself among them; nothing that is not yet due by `now` goes before anybody.
pub(super) fn before(
    job: (Timestamp, Key),
    priority: Priority,
    of: Priority,
    now: Timestamp,
) -> (Timestamp, Key) {
    let (due, key) = job;
    let not_yet = (Timestamp(now.0.saturating_add(1)), Key(i64::MIN));
    (of.ready_since(priority.place(due)), key).min(not_yet)
}

/// The index of ready jobs: for each account and priority a lane, ordered by due time and key.
pub(super) trait Lanes {
    type Error;

    /// Shows the entries of a lane behind `after`, in order, until told to stop.
    fn walk(
        &mut self,
        account: AccountId,
        priority: Priority,
        after: (Timestamp, Key),
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// How far claims passed over jobs of full hosts. Kept in memory: forgetting it costs a search.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Up to here a lane has nothing but jobs of `hosts`.
    up_to: BTreeMap<(AccountId, Priority), (Timestamp, Key)>,
    hosts: BTreeSet<HostId>,
}

impl Passed {
    /// A job became ready: if that is before the end of what was passed over, it is to be found.
    pub(super) fn entered(
        &mut self,
        account: AccountId,
        priority: Priority,
        due: Timestamp,
        key: Key,
    ) {
        if self.up_to.get(&(account, priority)).is_some_and(|end| (due, key) <= *end) {
            self.up_to.remove(&(account, priority));
        }
    }

    /// Nothing counts as passed over: what became ready is not known, or a claim was undone.
    pub(super) fn clear(&mut self) {
        self.up_to.clear();
        self.hosts.clear();
    }
}

/// The searches of one claim.
#[derive(Debug)]
pub(super) struct Search<'a> {
    passed: &'a mut Passed,
    places: HostPlaces,
    now: Timestamp,
    /// Jobs that may still be passed over.
    skips: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(passed: &'a mut Passed, places: HostPlaces, now: Timestamp) -> Self {
        if passed.hosts.iter().any(|host| !places.is_full(*host)) {
            passed.clear();
        }
        Self { passed, places, now, skips: SKIP_LIMIT }
    }

    /// Finds the job of `account` that goes next and takes a place at its host.
    pub(super) fn next<L: Lanes>(
        &mut self,
        lanes: &mut L,
        account: AccountId,
    ) -> Result<Option<Key>, L::Error> {
        let mut first: Option<(Timestamp, Entry)> = None;
        for priority in Priority::ALL {
            if let Some(entry) = self.first_of(lanes, account, priority)? {
                let place = priority.place(entry.due);
                if first.is_none_or(|(other, than)| (place, entry.key) < (other, than.key)) {
                    first = Some((place, entry));
                }
            }
        }
        Ok(first.map(|(_, entry)| {
            self.places.take(entry.host);
            entry.key
        }))
    }

    /// The first entry of a lane that could go now.
    fn first_of<L: Lanes>(
        &mut self,
        lanes: &mut L,
        account: AccountId,
        priority: Priority,
    ) -> Result<Option<Entry>, L::Error> {
        let lane = (account, priority);
        let after = self.passed.up_to.get(&lane).copied();
        let (mut found, mut end) = (None, None);
        let before_all = (Timestamp(i64::MIN), Key(i64::MIN));
        lanes.walk(account, priority, after.unwrap_or(before_all), &mut |entry| {
            if entry.due > self.now {
                return ControlFlow::Break(());
            }
            if !self.places.is_full(entry.host) {
                found = Some(entry);
                return ControlFlow::Break(());
            }
            if self.skips == 0 {
                return ControlFlow::Break(());
            }
            self.skips -= 1;
            self.passed.hosts.insert(entry.host);
            end = Some((entry.due, entry.key));
            ControlFlow::Continue(())
        })?;
        if let Some(end) = end {
            self.passed.up_to.insert(lane, end);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const ACCOUNT: AccountId = AccountId(1);
    const FULL: HostId = HostId(7);
    const FREE: HostId = HostId(8);

    /// Jobs of one normal lane, ready since their key, and how many of them were shown.
    struct Lane {
        entries: Vec<Entry>,
        shown: usize,
    }

    impl Lane {
        /// So many jobs of a full host, and one of another behind them.
        fn long(full: usize) -> Self {
            let entry = |n: usize| Entry {
                due: Timestamp(n as i64),
                key: Key(n as i64),
                host: if n == full { FREE } else { FULL },
            };
            Self { entries: (0..=full).map(entry).collect(), shown: 0 }
        }
    }

    impl Lanes for Lane {
        type Error = Infallible;

        fn walk(
            &mut self,
            _: AccountId,
            priority: Priority,
            after: (Timestamp, Key),
            show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
        ) -> Result<(), Infallible> {
            let behind = self.entries.iter().filter(|entry| (entry.due, entry.key) > after);
            for entry in behind.take_while(|_| priority == Priority::Normal) {
                self.shown += 1;
                if show(*entry).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn places(full: usize) -> HostPlaces {
        HostPlaces { per_host: 1, used: BTreeMap::from([(FULL, full)]) }
    }

    fn search(passed: &mut Passed, lane: &mut Lane, full: usize) -> (Option<Key>, usize) {
        let before = lane.shown;
        let now = Timestamp(i64::MAX);
        let Ok(found) = Search::new(passed, places(full), now).next(lane, ACCOUNT);
        (found, lane.shown - before)
    }

    #[test]
    fn a_claim_passes_over_so_many_jobs_and_the_next_goes_on_from_there() {
        let mut lane = Lane::long(2 * SKIP_LIMIT + 5);
        let mut passed = Passed::default();
        assert_eq!(search(&mut passed, &mut lane, 1), (None, SKIP_LIMIT + 1));
        assert_eq!(search(&mut passed, &mut lane, 1), (None, SKIP_LIMIT + 1));
        let found = Some(Key(2 * SKIP_LIMIT as i64 + 5));
        assert_eq!(search(&mut passed, &mut lane, 1), (found, 6));
        // From now on it costs nothing, until the host has a place.
        assert_eq!(search(&mut passed, &mut lane, 1), (found, 1));
        assert_eq!(search(&mut passed, &mut lane, 0), (Some(Key(0)), 1));
        assert_eq!(search(&mut passed, &mut lane, 1), (None, SKIP_LIMIT + 1), "and anew");
    }

    #[test]
    fn what_becomes_ready_before_the_place_it_has_come_to_is_found() {
        let mut lane = Lane::long(10);
        let mut passed = Passed::default();
        assert_eq!(search(&mut passed, &mut lane, 1).0, Some(Key(10)));
        passed.entered(ACCOUNT, Priority::Normal, Timestamp(9), Key(10));
        assert_eq!(search(&mut passed, &mut lane, 1).1, 1, "that is behind it");
        passed.entered(ACCOUNT, Priority::Normal, Timestamp(9), Key(9));
        assert_eq!(search(&mut passed, &mut lane, 1).1, 11);
        passed.clear();
        assert_eq!(search(&mut passed, &mut lane, 1).1, 11);
    }
}
