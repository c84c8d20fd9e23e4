//! The store in one SQLite file: what a single node runs on.
//!
//! Writes go through one thread that commits everything queued at once (`writer`); reads through
//! a few read-only connections (`readers`). Another process may write the same file (`haulage key
//! create`): every write transaction takes the write lock at its start, so each waits for the other
//! and none fails.
//!
//! Fencing tokens are counted for each job: a claim takes the job's last token plus one, in the
//! statement that claims.

mod accounts;
mod backup;
mod claims;
mod connect;
mod counts;
mod desk;
mod failure;
mod jobs;
mod pages;
mod queries;
mod readers;
mod row;
mod sql;
mod submit;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

pub use self::backup::KnownObject;
pub use self::connect::Inspection;
use self::connect::Place;
use self::failure::Failure;
use self::readers::Readers;
use self::writer::Writer;
use super::nonces::{self, Nonces};
use super::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, JobPage, MediaLookup, MediaRef,
    Nonce, NonceUse, Outcome, PageRequest, Replaced, Replacement, Retention, Stats, Store,
    StoreError, StoreResult, Submission, Submitted,
};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;

/// See the module.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    nonces: Mutex<Nonces>,
}

impl SqliteStore {
    /// Opens the database file, making it and its directory when they are missing, and brings its
    /// schema up to date. Any number of processes may open one file, at the same time too.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer Haulage, which stays as it is;
    /// [`StoreError::Engine`] when the file or its directory cannot be used.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&path));
        opened.await.unwrap_or_else(|_| Err(Failure::Panicked.to_store_error()))
    }

    /// Looks at an existing database file without changing it, for the operator; it reads the whole
    /// file.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when it cannot be read or is no database.
    pub fn inspect(path: &Path) -> StoreResult<Inspection> {
        Place::inspect(path)
    }

    fn open_blocking(path: &Path) -> StoreResult<Self> {
        let place = Place::prepare(path)?;
        let nonces = load_nonces(&place).map_err(|failure| failure.to_store_error())?;
        let readers = Readers::new(place.clone());
        let writer = Writer::start(place, readers.clone())?;
        Ok(Self { writer, readers, nonces: Mutex::new(nonces) })
    }

    fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().expect("nobody panics while holding the nonces")
    }
}

fn load_nonces(place: &Place) -> Result<Nonces, Failure> {
    let mut nonces = Nonces::default();
    let db = place.reader()?;
    let mut statement = db.prepare(sql::NONCE_ALL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        nonces.restore(row.get(1)?, Timestamp(row.get(0)?));
    }
    Ok(nonces)
}

#[async_trait]
impl Store for SqliteStore {
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>> {
        let name = name.to_owned();
        self.writer.call(move |write| accounts::create(write, &name, operator, now)).await
    }

    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        self.readers.read(|db| accounts::list(db)).await
    }

    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>> {
        let name = name.to_owned();
        self.writer.call(move |write| accounts::change(write, &name, change)).await
    }

    async fn key_create(&self, key: AccessKey) -> StoreResult<bool> {
        self.writer.call(move |write| accounts::create_key(write, &key)).await
    }

    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        self.readers.read(move |db| accounts::list_keys(db, account)).await
    }

    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool> {
        let id = id.to_owned();
        self.writer.call(move |write| accounts::set_key_status(write, &id, status)).await
    }

    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        let id = id.to_owned();
        self.readers.read(move |db| accounts::find_key(db, &id)).await
    }

    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool> {
        if self.writer.is_closed() {
            return Err(StoreError::Closed);
        }
        Ok(self.nonces().is_live(&nonces::hash(&nonce), nonce.now))
    }

    /// A nonce whose row cannot be written stays used in this process: its request was refused and
    /// comes again with another.
    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        let hash = nonces::hash(&nonce);
        let Nonce { now, expires, .. } = nonce;
        if self.nonces().is_live(&hash, now) {
            return Ok(NonceUse::Replayed);
        }
        // Room in the queue first: a caller that goes away while waiting for it has used up
        // nothing, and one that was told `Fresh` has its row queued before anything it does next.
        let slot = self.writer.slot().await?;
        if !self.nonces().take(hash, now, expires) {
            return Ok(NonceUse::Replayed);
        }
        let written = slot.send(false, move |write| {
            let mut statement = write.db.prepare_cached(sql::NONCE_PUT)?;
            statement.execute(rusqlite::params![expires.0, hash])?;
            Ok(())
        });
        Ok(NonceUse::Fresh(Box::pin(writer::answered(written))))
    }

    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted> {
        self.writer.call(move |write| submit::submit(write, &submission)).await
    }

    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
        // Jobs handed to nobody would lie idle until their leases end.
        self.writer.call_if_wanted(move |write| claims::claim(write, &request)).await
    }

    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>> {
        let beats = beats.to_vec();
        self.writer.call(move |write| jobs::beat(write, &beats, until)).await
    }

    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.writer.call(move |write| jobs::hand_back(write, &claim, due, now)).await
    }

    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.writer.call(move |write| jobs::retry_later(write, &claim, &fault, due, now)).await
    }

    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.writer.call(move |write| jobs::halt(write, &claim, &fault, kept, now)).await
    }

    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced> {
        self.writer.call(move |write| jobs::replace_url(write, &replacement, now)).await
    }

    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize> {
        self.writer.call(move |write| jobs::lapse(write, now, limit)).await
    }

    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.writer.call(move |write| jobs::finish(write, &claim, &outcome, now)).await
    }

    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize> {
        self.writer.call(move |write| jobs::expire(write, now, limit, everything)).await
    }

    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        self.writer.call(move |write| jobs::cancel(write, account, &by, now)).await
    }

    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| queries::infos_by_id(db, account, &keys, since)).await
    }

    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        let urls = urls.to_vec();
        self.readers.read(move |db| queries::infos_by_url(db, account, &urls, since)).await
    }

    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage> {
        let budget = request.budget();
        self.readers.read(move |db| pages::page(db, &request, budget)).await
    }

    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| queries::states(db, &keys)).await
    }

    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup> {
        self.readers.read(move |db| queries::media(db, account, &media)).await
    }

    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        self.readers.read(move |db| queries::object(db, key)).await
    }

    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        let keys = keys.to_vec();
        self.readers.read(move |db| queries::objects(db, &keys)).await
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.readers.read(|db| queries::stats(db)).await
    }

    async fn purge(&self, retention: Retention) -> StoreResult<usize> {
        let gone = self.writer.call(move |write| jobs::purge(write, &retention)).await?;
        self.nonces().forget(retention.now, retention.batch);
        Ok(gone)
    }

    async fn close(&self) -> StoreResult<()> {
        self.readers.close().await;
        self.writer.close().await;
        Ok(())
    }
}
