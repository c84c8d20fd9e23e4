//! Pages of jobs. Each filter but the one by a part of the URL goes by an index that holds its hits
//! alone, in the order of keys. Where several stretches of an index make up a list (the states of
//! an account, or all accounts), they are merged: a rare state is found without reading the others.
//!
//! The first rows of all stretches come with one statement; a stretch that is used up is asked for
//! twice as many each time, so that a long walk takes few round trips.

use std::collections::{BinaryHeap, VecDeque};

use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;

use super::failure::Failure;
use super::link::rows;
use super::{queries, row, sql};
use crate::domain::id::Key;
use crate::store::{JobPage, PageRequest};

/// Rows fetched ahead for a page, over all stretches.
const AHEAD: usize = 256;
/// Most rows fetched ahead of one stretch, at first and at last.
const AHEAD_OF_ONE: usize = 64;
const AHEAD_AT_LAST: usize = 1_024;

/// A page, for which at most `budget` jobs are looked at.
pub(super) async fn page(
    db: &Client,
    request: &PageRequest,
    budget: usize,
) -> Result<JobPage, Failure> {
    let mut merge = Merge::new(db, request).await?;
    let mut hits: Vec<Key> = Vec::new();
    let mut page = JobPage::default();
    let mut examined = 0;
    let mut last = None;
    while let Some((key, hit)) = merge.next().await? {
        if examined == budget || (hit && hits.len() == request.limit) {
            page.next = last;
            break;
        }
        examined += 1;
        last = Some(Key(key));
        if hit {
            hits.push(Key(key));
        }
    }
    if !hits.is_empty() {
        let found = rows(db, sql::JOBS_BY_KEY, &[&queries::numbers(&hits)]).await?;
        page.jobs = queries::in_order(&hits, found.iter().map(row::job))?;
    }
    Ok(page)
}

/// What the stretches of a list begin with, beside an account.
enum Chosen {
    Everything,
    State(Vec<(i64, i16)>),
    Fault(Vec<(i64, String)>),
}

/// A stretch of an index.
struct Stretch {
    /// Where to go on.
    before: i64,
    /// Rows to fetch next time.
    fetch: usize,
    /// Keys, newest first, and whether their URLs have the part that is looked for.
    ahead: VecDeque<(i64, bool)>,
}

/// The stretches of a list, merged.
struct Merge<'a> {
    db: &'a Client,
    chosen: Chosen,
    part: Option<String>,
    first: i64,
    stretches: Vec<Stretch>,
    /// The newest key of each stretch that has any, with its place.
    heads: BinaryHeap<(i64, usize)>,
}

impl<'a> Merge<'a> {
    async fn new(db: &'a Client, request: &PageRequest) -> Result<Self, Failure> {
        let (first, end) = request.keys();
        let chosen = chosen(db, request).await?;
        let count = match &chosen {
            Chosen::Everything => 1,
            Chosen::State(all) => all.len(),
            Chosen::Fault(all) => all.len(),
        };
        let fetch = (AHEAD / count.max(1)).clamp(1, AHEAD_OF_ONE);
        let stretch = || Stretch { before: end.0, fetch, ahead: VecDeque::new() };
        let mut merge = Self {
            db,
            chosen,
            part: request.url_contains.as_deref().map(|part| row::text(part).into_owned()),
            first: first.0,
            stretches: std::iter::repeat_with(stretch).take(count).collect(),
            heads: BinaryHeap::with_capacity(count),
        };
        merge.begin(end.0, row::count(fetch)).await?;
        Ok(merge)
    }

    /// The first rows of every stretch.
    async fn begin(&mut self, end: i64, fetch: i64) -> Result<(), Failure> {
        let common: [&(dyn ToSql + Sync); 4] = [&self.part, &self.first, &end, &fetch];
        let found = match &self.chosen {
            Chosen::Everything => return self.refill(0).await,
            Chosen::State(all) => {
                let (accounts, what): (Vec<i64>, Vec<i16>) = all.iter().copied().unzip();
                let values = [&common[..], &[&accounts, &what]].concat();
                rows(self.db, sql::PAGE_BEGIN_STATE, &values).await?
            }
            Chosen::Fault(all) => {
                let (accounts, what): (Vec<i64>, Vec<String>) = all.iter().cloned().unzip();
                let values = [&common[..], &[&accounts, &what]].concat();
                rows(self.db, sql::PAGE_BEGIN_FAULT, &values).await?
            }
        };
        for found in &found {
            let place: i64 = row::get(found, 0)?;
            let stretch = usize::try_from(place - 1).ok();
            let stretch = stretch.and_then(|at| self.stretches.get_mut(at));
            let stretch = stretch.ok_or_else(|| row::corrupt("a stretch that there is not"))?;
            stretch.before = row::get(found, 1)?;
            stretch.ahead.push_back((stretch.before, row::get(found, 2)?));
        }
        for (at, stretch) in self.stretches.iter().enumerate() {
            self.heads.extend(stretch.ahead.front().map(|(key, _)| (*key, at)));
        }
        Ok(())
    }

    /// The newest key that was not taken yet, and whether it is a hit.
    async fn next(&mut self) -> Result<Option<(i64, bool)>, Failure> {
        let Some((_, at)) = self.heads.pop() else { return Ok(None) };
        let taken = self.stretches[at].ahead.pop_front();
        match self.stretches[at].ahead.front() {
            Some((key, _)) => self.heads.push((*key, at)),
            None => self.refill(at).await?,
        }
        Ok(taken)
    }

    /// Fetches more of a stretch that has nothing ahead.
    async fn refill(&mut self, at: usize) -> Result<(), Failure> {
        let stretch = &mut self.stretches[at];
        let limit = row::count(stretch.fetch);
        stretch.fetch = (stretch.fetch * 2).min(AHEAD_AT_LAST);
        let before = stretch.before;
        let common: [&(dyn ToSql + Sync); 4] = [&self.part, &self.first, &before, &limit];
        let found = match &self.chosen {
            Chosen::Everything => rows(self.db, sql::PAGE_ALL, &common).await?,
            Chosen::State(all) => {
                let (account, what) = &all[at];
                let values = [&common[..], &[account, what]].concat();
                rows(self.db, sql::PAGE_STATE, &values).await?
            }
            Chosen::Fault(all) => {
                let (account, what) = &all[at];
                let values = [&common[..], &[account, what]].concat();
                rows(self.db, sql::PAGE_FAULT, &values).await?
            }
        };
        for found in &found {
            stretch.before = row::get(found, 0)?;
            stretch.ahead.push_back((stretch.before, row::get(found, 1)?));
        }
        self.heads.extend(stretch.ahead.front().map(|(key, _)| (*key, at)));
        Ok(())
    }
}

async fn chosen(db: &Client, request: &PageRequest) -> Result<Chosen, Failure> {
    if request.is_of_everything() {
        return Ok(Chosen::Everything);
    }
    let accounts: Vec<i64> = match request.account {
        Some(account) => vec![account.0],
        None => {
            let found = rows(db, sql::PAGE_ACCOUNTS, &[]).await?;
            found.iter().map(|found| row::get(found, 0)).collect::<Result<_, _>>()?
        }
    };
    let kinds = request.kinds();
    Ok(match &request.fault {
        Some(_) if kinds.is_empty() => Chosen::Fault(Vec::new()),
        Some(code) => {
            let code = row::text(code).into_owned();
            Chosen::Fault(accounts.into_iter().map(|account| (account, code.clone())).collect())
        }
        None => {
            let of =
                |account: i64| kinds.iter().map(move |kind| (account, row::short(*kind as i64)));
            Chosen::State(accounts.into_iter().flat_map(of).collect())
        }
    })
}
