//! Judges every handing-out of jobs (invariants 22 and 23) by a second reading of ADR 0016: how many
//! jobs one claim may give, whose turn it is, which of an account's jobs goes first, and that nothing
//! stays that could go. It looks at all jobs, where the product has counters, lanes and a memory of
//! what it passed over.

use std::collections::{BTreeMap, BTreeSet};

use haulage::domain::account::AccountId;
use haulage::domain::id::Key;
use haulage::domain::job::State;
use haulage::domain::source_url::HostId;
use haulage::domain::time::Timestamp;
use haulage::store::ClaimRequest;

use crate::witness::Seen;

/// Computing with fractions of turns is that exact.
const ROUNDING: f64 = 1e-6;

/// What is known of the accounts, and how turns were shared so far.
#[derive(Debug, Default)]
pub struct Fair {
    accounts: BTreeMap<AccountId, Account>,
    /// By how many turns, each divided by its account's weight, the first of a pair is ahead of the
    /// second since both wanted a slot without a break.
    ahead: BTreeMap<(AccountId, AccountId), f64>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    weight: u8,
    paused: bool,
}

/// A job in its account's line.
#[derive(Debug)]
struct Waiting {
    /// The smaller goes first.
    place: (Timestamp, Key),
    due: Timestamp,
    host: HostId,
}

/// One claim, while its jobs are looked at in order.
struct Round<'a> {
    accounts: &'a BTreeMap<AccountId, Account>,
    asked: &'a ClaimRequest,
    now: Timestamp,
    free: usize,
    used: BTreeMap<HostId, usize>,
    running: BTreeMap<AccountId, usize>,
    /// Of the accounts that had anything in line when it began; in order.
    lines: BTreeMap<AccountId, Vec<Waiting>>,
}

/// The number of an invariant, and how it was broken.
type Broken = (u8, String);

impl Fair {
    /// The account has this weight, and is paused or not, from now on.
    pub fn set(&mut self, account: AccountId, weight: u8, paused: bool) {
        let before = self.accounts.insert(account, Account { weight, paused });
        if before.is_none_or(|before| before.weight != weight) {
            self.ahead.clear();
        }
    }

    /// Compares the jobs that a claim gave, in order, with those that there were before it.
    pub(crate) fn judge(
        &mut self,
        asked: &ClaimRequest,
        now: Timestamp,
        jobs: &BTreeMap<Key, Seen>,
        granted: &[Key],
    ) -> Option<Broken> {
        let Self { accounts, ahead } = self;
        let mut round = Round::new(accounts, asked, now, jobs);
        let eager: BTreeSet<AccountId> = round.eager().collect();
        ahead.retain(|(one, other), _| eager.contains(one) && eager.contains(other));
        for (at, key) in granted.iter().enumerate() {
            if at == asked.slots {
                return Some((23, format!("a claim of {} jobs gave {}", at, granted.len())));
            }
            // What was not in line is no claim at all, and others judge it.
            let Some(account) = jobs.get(key).map(|seen| seen.account) else { continue };
            if !round.has(account, *key) {
                continue;
            }
            let broken = round.limits(account, *key).or_else(|| round.turn(account, *key));
            if broken.is_some() {
                return broken;
            }
            if let Some(broken) = round.share(account, ahead) {
                return Some(broken);
            }
            round.give(account, *key);
        }
        if granted.len() < asked.slots && round.free > 0 {
            let left: Vec<_> = round.eager().map(|account| account.0).collect();
            if !left.is_empty() {
                return Some((22, format!("slots stay empty, and accounts {left:?} have jobs")));
            }
        }
        None
    }
}

impl<'a> Round<'a> {
    fn new(
        accounts: &'a BTreeMap<AccountId, Account>,
        asked: &'a ClaimRequest,
        now: Timestamp,
        jobs: &BTreeMap<Key, Seen>,
    ) -> Self {
        let mut running: BTreeMap<AccountId, usize> = BTreeMap::new();
        let mut lines: BTreeMap<AccountId, Vec<Waiting>> = BTreeMap::new();
        for (key, seen) in jobs {
            let due = match &seen.progress.state {
                State::Pending => seen.created,
                State::Waiting { due } => *due,
                State::Running { .. } => {
                    *running.entry(seen.account).or_default() += 1;
                    continue;
                }
                State::Succeeded
                | State::Failed(_)
                | State::Canceled
                | State::AwaitingUrl { .. } => continue,
            };
            let place = (seen.priority.place(due), *key);
            let waiting = Waiting { place, due, host: seen.host };
            lines.entry(seen.account).or_default().push(waiting);
        }
        lines.values_mut().for_each(|line| line.sort_by_key(|waiting| waiting.place));
        let (free, used) = (asked.slots + asked.spare, asked.hosts.used.clone());
        Self { accounts, asked, now, free, used, running, lines }
    }

    fn has(&self, account: AccountId, key: Key) -> bool {
        let line = self.lines.get(&account);
        line.is_some_and(|line| line.iter().any(|waiting| waiting.place.1 == key))
    }

    fn running(&self, account: AccountId) -> usize {
        self.running.get(&account).copied().unwrap_or(0)
    }

    fn weight(&self, account: AccountId) -> usize {
        self.accounts.get(&account).map_or(1, |account| usize::from(account.weight))
    }

    fn is_paused(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.paused)
    }

    fn is_full(&self, host: HostId) -> bool {
        let most = self.asked.hosts.per_host;
        most > 0 && self.used.get(&host).is_some_and(|used| *used >= most)
    }

    fn is_at_limit(&self, account: AccountId) -> bool {
        let most = self.asked.shares.per_account;
        most > 0 && self.running(account) >= most
    }

    /// Whether what is free is kept for accounts that hold fewer.
    fn is_reserved(&self, account: AccountId) -> bool {
        self.free <= self.asked.shares.reserve && self.running(account) >= self.free
    }

    fn may_have(&self, account: AccountId) -> bool {
        !self.is_paused(account) && !self.is_at_limit(account) && !self.is_reserved(account)
    }

    /// The job of an account that goes next.
    fn first(&self, account: AccountId) -> Option<Key> {
        let goes = |waiting: &&Waiting| waiting.due <= self.now && !self.is_full(waiting.host);
        self.lines.get(&account)?.iter().find(goes).map(|waiting| waiting.place.1)
    }

    /// Accounts that could have the next slot.
    fn eager(&self) -> impl Iterator<Item = AccountId> {
        let could = |account: &AccountId| self.may_have(*account) && self.first(*account).is_some();
        self.lines.keys().copied().filter(could)
    }

    /// Whether a limit forbids this job.
    fn limits(&self, account: AccountId, key: Key) -> Option<Broken> {
        let number = account.0;
        if self.is_paused(account) {
            return Some((22, format!("a job of account {number} starts, which is paused")));
        }
        if self.is_at_limit(account) {
            return Some((23, format!("account {number} gets more slots than one may have")));
        }
        let host = self.lines.get(&account)?.iter().find(|waiting| waiting.place.1 == key)?.host;
        if self.is_full(host) {
            return Some((23, format!("account {number} gets a job of a host that is full")));
        }
        let reserved = self.is_reserved(account);
        reserved.then(|| (22, format!("account {number} gets what is kept for others")))
    }

    /// Whether another job of the account goes before this one.
    fn turn(&self, account: AccountId, key: Key) -> Option<Broken> {
        let first = self.first(account)?;
        (first != key).then(|| (22, format!("job {} goes before {}", key.0, first.0)))
    }

    /// Whether the account has its share already, or more turns than its weight says.
    fn share(
        &self,
        account: AccountId,
        ahead: &mut BTreeMap<(AccountId, AccountId), f64>,
    ) -> Option<Broken> {
        let eager: Vec<AccountId> = self.eager().collect();
        if !self.below_share(account, &eager).any(|below| below) {
            let what = format!("account {} gets more than its share of {eager:?}", account.0);
            return Some((22, what));
        }
        let surely = |other: &AccountId| {
            *other == account || self.below_share(*other, &eager).all(|below| below)
        };
        let wanting: BTreeSet<AccountId> = eager.iter().copied().filter(surely).collect();
        ahead.retain(|(one, other), _| wanting.contains(one) && wanting.contains(other));
        let turn = |account| 1.0 / self.weight(account) as f64;
        for other in wanting.iter().copied().filter(|other| *other != account) {
            let lead = if account < other {
                let lead = ahead.entry((account, other)).or_default();
                *lead += turn(account);
                *lead
            } else {
                let lead = ahead.entry((other, account)).or_default();
                *lead -= turn(account);
                *lead
            };
            // One turn of each is what no order can do without, and another what an account keeps
            // that could not be served before.
            if lead.abs() > 2.0 * (turn(account) + turn(other)) + ROUNDING {
                let what = format!("account {} is {lead:.2} turns from {}", account.0, other.0);
                return Some((22, what));
            }
        }
        None
    }

    /// Whether an account holds less than its share of the slots, counted once for each answer to the
    /// question who else stood in the contest: those who could have the slot did, and those who
    /// have something in line that cannot go may still have.
    fn below_share(&self, account: AccountId, eager: &[AccountId]) -> impl Iterator<Item = bool> {
        let others = self.lines.keys().copied();
        let idle: Vec<AccountId> =
            others.filter(|other| self.may_have(*other) && !eager.contains(other)).collect();
        let sums = move |set: &mut dyn Iterator<Item = AccountId>| {
            set.fold((0, 0), |(running, weights), account| {
                (running + self.running(account), weights + self.weight(account))
            })
        };
        let (running, weights) = sums(&mut eager.iter().copied());
        (0..1u32 << idle.len()).map(move |subset| {
            let there = idle.iter().enumerate().filter(|(at, _)| subset & (1 << at) != 0);
            let (idle_running, idle_weights) = sums(&mut there.map(|(_, account)| *account));
            let slots = self.free + running + idle_running;
            self.running(account) * (weights + idle_weights) < slots * self.weight(account)
        })
    }

    fn give(&mut self, account: AccountId, key: Key) {
        let Some(line) = self.lines.get_mut(&account) else { return };
        if let Some(at) = line.iter().position(|waiting| waiting.place.1 == key) {
            let gone = line.remove(at);
            *self.used.entry(gone.host).or_default() += 1;
        }
        *self.running.entry(account).or_default() += 1;
        self.free = self.free.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use haulage::domain::job::{Progress, Token};
    use haulage::domain::priority::Priority;
    use haulage::domain::turns::Shares;
    use haulage::store::HostPlaces;
    use std::time::Duration;
    use tokio::time::Instant;

    use super::*;

    const NOW: Timestamp = Timestamp(100_000_000);

    /// A job that is pending since `age` milliseconds.
    fn job(account: i64, age: i64, priority: Priority, host: i64) -> Seen {
        Seen {
            number: 1,
            account: AccountId(account),
            url: String::new(),
            host: HostId(host),
            priority,
            created: Timestamp(NOW.0 - age),
            accepted: Instant::now(),
            boots: 1,
            progress: Progress::new(),
            token: Token(0),
            finished: None,
            leased_until: None,
        }
    }

    fn claim(slots: usize) -> ClaimRequest {
        ClaimRequest {
            slots,
            spare: 0,
            shares: Shares::default(),
            hosts: HostPlaces { per_host: 1, used: BTreeMap::new() },
            now: NOW,
            lease: Duration::from_secs(1),
        }
    }

    fn fair(weights: &[u8]) -> Fair {
        let mut fair = Fair::default();
        for (account, weight) in (1..).zip(weights) {
            fair.set(AccountId(account), *weight, false);
        }
        fair
    }

    fn judged(fair: &mut Fair, asked: &ClaimRequest, jobs: &[Seen], granted: &[i64]) -> Option<u8> {
        let jobs = (1..).zip(jobs.iter().cloned()).map(|(key, seen)| (Key(key), seen)).collect();
        let granted: Vec<Key> = granted.iter().copied().map(Key).collect();
        fair.judge(asked, NOW, &jobs, &granted).map(|(invariant, _)| invariant)
    }

    #[test]
    fn an_account_s_jobs_go_by_place_and_past_full_hosts() {
        let jobs = [
            job(1, 10, Priority::Normal, 1),
            job(1, 5, Priority::High, 1),
            job(1, 1, Priority::Low, 2),
        ];
        let judged = |granted: &[i64]| judged(&mut fair(&[1]), &claim(2), &jobs, granted);
        assert_eq!(judged(&[2, 3]), None, "the second of its host has to wait");
        assert_eq!(judged(&[1, 3]), Some(22), "a high one goes before a normal one");
        assert_eq!(judged(&[2, 1]), Some(23), "its host has one place");
        assert_eq!(judged(&[2]), Some(22), "a slot stays empty");
        assert_eq!(judged(&[2, 3, 1]), Some(23), "more than asked for");
    }

    #[test]
    fn slots_and_turns_go_by_weight_and_none_to_who_is_paused() {
        let jobs: Vec<Seen> = (0..40).map(|n| job(1 + n % 2, 9, Priority::Normal, n)).collect();
        // Keys from 1: those of account 1 are odd.
        let (odd, even) = ([1, 3, 5, 7, 9, 11], [2, 4, 6, 8]);
        let mixed = [2, 1, 4, 6, 3, 8];
        assert_eq!(judged(&mut fair(&[1, 1]), &claim(6), &jobs, &odd), Some(22));
        assert_eq!(judged(&mut fair(&[1, 1]), &claim(4), &jobs, &even), Some(22));
        assert_eq!(judged(&mut fair(&[1, 2]), &claim(6), &jobs, &mixed), None);
        let mut paused = fair(&[1, 1]);
        paused.set(AccountId(2), 1, true);
        assert_eq!(judged(&mut paused, &claim(6), &jobs, &odd), None);
        assert_eq!(judged(&mut paused, &claim(1), &jobs, &[2]), Some(22));
    }

    #[test]
    fn turns_of_single_slots_add_up() {
        let jobs: Vec<Seen> = (0..2).map(|n| job(1 + n, 9, Priority::Normal, n)).collect();
        let mut lone = fair(&[1, 4]);
        // Always the first one, whose weight is a quarter.
        let found = (0..8).find_map(|_| judged(&mut lone, &claim(1), &jobs, &[1]));
        assert_eq!(found, Some(22));
        let mut shared = fair(&[1, 4]);
        let turns = [1, 2, 2, 2, 2].into_iter().cycle().take(100);
        let found = turns.into_iter().find_map(|key| judged(&mut shared, &claim(1), &jobs, &[key]));
        assert_eq!(found, None);
    }
}
