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
