//! `IncludePosition`: where pending jobs stand in their account's line, and when they may start.
//! Each account learns of its own jobs alone (ADR 0016).

use std::collections::{BTreeMap, HashMap};

use wire::code::Fault;
use wire::reply::{QueuePlaceInfo, UrlUploadInfo};

use super::{Ops, store_fault};
use crate::domain::account::{Account, AccountId};
use crate::domain::estimate;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind};
use crate::domain::priority::Priority;
use crate::domain::time::Timestamp;
use crate::store::{Counted, QueuePlace};

/// What a pending job's place goes by.
pub(super) struct Waiting {
    key: Key,
    account: AccountId,
    priority: Priority,
}

/// The pending ones of some jobs; `None` for each other.
pub(super) fn waiting(jobs: &[Job]) -> Vec<Option<Waiting>> {
    let waiting = |job: &Job| {
        let is_pending = job.progress.state.kind() == StateKind::Pending;
        let (key, account, priority) = (job.key, job.account, job.request.priority);
        is_pending.then_some(Waiting { key, account, priority })
    };
    jobs.iter().map(waiting).collect()
}

impl Ops {
    /// Adds their place to the infos of those that wait, in the same order.
    pub(super) async fn add_places(
        &self,
        waiting: &[Option<Waiting>],
        infos: &mut [UrlUploadInfo],
    ) -> Result<(), Fault> {
        let now = self.schedule.now();
        let keys: Vec<Key> = waiting.iter().flatten().map(|job| job.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let places = self.store.queue_places(&keys, now).await.map_err(store_fault)?;
        let places: HashMap<Key, QueuePlace> = places.into_iter().collect();
        let accounts = self.accounts().await?;
        let accounts: HashMap<AccountId, Account> =
            accounts.into_iter().map(|account| (account.id, account)).collect();
        let mut ended: BTreeMap<AccountId, Vec<(Timestamp, u64)>> = BTreeMap::new();
        for (job, info) in waiting.iter().zip(infos) {
            // A job that was started in between has no place any more.
            let Some((job, place)) =
                job.as_ref().and_then(|job| Some((job, places.get(&job.key)?)))
            else {
                continue;
            };
            let past = match ended.get(&job.account) {
                Some(past) => past.clone(),
                None => {
                    let past = self.ended(job.account, now).await?;
                    ended.insert(job.account, past.clone());
                    past
                }
            };
            let paused = accounts.get(&job.account).is_some_and(|account| account.paused);
            let position = place.ahead.saturating_add(1);
            let may_tell = place.is_exact && !paused;
            let estimate = may_tell.then(|| estimate::until_start(position, past, now)).flatten();
            info.queue_place = Some(QueuePlaceInfo {
                position,
                is_exact: place.is_exact,
                priority: word(job.priority).to_owned(),
                paused,
                estimated_seconds: estimate.map(|wait| wait.as_secs()),
            });
        }
        Ok(())
    }

    /// How many jobs of the account ended in each of the last minutes.
    async fn ended(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, u64)>, Fault> {
        let tallies = self.store.tallies(Some(account), now - estimate::WINDOW).await;
        let tallies = tallies.map_err(store_fault)?.into_iter();
        Ok(tallies
            .filter(|tally| match tally.what {
                Counted::Succeeded | Counted::Failed(_) => true,
                Counted::Accepted | Counted::Canceled | Counted::PutOff(_) => false,
            })
            .map(|tally| (tally.minute, tally.jobs))
            .collect())
    }
}

fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    }
}
