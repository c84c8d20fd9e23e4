//! Cancelling what is pending: one statement locks it, in the order of keys, and changes it; what it
//! did not change is looked at after it.

use std::collections::BTreeMap;

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
    let mut verdicts: BTreeMap<i64, CancelVerdict> = BTreeMap::new();
    for found in &found {
        let key: i64 = row::get(found, 0)?;
        count(write, account, now, Timestamp(row::get(found, 1)?));
        verdicts.insert(key, CancelVerdict::Canceled(vec![Key(key)]));
    }
    let others: Vec<i64> = sorted.into_iter().filter(|key| !verdicts.contains_key(key)).collect();
    if !others.is_empty() {
        for found in &rows(&write.db, sql::STATES_OF, &[&others, &account.0]).await? {
            let key: i64 = row::get(found, 0)?;
            let state = row::state_kind(row::get(found, 1)?)?;
            verdicts.insert(key, CancelVerdict::NotPending(Key(key), state));
        }
    }
    let verdict = |key: &Key| verdicts.get(&key.0).cloned().unwrap_or(CancelVerdict::NotExist);
    Ok(keys.iter().map(verdict).collect())
}

async fn cancel_urls(
    write: &mut Write<'_>,
    account: AccountId,
    urls: &[SourceUrl],
    now: Timestamp,
) -> Result<Vec<CancelVerdict>, Failure> {
    let hashes: Vec<i64> = urls.iter().map(SourceUrl::hash64).collect();
    let texts: Vec<_> = urls.iter().map(|url| row::text(url.expose())).collect();
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&account.0, &hashes, &texts, &now.0];
    let mut canceled: BTreeMap<i64, Vec<Key>> = BTreeMap::new();
    for found in &rows(&write.db, sql::CANCEL_URLS, &values).await? {
        count(write, account, now, Timestamp(row::get(found, 1)?));
        canceled.entry(row::get(found, 2)?).or_default().push(Key(row::get(found, 0)?));
    }
    let mut verdicts: BTreeMap<i64, CancelVerdict> = BTreeMap::new();
    if canceled.len() < urls.len() {
        for found in &rows(&write.db, sql::NEWEST_OF_URLS, &values[..3]).await? {
            let (key, state) = (Key(row::get(found, 1)?), row::state_kind(row::get(found, 2)?)?);
            verdicts.insert(row::get(found, 0)?, CancelVerdict::NotPending(key, state));
        }
    }
    for (place, mut keys) in canceled {
        keys.sort_unstable();
        verdicts.insert(place, CancelVerdict::Canceled(keys));
    }
    let verdict = |at: usize| {
        let place = row::count(at + 1);
        verdicts.get(&place).cloned().unwrap_or(CancelVerdict::NotExist)
    };
    Ok((0..urls.len()).map(verdict).collect())
}

fn count(write: &mut Write<'_>, account: AccountId, now: Timestamp, created: Timestamp) {
    write.counts.end(now, account, Counted::Canceled, 0, created);
    write.counts.moved(account, Some(StateKind::Pending), StateKind::Canceled, 1);
}
