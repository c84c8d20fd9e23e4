//! Nonces over all nodes: a unique index decides, and what waits is written together.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::failure::Failure;
use super::link::{Link, Write, execute, first_row, rows};
use super::{row, sql};
use crate::domain::time::Timestamp;
use crate::store::StoreResult;
use crate::store::nonces::NonceHash;

/// Most nonces of one transaction, and transactions at once.
pub(super) const BATCH: usize = 512;
pub(super) const LANES: usize = 2;

/// A nonce to use up.
#[derive(Clone, Copy)]
pub(super) struct Use {
    pub(super) hash: NonceHash,
    pub(super) now: Timestamp,
    pub(super) expires: Timestamp,
}

pub(super) async fn is_live(db: &Client, hash: &[u8], now: Timestamp) -> Result<bool, Failure> {
    match first_row(db, sql::NONCE_SEEN, &[&hash]).await? {
        Some(found) => Ok(row::get::<i64>(&found, 0)? > now.0),
        None => Ok(false),
    }
}

/// Uses nonces up; for each, whether this was its first use.
pub(super) fn run(link: Link, uses: Vec<Use>) -> BoxFuture<'static, Vec<StoreResult<bool>>> {
    async move {
        match link.write_or_fail(&uses, |write, uses| take(write, uses).boxed()).await {
            Ok(fresh) => fresh.into_iter().map(Ok).collect(),
            Err(failure) => uses.iter().map(|_| Err(failure.to_store_error())).collect(),
        }
    }
    .boxed()
}

async fn take(write: &Write<'_>, uses: &[Use]) -> Result<Vec<bool>, Failure> {
    // Of a nonce that comes twice in one batch, the first use counts.
    let mut first: BTreeMap<NonceHash, &Use> = BTreeMap::new();
    for wanted in uses {
        first.entry(wanted.hash).or_insert(wanted);
    }
    let hashes: Vec<&[u8]> = first.keys().map(|hash| &hash[..]).collect();
    let now: Vec<i64> = first.values().map(|wanted| wanted.now.0).collect();
    let expires: Vec<i64> = first.values().map(|wanted| wanted.expires.0).collect();
    execute(&write.db, sql::NONCE_OVER, &[&hashes, &now]).await?;
    let mut fresh: BTreeSet<Vec<u8>> = BTreeSet::new();
    for taken in &rows(&write.db, sql::NONCE_TAKE, &[&hashes, &expires]).await? {
        fresh.insert(row::get(taken, 0)?);
    }
    Ok(uses.iter().map(|wanted| fresh.remove(&wanted.hash[..])).collect())
}
