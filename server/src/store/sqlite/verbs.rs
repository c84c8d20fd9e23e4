//! The verbs, each handed to the module that has its statements: changes to the writer's thread,
//! questions to the readers.

use async_trait::async_trait;

use super::{SqliteStore, accounts, claims, jobs, pages, queries, sql, submit, writer};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::store::nonces::hash;
use crate::store::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, JobPage, MediaLookup, MediaRef,
    Nonce, NonceUse, Outcome, PageRequest, Replaced, Replacement, Retention, Stats, Store,
    StoreError, StoreResult, Submission, Submitted,
};

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
        Ok(self.nonces().is_live(&hash(&nonce), nonce.now))
    }

    /// A nonce whose row cannot be written stays used in this process: its request was refused and
    /// comes again with another.
    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        let hash = hash(&nonce);
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
