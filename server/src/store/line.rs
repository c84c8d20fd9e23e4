//! The search for an account's next job: the order within the account, and the passing over of
//! jobs whose hosts have no free place. All backends search with it.
//!
//! An account may have a hundred thousand jobs of one full host before its first job of another.
//! A claim passes over [`SKIP_LIMIT`] jobs at most, and the next goes on from there. What was passed
//! over is not done with: a host has a place again, or a job came to stand there afterwards (it was
//! another node's, or the clock was set back). So each claim looks at some of it again,
//! [`AGAIN_LIMIT`] jobs further than the last; and at its first jobs, when one of its hosts has a
//! place. Of lines that are no longer than that, nothing is ever overlooked; of longer ones nothing
//! for longer than it takes to look at them once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::HostPlaces;
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::priority::Priority;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::domain::turns::Contender;

/// Most jobs of full hosts that one claim passes over for the first time, of all accounts together:
/// it bounds what a claim costs, not what is found.
pub const SKIP_LIMIT: usize = 2_000;

/// Most jobs that one claim passes over again, of all lanes together; and as many from their heads,
/// where a host has a place again.
pub const AGAIN_LIMIT: usize = 500;
/// Of one lane at least so many, however many lanes there are.
const LEAST_AGAIN: usize = 8;

/// Where a job stands in its lane.
pub(super) type Place = (Timestamp, Key);

/// Before every job.
pub(super) const BEFORE_ALL: Place = (Timestamp(i64::MIN), Key(i64::MIN));

/// A job that waits to be claimed, as the index of ready jobs has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) due: Timestamp,
    pub(super) key: Key,
    pub(super) host: HostId,
}

impl Entry {
    pub(super) fn place(&self) -> Place {
        (self.due, self.key)
    }
}

/// The last that goes before a job of `priority` in the lane of `of`, as a bound that is not
/// itself among them; nothing that is not yet due by `now` goes before anybody.
pub(super) fn before(job: Place, priority: Priority, of: Priority, now: Timestamp) -> Place {
    let (due, key) = job;
    let not_yet = (Timestamp(now.0.saturating_add(1)), Key(i64::MIN));
    (of.ready_since(priority.place(due)), key).min(not_yet)
}

/// The index of ready jobs: for each account and priority a lane, ordered by due time and key.
pub(super) trait Lanes {
    type Error;

    /// Shows the entries of a lane behind `after`, in order, until told to stop. After an error the
    /// search is to be asked again: it goes on behind what it was shown.
    fn walk(
        &mut self,
        lane: Lane,
        after: Place,
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

pub(super) type Lane = (AccountId, Priority);

/// How far claims passed over jobs of full hosts. Kept in memory: forgetting it costs a search.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed(BTreeMap<Lane, Stretch>);

/// The first part of a lane.
#[derive(Clone, Debug)]
struct Stretch {
    /// It ends here; when it was looked at, it had nothing but jobs of `hosts`, which were full.
    up_to: Place,
    /// So far it has been looked at again.
    again: Place,
    /// Those that were not found to be out of reach since they have a place.
    hosts: BTreeSet<HostId>,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { up_to: BEFORE_ALL, again: BEFORE_ALL, hosts: BTreeSet::new() }
    }
}

impl Stretch {
    /// A look is over; the next is to begin from here.
    fn go_on(&mut self, from: Place, look: &mut Look) {
        self.again = from;
        self.hosts.append(&mut look.hosts);
    }
}

impl Passed {
    /// Where a lane begins behind what was passed over.
    pub(super) fn up_to(&self, lane: Lane) -> Place {
        self.0.get(&lane).map_or(BEFORE_ALL, |stretch| stretch.up_to)
    }

    /// Forgets the lanes of all others.
    pub(super) fn keep(&mut self, contenders: &[Contender]) {
        if !self.0.is_empty() {
            let there: BTreeSet<AccountId> = contenders.iter().map(|one| one.account).collect();
            self.0.retain(|(account, _), _| there.contains(account));
        }
    }

    /// Nothing counts as passed over: a claim was undone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The searches of one claim.
#[derive(Debug)]
pub(super) struct Search<'a> {
    passed: &'a mut Passed,
    places: HostPlaces,
    now: Timestamp,
    /// Jobs that may still be passed over for the first time.
    skips: usize,
    /// What may be looked at again of each lane.
    share: usize,
    /// From the heads of lanes, for hosts that have a place again.
    heads: BTreeMap<Lane, Look>,
    /// From where the claim before stopped.
    rounds: BTreeMap<Lane, Look>,
}

/// A look along a lane.
#[derive(Debug)]
struct Look {
    from: Place,
    /// It has come so far.
    at: Place,
    /// What is behind this is another look's.
    until: Place,
    /// Jobs that it may still pass over.
    skips: usize,
    /// The hosts of those that it passed over.
    hosts: BTreeSet<HostId>,
    ended: Option<End>,
}

/// Why a look found nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// There is nothing.
    Nothing,
    /// It was to go no further.
    Enough,
}

impl<'a> Search<'a> {
    pub(super) fn new(passed: &'a mut Passed, places: HostPlaces, now: Timestamp) -> Self {
        let share = (AGAIN_LIMIT / passed.0.len().max(1)).max(LEAST_AGAIN);
        let (heads, rounds) = (BTreeMap::new(), BTreeMap::new());
        Self { passed, places, now, skips: SKIP_LIMIT, share, heads, rounds }
    }

    /// Finds the job of `account` that goes next and takes a place at its host.
    pub(super) fn next<L: Lanes>(
        &mut self,
        lanes: &mut L,
        account: AccountId,
    ) -> Result<Option<Key>, L::Error> {
        let mut first: Option<(Timestamp, Entry)> = None;
        for priority in Priority::ALL {
            if let Some(entry) = self.first_of(lanes, (account, priority))? {
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
    fn first_of<L: Lanes>(&mut self, lanes: &mut L, lane: Lane) -> Result<Option<Entry>, L::Error> {
        if let Some(entry) = self.at_the_head(lanes, lane)? {
            return Ok(Some(entry));
        }
        if let Some(entry) = self.once_more(lanes, lane)? {
            return Ok(Some(entry));
        }
        self.further_on(lanes, lane)
    }

    /// Looks for the first job of a host that was passed over and has a place now.
    fn at_the_head<L: Lanes>(
        &mut self,
        lanes: &mut L,
        lane: Lane,
    ) -> Result<Option<Entry>, L::Error> {
        let Some(stretch) = self.passed.0.get_mut(&lane) else { return Ok(None) };
        let is_full = |host: &HostId| self.places.is_full(*host);
        if stretch.hosts.iter().all(is_full) {
            return Ok(None);
        }
        let begin = || Look::new(BEFORE_ALL, stretch.up_to, self.share);
        let look = self.heads.entry(lane).or_insert_with(begin);
        let found = look.along(lanes, lane, &self.places, self.now)?;
        if found.is_none() {
            // They are further on, or not there any more: the rounds will tell.
            stretch.hosts.retain(is_full);
        }
        Ok(found)
    }

    /// Looks at what was passed over, from where the last claim stopped doing so.
    fn once_more<L: Lanes>(
        &mut self,
        lanes: &mut L,
        lane: Lane,
    ) -> Result<Option<Entry>, L::Error> {
        let Some(stretch) = self.passed.0.get_mut(&lane) else { return Ok(None) };
        let begin = || Look::new(stretch.again, stretch.up_to, self.share);
        let look = self.rounds.entry(lane).or_insert_with(begin);
        if look.ended.is_some() {
            return Ok(None);
        }
        let found = look.along(lanes, lane, &self.places, self.now)?;
        match look.ended {
            // None is left of what was passed over.
            Some(End::Nothing) if look.from == BEFORE_ALL && look.hosts.is_empty() => {
                self.passed.0.remove(&lane);
            }
            Some(End::Nothing) => stretch.go_on(BEFORE_ALL, look),
            Some(End::Enough) => stretch.go_on(look.at, look),
            None => {}
        }
        Ok(found)
    }

    /// Looks at what no claim has seen.
    fn further_on<L: Lanes>(
        &mut self,
        lanes: &mut L,
        lane: Lane,
    ) -> Result<Option<Entry>, L::Error> {
        let after_all = (Timestamp(i64::MAX), Key(i64::MAX));
        let start = self.passed.up_to(lane);
        let mut look = Look::new(start, after_all, self.skips);
        let found = look.along(lanes, lane, &self.places, self.now);
        self.skips = look.skips;
        if look.at > start {
            let stretch = self.passed.0.entry(lane).or_default();
            stretch.up_to = look.at;
            stretch.hosts.append(&mut look.hosts);
        }
        found
    }
}

impl Look {
    fn new(at: Place, until: Place, skips: usize) -> Self {
        Self { from: at, at, until, skips, hosts: BTreeSet::new(), ended: None }
    }

    /// The first entry whose host has a place.
    fn along<L: Lanes>(
        &mut self,
        lanes: &mut L,
        lane: Lane,
        places: &HostPlaces,
        now: Timestamp,
    ) -> Result<Option<Entry>, L::Error> {
        let (mut found, mut end) = (None, End::Nothing);
        lanes.walk(lane, self.at, &mut |entry| {
            if entry.due > now || entry.place() > self.until {
                return ControlFlow::Break(());
            }
            if !places.is_full(entry.host) {
                found = Some(entry);
                return ControlFlow::Break(());
            }
            if self.skips == 0 {
                end = End::Enough;
                return ControlFlow::Break(());
            }
            self.skips -= 1;
            self.hosts.insert(entry.host);
            self.at = entry.place();
            ControlFlow::Continue(())
        })?;
        self.ended = found.is_none().then_some(end);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::domain::account::Weight;

    const ACCOUNT: AccountId = AccountId(1);
    const FULL: HostId = HostId(7);
    const FREE: HostId = HostId(8);

    /// Jobs of one normal lane, ready since their key, and how many of them were shown.
    struct Lines {
        entries: Vec<Entry>,
        shown: usize,
    }

    fn entry(n: usize, host: HostId) -> Entry {
        Entry { due: Timestamp(n as i64), key: Key(n as i64), host }
    }

    impl Lines {
        /// So many jobs of a full host, and one of another behind them.
        fn long(full: usize) -> Self {
            let host = |n| if n == full { FREE } else { FULL };
            Self { entries: (0..=full).map(|n| entry(n, host(n))).collect(), shown: 0 }
        }

        fn take(&mut self, key: Option<Key>) {
            self.entries.retain(|entry| Some(entry.key) != key);
        }
    }

    impl Lanes for Lines {
        type Error = Infallible;

        fn walk(
            &mut self,
            (_, priority): Lane,
            after: Place,
            show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
        ) -> Result<(), Infallible> {
            let behind = self.entries.iter().filter(|entry| entry.place() > after);
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

    fn search(passed: &mut Passed, lane: &mut Lines, full: usize) -> (Option<Key>, usize) {
        let before = lane.shown;
        let now = Timestamp(i64::MAX);
        let Ok(found) = Search::new(passed, places(full), now).next(lane, ACCOUNT);
        (found, lane.shown - before)
    }

    #[test]
    fn a_claim_passes_over_so_many_jobs_and_the_next_goes_on_from_there() {
        let mut lane = Lines::long(2 * SKIP_LIMIT + 5);
        let mut passed = Passed::default();
        assert_eq!(search(&mut passed, &mut lane, 1), (None, SKIP_LIMIT + 1));
        // The one that a look stops at is shown as well.
        let again = AGAIN_LIMIT + 1;
        assert_eq!(search(&mut passed, &mut lane, 1), (None, again + SKIP_LIMIT + 1));
        let found = Some(Key(2 * SKIP_LIMIT as i64 + 5));
        assert_eq!(search(&mut passed, &mut lane, 1), (found, again + 6));
        // From now on it costs no more than that, however long the line is.
        for _ in 0..20 {
            let (key, shown) = search(&mut passed, &mut lane, 1);
            assert!(key == found && shown <= again + 1, "{key:?}, {shown} shown");
        }
        // Once the host has a place, the first of the line goes, and at once.
        assert_eq!(search(&mut passed, &mut lane, 0), (Some(Key(0)), 1));
    }

    #[test]
    fn what_comes_to_stand_in_what_was_passed_over_is_found() {
        let many = 4 * AGAIN_LIMIT;
        for late in [0, AGAIN_LIMIT, many - 1] {
            let mut lane = Lines::long(many);
            let mut passed = Passed::default();
            let found = search(&mut passed, &mut lane, 1).0;
            assert_eq!(found, Some(Key(many as i64)));
            lane.take(found);
            lane.entries[late].host = FREE;
            // A whole round, from wherever the looks are just now.
            let mut rounds = 0;
            while search(&mut passed, &mut lane, 1).0 != Some(Key(late as i64)) {
                rounds += 1;
                assert!(rounds <= many / AGAIN_LIMIT + 1, "{late} was not found");
            }
        }
    }

    #[test]
    fn a_stretch_that_is_gone_is_forgotten_and_so_are_lanes_of_accounts_without_jobs() {
        let mut lane = Lines::long(9);
        let mut passed = Passed::default();
        search(&mut passed, &mut lane, 1);
        let contender = |account| Contender { account, weight: Weight::default(), running: 0 };
        passed.keep(&[contender(AccountId(2)), contender(ACCOUNT)]);
        assert_eq!(passed.0.len(), 1);
        let mut others = passed.clone();
        others.keep(&[contender(AccountId(2))]);
        assert_eq!(others.0.len(), 0);
        lane.entries.drain(..9);
        search(&mut passed, &mut lane, 1);
        assert_eq!(passed.0.len(), 0);
    }

    #[test]
    fn a_short_line_is_looked_at_whole_by_each_claim() {
        let mut lane = Lines::long(AGAIN_LIMIT - 1);
        let mut passed = Passed::default();
        let found = search(&mut passed, &mut lane, 1).0;
        lane.take(found);
        for late in [3, AGAIN_LIMIT - 2, 0] {
            lane.entries[late].host = FREE;
            assert_eq!(search(&mut passed, &mut lane, 1).0, Some(lane.entries[late].key));
            lane.entries[late].host = FULL;
        }
    }

    /// The host of the long line has a place at each claim, as when its transfers are short.
    #[test]
    fn a_long_line_that_moves_on_hides_nothing_for_long() {
        let full = 3 * SKIP_LIMIT;
        let mut lane = Lines::long(full);
        let mut passed = Passed::default();
        for round in 0..=4 {
            let mut search = Search::new(&mut passed, places(0), Timestamp(i64::MAX));
            let Ok(first) = search.next(&mut lane, ACCOUNT);
            assert_eq!(first, Some(Key(round)), "the line keeps its order");
            lane.take(first);
            let Ok(second) = search.next(&mut lane, ACCOUNT);
            if second == Some(Key(full as i64)) {
                return;
            }
            assert_eq!(second, None);
        }
        panic!("the last of the line was not found");
    }

    /// Many hosts: the one that has a place stands far behind in a long line, and again and again.
    #[test]
    fn a_host_that_has_a_place_is_found_far_behind() {
        let many = 3 * AGAIN_LIMIT;
        let mut lane = Lines::long(many);
        let third = HostId(9);
        lane.entries[2 * AGAIN_LIMIT].host = third;
        let full = HostPlaces { per_host: 1, used: BTreeMap::from([(FULL, 1), (third, 1)]) };
        let mut passed = Passed::default();
        let Ok(found) =
            Search::new(&mut passed, full, Timestamp(i64::MAX)).next(&mut lane, ACCOUNT);
        lane.take(found);
        let wanted = Some(lane.entries[2 * AGAIN_LIMIT].key);
        assert!((0..4).any(|_| search(&mut passed, &mut lane, 1).0 == wanted));
    }
}
