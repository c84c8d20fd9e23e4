//! Cancelling what is pending: one statement locks it, in the order of keys, and changes it; what it
//! did not change is looked at after it.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::Failure;
use super::link::{Write, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::store::{CancelBy, CancelVerdict, Counted};

pub(super) async fn cancel(
    write: &mut Write<'_>,
    account: AccountId,
    by: &CancelBy,
    now: Timestamp,
) -> Result<Vec<CancelVerdict>, Failure> {
    match by {
        CancelBy::Keys(keys) => cancel_keys(write, account, keys, now).await,
        CancelBy::Urls(urls) => cancel_urls(write, account, urls, now).await,
    }
}

async fn cancel_keys(
    write: &mut Write<'_>,
    account: AccountId,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<CancelVerdict>, Failure> {
    let mut sorted: Vec<i64> = keys.iter().map(|key| key.0).collect();
    sorted.sort_unstable();
    let found = rows(&write.db, sql::CANCEL, &[&sorted, &account.0, &now.0]).await?;
    let mut canceled: BTreeSet<Key> = BTreeSet::new();
    for found in &found {
        count(write, account, now, Timestamp(row::get(found, 1)?));
        canceled.insert(Key(row::get(found, 0)?));
    }
    let mut states: BTreeMap<Key, StateKind> = BTreeMap::new();
    if canceled.len() < keys.len() {
        for found in &rows(&write.db, sql::STATES_OF, &[&sorted, &account.0]).await? {
            states.insert(Key(row::get(found, 0)?), row::state_kind(row::get(found, 1)?)?);
        }
    }
    // Who names a key twice is told the second time what the first has made of it.
    let verdict = |key: &Key| match states.get(key) {
        _ if canceled.remove(key) => CancelVerdict::Canceled(vec![*key]),
        Some(state) => CancelVerdict::NotPending(*key, *state),
        None => CancelVerdict::NotExist,
    };
    Ok(keys.iter().map(verdict).collect())
}

async fn cancel_urls(
    write: &mut Write<'_>,
    account: AccountId,
    urls: &[SourceUrl],
    now: Timestamp,
) -> Result<Vec<CancelVerdict>, Failure> {
    let mut distinct: Vec<&SourceUrl> = Vec::with_capacity(urls.len());
    // For each input its URL's place, and whether it is the first to name it.
    let mut places: Vec<(usize, bool)> = Vec::with_capacity(urls.len());
    for url in urls {
        let before = distinct.iter().position(|known| *known == url);
        places.push((before.unwrap_or(distinct.len()), before.is_none()));
        if before.is_none() {
            distinct.push(url);
        }
    }
    let hashes: Vec<i64> = distinct.iter().map(|url| url.hash64()).collect();
    let texts: Vec<_> = distinct.iter().map(|url| row::text(url.expose())).collect();
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&account.0, &hashes, &texts, &now.0];
    let mut canceled: BTreeMap<i64, Vec<Key>> = BTreeMap::new();
    for found in &rows(&write.db, sql::CANCEL_URLS, &values).await? {
        count(write, account, now, Timestamp(row::get(found, 1)?));
        canceled.entry(row::get(found, 2)?).or_default().push(Key(row::get(found, 0)?));
    }
    let mut newest: BTreeMap<i64, (Key, StateKind)> = BTreeMap::new();
    if canceled.len() < urls.len() {
        for found in &rows(&write.db, sql::NEWEST_OF_URLS, &values[..3]).await? {
            let told = (Key(row::get(found, 1)?), row::state_kind(row::get(found, 2)?)?);
            newest.insert(row::get(found, 0)?, told);
        }
    }
    let verdict = |(place, is_first): (usize, bool)| {
        let place = row::count(place + 1);
        match (canceled.get(&place), newest.get(&place)) {
            (Some(keys), _) if is_first => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                CancelVerdict::Canceled(keys)
            }
            (_, Some((key, state))) => CancelVerdict::NotPending(*key, *state),
            (_, None) => CancelVerdict::NotExist,
        }
    };
    Ok(places.into_iter().map(verdict).collect())
}

fn count(write: &mut Write<'_>, account: AccountId, now: Timestamp, created: Timestamp) {
    write.counts.end(now, account, Counted::Canceled, 0, created);
    write.counts.moved(account, Some(StateKind::Pending), StateKind::Canceled, 1);
}
