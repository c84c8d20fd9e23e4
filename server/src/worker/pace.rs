//! Keeps transfers within the configured bandwidth of this node and of each account.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::account::AccountId;
use crate::domain::bandwidth::Bucket;

/// Accounts remembered before those whose bucket is full again are forgotten.
const ACCOUNTS_REMEMBERED: usize = 1_000;
/// Longest pause at once; a transfer that owes more asks again, so that a stop is never far.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The limits, shared by all transfers of a node.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    /// Bytes a second of one account; `None` is no limit.
    per_account: Option<u64>,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    node: Option<Bucket>,
    accounts: HashMap<AccountId, Bucket>,
}

impl Pace {
    /// Limits in bytes a second; 0 is no limit.
    pub fn new(node: u64, per_account: u64) -> Self {
        let limit = |rate: u64| (rate > 0).then_some(rate);
        let node = limit(node).map(|rate| Bucket::new(rate, Duration::ZERO));
        let buckets = Mutex::new(Buckets { node, accounts: HashMap::new() });
        Self { started: Instant::now(), per_account: limit(per_account), buckets }
    }

    /// Counts `bytes` that a transfer of `account` received, and waits until it may take more.
    pub async fn received(&self, account: AccountId, bytes: u64) {
        let mut wait = self.take(account, bytes);
        while !wait.is_zero() {
            let pause = wait.min(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
            wait = wait.saturating_sub(pause);
        }
    }

    fn take(&self, account: AccountId, bytes: u64) -> Duration {
        let now = self.started.elapsed();
        let mut buckets = self.lock();
        let of_node = buckets.node.as_mut().map(|bucket| bucket.take(bytes, now));
        let of_account = self.per_account.map(|rate| {
            if buckets.accounts.len() >= ACCOUNTS_REMEMBERED {
                buckets.accounts.retain(|_, bucket| !bucket.is_full(now));
            }
            let bucket = buckets.accounts.entry(account);
            bucket.or_insert_with(|| Bucket::new(rate, now)).take(bytes, now)
        });
        of_node.max(of_account).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: AccountId = AccountId(1);
    const TWO: AccountId = AccountId(2);

    #[test]
    fn without_limits_nobody_waits() {
        let pace = Pace::new(0, 0);
        assert_eq!(pace.take(ONE, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn the_limit_of_an_account_is_its_own() {
        let pace = Pace::new(0, 1_000);
        assert!(pace.take(ONE, 100_000) > Duration::from_secs(90));
        assert_eq!(pace.take(TWO, 100), Duration::ZERO);
        assert!(pace.take(ONE, 1) > Duration::from_secs(90));
    }

    #[test]
    fn the_limit_of_the_node_is_everybodys() {
        let pace = Pace::new(1_000, 0);
        assert!(pace.take(ONE, 100_000) > Duration::from_secs(90));
        assert!(pace.take(TWO, 1) > Duration::from_secs(90));
    }

    #[test]
    fn the_stricter_of_two_limits_counts() {
        let pace = Pace::new(10_000, 1_000);
        let wait = pace.take(ONE, 10_250);
        assert!(wait > Duration::from_secs(9), "{wait:?}");
    }

    #[test]
    fn accounts_that_owe_nothing_are_forgotten() {
        let pace = Pace::new(0, u64::MAX);
        for account in 0..2_000 {
            assert_eq!(pace.take(AccountId(account), 1), Duration::ZERO);
        }
        assert!(pace.lock().accounts.len() <= ACCOUNTS_REMEMBERED + 1);
    }
}
