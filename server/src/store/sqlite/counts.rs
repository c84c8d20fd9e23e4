//! Counting for the tallies. A command counts in memory; what the commands of a batch counted is
//! added up and written once, in their transaction. That is one row changed for each account,
//! minute and kind of a batch, where a trigger would change it for each job.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::failure::Failure;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::time::Timestamp;
use crate::store::Counted;
use crate::store::desk::minute_of;

#[derive(Clone, Copy, Default)]
struct Sums {
    jobs: u64,
    bytes: u64,
    millis: u64,
}

type Kind = (Timestamp, AccountId, Counted);

/// What the transaction under way has counted.
#[derive(Default)]
pub(super) struct Counts {
    kept: BTreeMap<Kind, Sums>,
    /// Of the command that runs.
    latest: Vec<(Kind, Sums)>,
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
        let sums = Sums { jobs: jobs as u64, bytes, millis: 0 };
        self.latest.push(((minute_of(now), account, what), sums));
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
        self.latest.push(((minute_of(now), account, what), Sums { jobs: 1, bytes, millis }));
    }

    /// The command is part of the transaction.
    pub(super) fn keep(&mut self) {
        for (kind, more) in self.latest.drain(..) {
            let sums = self.kept.entry(kind).or_default();
            sums.jobs += more.jobs;
            sums.bytes = sums.bytes.saturating_add(more.bytes);
            sums.millis = sums.millis.saturating_add(more.millis);
        }
    }

    /// The command is undone.
    pub(super) fn undo(&mut self) {
        self.latest.clear();
    }

    /// Writes everything kept, at the end of the transaction.
    pub(super) fn write(&self, db: &Connection) -> Result<(), Failure> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let mut statement = db.prepare_cached(sql::TALLY_ADD)?;
        for ((minute, account, what), sums) in &self.kept {
            let (what, code) = what.parts();
            let Sums { jobs, bytes, millis } = *sums;
            let [jobs, bytes, millis] = [jobs, bytes, millis].map(row::count);
            statement.execute(params![minute.0, account.0, what, code, jobs, bytes, millis])?;
        }
        Ok(())
    }
}
