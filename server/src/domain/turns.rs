//! Whose job goes next: weighted fair sharing of a node's slots between accounts (ADR 0016).
//!
//! Two measures, because jobs last from milliseconds to hours. *Slots*: an account that holds its
//! share of them, by weight, among those that want one, gets no more until others have theirs; so
//! slow sources slow down their own account alone. *Turns*: of the accounts below their share the
//! one goes first that was served least, by weight (stride scheduling); so a node with one slot is
//! as fair as one with hundreds. What nobody else wants goes to whoever has work, except a reserve:
//! the last slots are for accounts that hold few, so that an account's first job does not wait for
//! another's transfers.
//!
//! Nothing here knows how many jobs wait: the cost goes by the number of accounts alone.

use std::collections::BTreeMap;

use super::account::{AccountId, Weight};

/// What a turn of an account with weight 1 costs. A weight divides it; what is lost by rounding is
/// less than one turn in ten million.
const TURN: u64 = 1 << 32;

/// Who was served how often, between claims. It holds those who contended last and those who were
/// served since everybody else, so never many more accounts than have jobs.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// What the account served last had paid before it was served. A newcomer starts here: it goes
    /// before everybody who was served since, and cannot save up turns by staying away.
    now: u64,
    /// What accounts have paid, where they contend or it is more than `now`.
    paid: BTreeMap<AccountId, u64>,
}

/// An account that has something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contender {
    pub account: AccountId,
    pub weight: Weight,
    /// Slots it holds.
    pub running: usize,
}

/// Limits on what one account may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shares {
    /// Most slots of one account; 0 means no limit.
    pub per_account: usize,
    /// So many of the free slots are kept for accounts that hold few.
    pub reserve: usize,
}

/// One handing-out of slots.
#[derive(Debug)]
pub struct Contest<'a> {
    turns: &'a mut Turns,
    shares: Shares,
    /// Jobs that may still be handed out.
    most: usize,
    free: usize,
    contenders: Vec<Contender>,
}

impl Shares {
    /// Whether an account that holds `running` slots may take one of `free` more, whatever others
    /// want. Of the reserve it may take while it holds fewer than would be left: that hands the
    /// reserve out by halves, and several accounts find something in it.
    fn allow(self, running: usize, free: usize) -> bool {
        let under_limit = self.per_account == 0 || running < self.per_account;
        under_limit && (free > self.reserve || running < free)
    }
}

impl Turns {
    /// Begins to hand out at most `most` of `free` slots to `contenders`, each of which stands in it
    /// once.
    pub fn contest(
        &mut self,
        contenders: impl IntoIterator<Item = Contender>,
        most: usize,
        free: usize,
        shares: Shares,
    ) -> Contest<'_> {
        let mut contenders: Vec<Contender> = contenders.into_iter().collect();
        contenders.sort_unstable_by_key(|contender| contender.account);
        let contends = |account: &AccountId| {
            contenders.binary_search_by_key(account, |contender| contender.account).is_ok()
        };
        let now = self.now;
        self.paid.retain(|account, paid| *paid > now || contends(account));
        Contest { turns: self, shares, most, free, contenders }
    }

    /// What `account` has paid. Whoever fell behind keeps one turn of it.
    fn paid(&self, account: AccountId, weight: Weight) -> u64 {
        match self.paid.get(&account) {
            Some(paid) => (*paid).max(self.now.saturating_sub(cost(weight))),
            None => self.now,
        }
    }

    fn serve(&mut self, account: AccountId, weight: Weight) {
        let paid = self.paid(account, weight);
        self.now = self.now.max(paid);
        self.paid.insert(account, paid.saturating_add(cost(weight)));
    }
}

/// What a turn costs an account of this weight.
fn cost(weight: Weight) -> u64 {
    TURN / u64::from(weight.get())
}

impl Contest<'_> {
    /// The account whose job goes next; `None` when no slot is free, or none is for anybody here.
    /// Say what came of it with [`Contest::served`] or [`Contest::out`] before asking again.
    pub fn whose_turn(&mut self) -> Option<AccountId> {
        let (shares, free) = (self.shares, self.free);
        if free == 0 || self.most == 0 {
            return None;
        }
        // Free slots only become fewer, so whoever may not take one now may take none.
        self.contenders.retain(|contender| shares.allow(contender.running, free));
        let slots = free + self.contenders.iter().map(|c| c.running).sum::<usize>();
        let weights: u128 = self.contenders.iter().map(|c| u128::from(c.weight.get())).sum();
        let below_share = |contender: &&Contender| {
            contender.running as u128 * weights < slots as u128 * u128::from(contender.weight.get())
        };
        let turns = &*self.turns;
        let order = |c: &&Contender| (turns.paid(c.account, c.weight), c.account);
        self.contenders.iter().filter(below_share).min_by_key(order).map(|c| c.account)
    }

    /// A job of `account` was handed out.
    pub fn served(&mut self, account: AccountId) {
        self.free = self.free.saturating_sub(1);
        self.most = self.most.saturating_sub(1);
        let found = self.contenders.iter_mut().find(|contender| contender.account == account);
        if let Some(contender) = found {
            contender.running += 1;
            self.turns.serve(account, contender.weight);
        }
    }

    /// `account` has nothing that could go now.
    pub fn out(&mut self, account: AccountId) {
        self.contenders.retain(|contender| contender.account != account);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: AccountId = AccountId(1);
    const TWO: AccountId = AccountId(2);
    const THREE: AccountId = AccountId(3);

    fn weight(weight: u8) -> Weight {
        Weight::new(weight).unwrap()
    }

    fn contender(account: AccountId, weighs: u8, running: usize) -> Contender {
        Contender { account, weight: weight(weighs), running }
    }

    /// Hands out slots to accounts that have work without end; who got them, in order.
    fn hand_out(
        turns: &mut Turns,
        contenders: &[Contender],
        free: usize,
        shares: Shares,
    ) -> Vec<AccountId> {
        let mut contest = turns.contest(contenders.iter().copied(), free, free, shares);
        let mut served = Vec::new();
        while let Some(account) = contest.whose_turn() {
            contest.served(account);
            served.push(account);
        }
        served
    }

    #[test]
    fn whoever_is_alone_gets_everything_but_the_reserve() {
        let alone = [contender(ONE, 1, 0)];
        let shares = |reserve| Shares { per_account: 0, reserve };
        for (reserve, got) in [(0, 64), (8, 56), (1, 63), (64, 32)] {
            let served = hand_out(&mut Turns::default(), &alone, 64, shares(reserve));
            assert_eq!(served.len(), got, "with a reserve of {reserve}");
        }
        assert_eq!(hand_out(&mut Turns::default(), &alone, 1, shares(1)), [ONE]);
    }

    #[test]
    fn a_batch_that_is_smaller_than_the_reserve_does_not_count_as_the_last_slots() {
        let shares = Shares { per_account: 0, reserve: 125 };
        let mut turns = Turns::default();
        let (mut running, mut batches) = (0, 0);
        loop {
            let alone = [contender(ONE, 1, running)];
            let mut contest = turns.contest(alone, 64, 1_000 - running, shares);
            let before = running;
            while let Some(account) = contest.whose_turn() {
                contest.served(account);
                running += 1;
            }
            if running == before {
                break;
            }
            assert!(running - before <= 64);
            batches += 1;
        }
        assert_eq!((running, batches), (875, 14));
    }

    #[test]
    fn the_reserve_is_handed_out_by_halves() {
        let shares = Shares { per_account: 0, reserve: 8 };
        let mut turns = Turns::default();
        let mut free = 8;
        for (account, gets) in [(2, 4), (3, 2), (4, 1), (5, 1), (6, 0)] {
            let all = [contender(ONE, 1, 56), contender(AccountId(account), 1, 0)];
            let served = hand_out(&mut turns, &all, free, shares);
            assert_eq!(served, vec![AccountId(account); gets]);
            free -= gets;
        }
    }

    #[test]
    fn an_account_that_holds_its_share_waits_until_others_have_theirs() {
        let mut turns = Turns::default();
        let all = [contender(ONE, 1, 40), contender(TWO, 1, 0)];
        let served = hand_out(&mut turns, &all, 24, Shares::default());
        assert_eq!(served, [TWO; 24]);
        // Three to one, of 64.
        let all = [contender(ONE, 3, 0), contender(TWO, 1, 0)];
        let served = hand_out(&mut turns, &all, 64, Shares::default());
        assert_eq!(served.iter().filter(|account| **account == ONE).count(), 48);
    }

    #[test]
    fn what_a_limited_account_may_not_have_goes_to_others() {
        let shares = Shares { per_account: 3, reserve: 0 };
        let all = [contender(ONE, 100, 0), contender(TWO, 1, 0)];
        let served = hand_out(&mut Turns::default(), &all, 64, shares);
        assert_eq!(served.len(), 6);
        let mut contest = Turns::default();
        let mut contest = contest.contest(all, 10, 10, Shares::default());
        contest.out(ONE);
        while let Some(account) = contest.whose_turn() {
            contest.served(account);
        }
        assert_eq!((contest.free, contest.contenders[0].running), (0, 10));
    }

    #[test]
    fn a_newcomer_goes_before_those_who_were_served() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            hand_out(&mut turns, &[contender(ONE, 1, 0)], 1, Shares::default());
        }
        let both = [contender(ONE, 1, 0), contender(TWO, 1, 0)];
        assert_eq!(hand_out(&mut turns, &both, 1, Shares::default()), [TWO]);
        // Whoever stayed away saved nothing up: two turns at most.
        for _ in 0..1_000 {
            hand_out(&mut turns, &[contender(TWO, 1, 0)], 1, Shares::default());
        }
        let mut in_a_row = 0;
        while hand_out(&mut turns, &both, 1, Shares::default()) == [ONE] {
            in_a_row += 1;
        }
        assert!((1..=2).contains(&in_a_row), "{in_a_row}");
    }

    #[test]
    fn whoever_could_not_be_served_saves_up_one_turn_and_no_more() {
        let mut turns = Turns::default();
        let both = |one| [contender(ONE, 1, one), contender(TWO, 1, 0)];
        hand_out(&mut turns, &both(0), 1, Shares::default());
        for _ in 0..1_000 {
            // One slot of two is one's share, and it holds that.
            assert_eq!(hand_out(&mut turns, &both(1), 1, Shares::default()), [TWO]);
        }
        let mut in_a_row = 0;
        while hand_out(&mut turns, &both(0), 1, Shares::default()) == [ONE] {
            in_a_row += 1;
            assert!(in_a_row <= 3);
        }
        assert!(in_a_row > 0);
    }

    #[test]
    fn memory_of_accounts_that_went_away_is_dropped() {
        let mut turns = Turns::default();
        for account in 1..10_000 {
            let all = [contender(AccountId(account), 1, 0), contender(AccountId(0), 1, 0)];
            hand_out(&mut turns, &all, 3, Shares::default());
        }
        assert!(turns.paid.len() <= 4, "{}", turns.paid.len());
    }

    /// Work of accounts that never runs out, on a node with some slots; each job lasts a number of
    /// moments of its account's own. Counts the turns, and the moments for which slots were held.
    fn simulate(weights: &[u8], lasts: &[u32], slots: usize, moments: u32) -> (Vec<u64>, Vec<u64>) {
        let mut turns = Turns::default();
        let mut ends: Vec<Vec<u32>> = vec![Vec::new(); weights.len()];
        let (mut served, mut held) = (vec![0; weights.len()], vec![0; weights.len()]);
        for moment in 0..moments {
            ends.iter_mut().for_each(|ends| ends.retain(|end| *end > moment));
            let contenders: Vec<Contender> = weights
                .iter()
                .enumerate()
                .map(|(n, weight)| contender(AccountId(n as i64), *weight, ends[n].len()))
                .collect();
            let free = slots - ends.iter().map(Vec::len).sum::<usize>();
            for account in hand_out(&mut turns, &contenders, free, Shares::default()) {
                let n = usize::try_from(account.0).unwrap();
                ends[n].push(moment + lasts[n]);
                served[n] += 1;
            }
            assert_eq!(ends.iter().map(Vec::len).sum::<usize>(), slots, "work-conserving");
            for (held, ends) in held.iter_mut().zip(&ends) {
                *held += ends.len() as u64;
            }
        }
        (served, held)
    }

    proptest! {
        /// With one slot and jobs of one length, turns are shared by weight, at any time, to within
        /// one turn of each account.
        #[test]
        fn turns_are_shared_by_weight(
            weights in prop::collection::vec(1u8..=100, 1..12),
            moments in 1u32..2_000,
        ) {
            let (served, _) = simulate(&weights, &vec![1; weights.len()], 1, moments);
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (weight, served) in weights.iter().zip(served) {
                let ideal = f64::from(moments) * f64::from(*weight) / sum;
                let off = served as f64 - ideal;
                prop_assert!(off < 1.0 + 1e-6, "{served} for {ideal}");
                prop_assert!(off > -(weights.len() as f64), "{served} for {ideal}");
            }
        }

        /// However long each account's jobs last, it holds its share of the slots to within one,
        /// once everybody has had the time for it.
        #[test]
        fn slots_are_shared_by_weight_whatever_jobs_last(
            accounts in prop::collection::vec((1u8..=8, 1u32..20), 1..6),
            slots in 1usize..80,
        ) {
            let (weights, lasts): (Vec<u8>, Vec<u32>) = accounts.into_iter().unzip();
            let moments = 4_000;
            let (_, held) = simulate(&weights, &lasts, slots, moments);
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (weight, held) in weights.iter().zip(held) {
                let mean = held as f64 / f64::from(moments);
                let ideal = slots as f64 * f64::from(*weight) / sum;
                prop_assert!(mean < ideal + 1.1, "{mean} for {ideal}");
            }
        }

        /// Nobody starves: whoever wants a slot and holds none gets the next but as many as there
        /// are turns of others' weights before one of its own.
        #[test]
        fn nobody_waits_longer_than_a_round(
            weights in prop::collection::vec(1u8..=100, 2..10),
            warm in 0u32..500,
        ) {
            let mut turns = Turns::default();
            let all = |from: usize| -> Vec<Contender> {
                let numbered = weights.iter().enumerate().skip(from);
                numbered.map(|(n, w)| contender(AccountId(n as i64), *w, 0)).collect()
            };
            for _ in 0..warm {
                hand_out(&mut turns, &all(1), 1, Shares::default());
            }
            let round: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
            let bound = round.div_ceil(usize::from(weights[0])) + weights.len();
            let mut waited = 0;
            while hand_out(&mut turns, &all(0), 1, Shares::default()) != [AccountId(0)] {
                waited += 1;
                prop_assert!(waited <= bound, "{waited} turns of others");
            }
        }
    }

    #[test]
    fn three_accounts_take_turns() {
        let mut turns = Turns::default();
        let all = [ONE, TWO, THREE].map(|account| contender(account, 1, 0));
        let mut order = Vec::new();
        for _ in 0..6 {
            order.extend(hand_out(&mut turns, &all, 1, Shares::default()));
        }
        assert_eq!(order, [ONE, TWO, THREE, ONE, TWO, THREE]);
    }
}
