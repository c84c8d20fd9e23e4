//! Counting for the tallies and the queues. The commands of a transaction count in memory; the sums
//! are written once, as its last statements and in one order, so that the rows everybody changes are
//! held for no longer than the commit takes.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use super::failure::Failure;
use super::link::execute;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::job::StateKind;
use crate::domain::time::Timestamp;
use crate::store::Counted;
use crate::store::desk::minute_of;

#[derive(Clone, Copy, Default)]
struct Sums {
    jobs: u64,
    bytes: u64,
    millis: u64,
}

/// What the transaction under way has counted.
#[derive(Default)]
pub(super) struct Counts {
    tallies: BTreeMap<(Timestamp, AccountId, Counted), Sums>,
    /// More or fewer jobs that are pending, running, waiting and awaiting a URL.
    queues: BTreeMap<AccountId, [i64; 4]>,
}

impl Counts {
    /// Counts what is no end of a job.
    pub(super) fn add(
        &mut self,
        now: Timestamp,
        account: AccountId,
        what: Counted,
        jobs: usize,
        bytes: u64,
    ) {
        self.sum(now, account, what, Sums { jobs: jobs as u64, bytes, millis: 0 });
    }

    /// Counts the end of a job that was accepted at `created`.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        account: AccountId,
        what: Counted,
        bytes: u64,
        created: Timestamp,
    ) {
        let millis = u64::try_from(now.since(created).as_millis()).unwrap_or(u64::MAX);
        self.sum(now, account, what, Sums { jobs: 1, bytes, millis });
    }

    fn sum(&mut self, now: Timestamp, account: AccountId, what: Counted, more: Sums) {
        let sums = self.tallies.entry((minute_of(now), account, what)).or_default();
        sums.jobs += more.jobs;
        sums.bytes = sums.bytes.saturating_add(more.bytes);
        sums.millis = sums.millis.saturating_add(more.millis);
    }

    /// Jobs of an account came into a state (from nowhere, with `from` `None`).
    pub(super) fn moved(
        &mut self,
        account: AccountId,
        from: Option<StateKind>,
        to: StateKind,
        jobs: usize,
    ) {
        let queue = self.queues.entry(account).or_default();
        let jobs = row::count(jobs);
        if let Some(at) = from.and_then(place) {
            queue[at] -= jobs;
        }
        if let Some(at) = place(to) {
            queue[at] += jobs;
        }
    }

    /// Writes everything, at the end of the transaction.
    pub(super) async fn write<C: GenericClient>(&self, db: &C) -> Result<(), Failure> {
        if !self.queues.is_empty() {
            let accounts: Vec<i64> = self.queues.keys().map(|account| account.0).collect();
            let column = |at: usize| -> Vec<i64> { self.queues.values().map(|q| q[at]).collect() };
            let [pending, running, waiting, awaiting] = [0, 1, 2, 3].map(column);
            let values: [&(dyn ToSql + Sync); 5] =
                [&accounts, &pending, &running, &waiting, &awaiting];
            execute(db, sql::QUEUE_ADD, &values).await?;
        }
        if self.tallies.is_empty() {
            return Ok(());
        }
        let (mut minutes, mut accounts, mut kinds, mut codes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut jobs, mut bytes, mut millis) = (Vec::new(), Vec::new(), Vec::new());
        for ((minute, account, what), sums) in &self.tallies {
            let (kind, code) = what.parts();
            minutes.push(minute.0);
            accounts.push(account.0);
            kinds.push(row::short(kind));
            codes.push(code);
            jobs.push(row::count(sums.jobs));
            bytes.push(row::count(sums.bytes));
            millis.push(row::count(sums.millis));
        }
        execute(db, sql::TALLY_ADD, &[&minutes, &accounts, &kinds, &codes, &jobs, &bytes, &millis])
            .await?;
        Ok(())
    }
}

/// The column of the queue that counts jobs in this state.
fn place(kind: StateKind) -> Option<usize> {
    match kind {
        StateKind::Pending => Some(0),
        StateKind::Running => Some(1),
        StateKind::Waiting => Some(2),
        StateKind::AwaitingUrl => Some(3),
        StateKind::Succeeded | StateKind::Failed | StateKind::Canceled => None,
    }
}
