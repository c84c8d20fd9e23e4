//! Pages of jobs. Each filter but the one by a part of the URL chooses an index that holds its hits
//! alone, in the order of keys; what remains is to walk it backwards and stop.

use std::iter::Peekable;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, MappedRows, Row, params_from_iter};

use super::failure::Failure;
use super::{row, sql};
use crate::domain::job::StateKind;
use crate::store::{JobPage, PageRequest};

/// A key, and whether the URL has the part that is looked for.
type Candidate = (i64, bool);

/// A page, for which at most `budget` jobs are looked at.
pub(super) fn page(
    db: &Connection,
    request: &PageRequest,
    budget: usize,
) -> Result<JobPage, Failure> {
    let walks = walks(request);
    let mut statements: Vec<CachedStatement<'_>> = Vec::with_capacity(walks.len());
    for (statement, _) in &walks {
        statements.push(db.prepare_cached(statement)?);
    }
    let candidate = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let mut heads = Vec::with_capacity(walks.len());
    for (statement, (_, values)) in statements.iter_mut().zip(walks) {
        heads.push(statement.query_map(params_from_iter(values), candidate)?.peekable());
    }
    let mut by_key = db.prepare_cached(sql::JOB_BY_KEY)?;
    let mut page = JobPage::default();
    let mut examined = 0;
    let mut last = None;
    while let Some((key, hit)) = newest(&mut heads)? {
        if examined == budget || (hit && page.jobs.len() == request.limit) {
            page.next = last;
            break;
        }
        examined += 1;
        last = Some(crate::domain::id::Key(key));
        if hit {
            page.jobs.extend(by_key.query_and_then([key], row::job)?.next().transpose()?);
        }
    }
    Ok(page)
}

/// Takes the newest of what the walks offer. A rare state is found without reading the others.
fn newest<F>(
    heads: &mut [Peekable<MappedRows<'_, F>>],
) -> Result<Option<Candidate>, rusqlite::Error>
where
    F: FnMut(&Row<'_>) -> rusqlite::Result<Candidate>,
{
    let mut best: Option<(i64, usize)> = None;
    for (at, head) in heads.iter_mut().enumerate() {
        match head.peek() {
            Some(Ok((key, _))) if best.is_none_or(|(other, _)| *key > other) => {
                best = Some((*key, at));
            }
            // Taken at once, so that the error is told.
            Some(Err(_)) => return head.next().transpose(),
            Some(Ok(_)) | None => {}
        }
    }
    match best {
        Some((_, at)) => heads[at].next().transpose(),
        None => Ok(None),
    }
}

/// The statements to merge, with their values: one for each state, unless one index does it.
pub(super) fn walks(request: &PageRequest) -> Vec<(&'static str, Vec<Value>)> {
    let (first, end) = request.keys();
    let part = request.url_contains.clone().map_or(Value::Null, Value::Text);
    let values = |more: &[Value]| {
        let mut values = vec![part.clone(), first.0.into(), end.0.into()];
        values.extend_from_slice(more);
        values
    };
    let kinds = request.kinds();
    let account = request.account.map(|account| Value::from(account.0));
    if let Some(code) = request.fault.clone().map(Value::from) {
        if kinds.is_empty() {
            return Vec::new();
        }
        return vec![match account {
            Some(account) => (sql::PAGE_ACCOUNT_FAULT, values(&[code, account])),
            None => (sql::PAGE_FAULT, values(&[code])),
        }];
    }
    if account.is_none() && kinds.len() == StateKind::ALL.len() {
        return vec![(sql::PAGE_ALL, values(&[]))];
    }
    let of_state = |kind: StateKind| {
        let state = Value::from(kind as i64);
        match &account {
            Some(account) => (sql::PAGE_ACCOUNT_STATE, values(&[state, account.clone()])),
            None => (sql::PAGE_STATE, values(&[state])),
        }
    };
    kinds.into_iter().map(of_state).collect()
}
