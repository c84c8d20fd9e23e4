//! Pages of jobs. Each filter but the one by a part of the URL goes by an index that holds its hits
//! alone, in the order of keys. Where several stretches of an index make up a list (the states of
//! an account, or all accounts), they are merged: a rare state is found without reading the others.
//!
//! A list over all accounts that is filtered asks each account once, some two microseconds each:
//! nothing beside a network's round trip for a thousand of them. An index over all accounts would
//! have to be paid by every job.

use std::collections::{BinaryHeap, VecDeque};

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, params};

use super::failure::Failure;
use super::{row, sql};
use crate::domain::id::Key;
use crate::store::{JobPage, PageRequest};

/// Rows fetched ahead for a page, over all stretches.
const AHEAD: usize = 256;
/// Most rows fetched ahead of one stretch.
const AHEAD_OF_ONE: usize = 64;

/// A page, for which at most `budget` jobs are looked at.
pub(super) fn page(
    db: &Connection,
    request: &PageRequest,
    budget: usize,
) -> Result<JobPage, Failure> {
    let mut merge = Merge::new(db, request)?;
    let mut by_key = db.prepare_cached(sql::JOB_BY_KEY)?;
    let mut page = JobPage::default();
    let mut examined = 0;
    let mut last = None;
    while let Some((key, hit)) = merge.next()? {
        if examined == budget || (hit && page.jobs.len() == request.limit) {
            page.next = last;
            break;
        }
        examined += 1;
        last = Some(Key(key));
        if hit {
            page.jobs.extend(by_key.query_and_then([key], row::job)?.next().transpose()?);
        }
    }
    Ok(page)
}

/// Which statement walks the stretches of a list.
pub(super) fn statement(request: &PageRequest) -> &'static str {
    if request.is_of_everything() {
        sql::PAGE_ALL
    } else if request.fault.is_some() {
        sql::PAGE_FAULT
    } else {
        sql::PAGE_STATE
    }
}

/// A stretch of an index.
struct Stretch {
    /// What its index begins with: an account, and a state or a fault. Not used by
    /// [`sql::PAGE_ALL`].
    chosen: Option<(i64, Value)>,
    /// Where to go on.
    before: i64,
    /// Keys, newest first, and whether their URLs have the part that is looked for.
    ahead: VecDeque<(i64, bool)>,
}

/// The stretches of a list, merged.
struct Merge<'a> {
    statement: CachedStatement<'a>,
    part: Option<&'a str>,
    first: i64,
    /// Rows to fetch at once.
    ahead: usize,
    stretches: Vec<Stretch>,
    /// The newest key of each stretch that has any, with its place.
    heads: BinaryHeap<(i64, usize)>,
}

impl<'a> Merge<'a> {
    fn new(db: &'a Connection, request: &'a PageRequest) -> Result<Self, Failure> {
        let (first, end) = request.keys();
        let stretch = |chosen| Stretch { chosen, before: end.0, ahead: VecDeque::new() };
        let stretches: Vec<Stretch> = chosen(db, request)?.into_iter().map(stretch).collect();
        let ahead = (AHEAD / stretches.len().max(1)).clamp(1, AHEAD_OF_ONE);
        let mut merge = Self {
            statement: db.prepare_cached(statement(request))?,
            part: request.url_contains.as_deref(),
            first: first.0,
            ahead,
            heads: BinaryHeap::with_capacity(stretches.len()),
            stretches,
        };
        for at in 0..merge.stretches.len() {
            merge.refill(at)?;
        }
        Ok(merge)
    }

    /// The newest key that was not taken yet, and whether it is a hit.
    fn next(&mut self) -> Result<Option<(i64, bool)>, Failure> {
        let Some((_, at)) = self.heads.pop() else { return Ok(None) };
        let taken = self.stretches[at].ahead.pop_front();
        match self.stretches[at].ahead.front() {
            Some((key, _)) => self.heads.push((*key, at)),
            None => self.refill(at)?,
        }
        Ok(taken)
    }

    /// Fetches more of a stretch that has nothing ahead.
    fn refill(&mut self, at: usize) -> Result<(), Failure> {
        let Stretch { chosen, before, ahead } = &mut self.stretches[at];
        let limit = row::count(self.ahead);
        let (part, first) = (self.part, self.first);
        let mut rows = match chosen {
            None => self.statement.query(params![part, first, *before, limit])?,
            Some((account, what)) => {
                self.statement.query(params![part, first, *before, limit, *account, *what])?
            }
        };
        while let Some(row) = rows.next()? {
            *before = row.get(0)?;
            ahead.push_back((*before, row.get(1)?));
        }
        if let Some((key, _)) = ahead.front() {
            self.heads.push((*key, at));
        }
        Ok(())
    }
}

/// What the stretches of a list begin with.
fn chosen(db: &Connection, request: &PageRequest) -> Result<Vec<Option<(i64, Value)>>, Failure> {
    if request.is_of_everything() {
        return Ok(vec![None]);
    }
    let accounts: Vec<i64> = match request.account {
        Some(account) => vec![account.0],
        None => {
            let mut statement = db.prepare_cached(sql::PAGE_ACCOUNTS)?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        }
    };
    let kinds = request.kinds();
    let what: Vec<Value> = match &request.fault {
        Some(_) if kinds.is_empty() => Vec::new(),
        Some(code) => vec![Value::from(code.clone())],
        None => kinds.into_iter().map(|kind| Value::from(kind as i64)).collect(),
    };
    let of_account = |account: i64| what.iter().map(move |what| Some((account, what.clone())));
    Ok(accounts.into_iter().flat_map(of_account).collect())
}
