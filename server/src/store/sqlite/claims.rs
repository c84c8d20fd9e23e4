//! Handing out jobs: who goes next is decided by [`crate::domain::turns`], which job of theirs by
//! [`crate::store::line`]. What a claim reads goes by the number of accounts with something to do
//! and by the jobs it hands out; how many jobs wait makes no difference.

use std::ops::ControlFlow;

use rusqlite::{Connection, params};

use super::failure::Failure;
use super::writer::Write;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::State;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::domain::turns::{Contender, Turns};
use crate::store::line::{Entry, Lane, Lanes, Passed, Place, Search};
use crate::store::{Claim, ClaimRequest};

/// What claims remember, beside the database. Of no consequence when a transaction fails, except
/// that what was passed over is then forgotten.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) turns: Turns,
    pub(super) passed: Passed,
}

pub(super) fn claim(write: &mut Write<'_>, request: &ClaimRequest) -> Result<Vec<Claim>, Failure> {
    let ClaimRequest { slots, spare, shares, hosts, now, lease } = request;
    let db = write.db;
    let contenders = contenders(db)?;
    write.line.passed.keep(&contenders);
    let mut contest = write.line.turns.contest(contenders, *slots, slots + spare, *shares);
    let mut search = Search::new(&mut write.line.passed, hosts.clone(), *now);
    let mut claims = Vec::new();
    while let Some(account) = contest.whose_turn() {
        match search.next(&mut Ready(db), account)? {
            Some(key) => {
                claims.push(take(db, key, *now, *now + *lease)?);
                contest.served(account);
            }
            None => contest.out(account),
        }
    }
    Ok(claims)
}

/// The accounts that have something queued and are not paused; some of it may not be due yet.
fn contenders(db: &Connection) -> Result<Vec<Contender>, Failure> {
    let mut statement = db.prepare_cached(sql::CONTENDERS)?;
    statement
        .query_and_then([], |found| {
            let running: i64 = found.get(2)?;
            Ok(Contender {
                account: AccountId(found.get(0)?),
                weight: row::weight(found, 1)?,
                running: usize::try_from(running).unwrap_or(usize::MAX),
            })
        })?
        .collect()
}

fn take(db: &Connection, key: Key, now: Timestamp, until: Timestamp) -> Result<Claim, Failure> {
    let mut statement = db.prepare_cached(sql::CLAIM)?;
    let mut rows = statement.query([key.0, until.0, now.0])?;
    let row = rows.next()?.ok_or_else(|| row::corrupt("a ready job that cannot be claimed"))?;
    let job = row::job(row)?;
    let State::Running { token, .. } = job.progress.state else {
        return Err(row::corrupt("a claimed job that is not running"));
    };
    Ok(Claim::new(job, token))
}

/// The index of ready jobs.
struct Ready<'a>(&'a Connection);

impl Lanes for Ready<'_> {
    type Error = Failure;

    fn walk(
        &mut self,
        (account, priority): Lane,
        after: Place,
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut statement = self.0.prepare_cached(sql::LANE)?;
        let (due, key) = after;
        let mut rows = statement.query(params![account.0, priority as i64, due.0, key.0])?;
        while let Some(row) = rows.next()? {
            let entry = Entry {
                due: Timestamp(row.get(0)?),
                key: Key(row.get(1)?),
                host: HostId(row.get(2)?),
            };
            if show(entry).is_break() {
                break;
            }
        }
        Ok(())
    }
}
