//! The verbs, each handed to the module that has its statements. A verb owns what it is asked, because
//! it may be tried again, and goes on when its caller went away ([`super::link`]).

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;

use super::nonces::Use;
use super::{PostgresStore, accounts, cancel, claim, jobs, nonces, pages, queries};
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
    Nonce, NonceUse, Outcome, PageRequest, RateGrant, Replaced, Replacement, Retention, Stats,
    Store, StoreResult, Submission, Submitted,
};

#[async_trait]
impl Store for PostgresStore {
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>> {
        let made = (name.to_owned(), operator, now);
        self.link
            .write(made, |write, (name, operator, now)| {
                accounts::create(write, name, *operator, *now).boxed()
            })
            .await
    }

    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        self.link.read((), |db, ()| accounts::list(db).boxed()).await
    }

    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>> {
        self.link
            .write((name.to_owned(), change), |write, (name, change)| {
                accounts::change(write, name, *change).boxed()
            })
            .await
    }

    async fn key_create(&self, key: AccessKey) -> StoreResult<bool> {
        self.link.write(key, |write, key| accounts::create_key(write, key).boxed()).await
    }

    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        self.link.read(account, |db, account| accounts::list_keys(db, *account).boxed()).await
    }

    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool> {
        let set = (id.to_owned(), status);
        self.link
            .write(set, |write, (id, status)| accounts::set_key_status(write, id, *status).boxed())
            .await
    }

    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        self.link.read(id.to_owned(), |db, id| accounts::find_key(db, id).boxed()).await
    }

    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool> {
        let asked = (hash(&nonce), nonce.now);
        self.link.read(asked, |db, (hash, now)| nonces::is_live(db, hash, *now).boxed()).await
    }

    /// What the answer says is on stable storage already.
    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        let Nonce { now, expires, .. } = nonce;
        let used = Use { hash: hash(&nonce), now, expires };
        if self.nonces.call(&self.link, used).await? {
            Ok(NonceUse::Fresh(Box::pin(std::future::ready(Ok(())))))
        } else {
            Ok(NonceUse::Replayed)
        }
    }

    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted> {
        let submitted = self.submits.call(&self.link, submission).await?;
        if matches!(submitted, Submitted::Accepted(_)) {
            self.wake.outgoing.notify_one();
        }
        Ok(submitted)
    }

    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
        let mut line = Arc::clone(&self.line).lock_owned().await;
        let asked = (request, line.clone());
        let claimed = self
            .link
            .write(asked, |write, (request, line)| claim::claim(write, request, line).boxed());
        let (claims, after) = claimed.await?;
        *line = after;
        Ok(claims)
    }

    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>> {
        let beats = (beats.to_vec(), until);
        self.link
            .write(beats, |write, (beats, until)| jobs::beat(write, beats, *until).boxed())
            .await
    }

    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.link
            .write((claim, due, now), |write, (claim, due, now)| {
                jobs::hand_back(write, claim, *due, *now).boxed()
            })
            .await
    }

    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, fault, due, now);
        self.link
            .write(word, |write, (claim, fault, due, now)| {
                jobs::retry_later(write, claim, fault, *due, *now).boxed()
            })
            .await
    }

    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, fault, kept, now);
        self.link
            .write(word, |write, (claim, fault, kept, now)| {
                jobs::halt(write, claim, fault, *kept, *now).boxed()
            })
            .await
    }

    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced> {
        self.link
            .write((replacement, now), |write, (replacement, now)| {
                jobs::replace_url(write, replacement, *now).boxed()
            })
            .await
    }

    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize> {
        self.link
            .write((now, limit), |write, (now, limit)| jobs::lapse(write, *now, *limit).boxed())
            .await
    }

    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let word = (claim, outcome, now);
        self.link
            .write(word, |write, (claim, outcome, now)| {
                jobs::finish(write, claim, outcome, *now).boxed()
            })
            .await
    }

    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize> {
        let asked = (now, limit, everything, self.judge);
        self.link
            .write(asked, |write, (now, limit, everything, judge)| {
                jobs::expire(write, *now, *limit, *everything, *judge).boxed()
            })
            .await
    }

    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        self.link
            .write((account, by, now), |write, (account, by, now)| {
                cancel::cancel(write, *account, by, *now).boxed()
            })
            .await
    }

    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        self.link
            .read((account, keys.to_vec(), since), |db, (account, keys, since)| {
                queries::infos_by_id(db, *account, keys, *since).boxed()
            })
            .await
    }

    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        self.link
            .read((account, urls.to_vec(), since), |db, (account, urls, since)| {
                queries::infos_by_url(db, *account, urls, *since).boxed()
            })
            .await
    }

    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage> {
        let budget = request.budget();
        self.link
            .read((request, budget), |db, (request, budget)| {
                pages::page(db, request, *budget).boxed()
            })
            .await
    }

    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        self.link.write(keys.to_vec(), |write, keys| queries::states(write, keys).boxed()).await
    }

    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup> {
        self.link
            .read((account, media), |db, (account, media)| {
                queries::media(db, *account, media).boxed()
            })
            .await
    }

    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        let found = self.link.read(vec![key], |db, keys| queries::objects(db, keys).boxed());
        Ok(found.await?.pop().map(|(_, object, facts)| (object, facts)))
    }

    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        let found = self.link.read(keys.to_vec(), |db, keys| queries::objects(db, keys).boxed());
        Ok(found.await?.into_iter().map(|(key, object, _)| (key, object)).collect())
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.link.read((), |db, ()| queries::stats(db).boxed()).await
    }

    async fn purge(&self, retention: Retention) -> StoreResult<usize> {
        self.link.write(retention, |write, retention| jobs::purge(write, retention).boxed()).await
    }

    async fn rate_take(
        &self,
        account: AccountId,
        operation: &str,
        limit: u32,
        wanted: u32,
    ) -> StoreResult<Option<RateGrant>> {
        let asked = (account, operation.to_owned(), limit, wanted);
        let taken = self.link.touch(asked, |db, (account, operation, limit, wanted)| {
            queries::rate_take(db, *account, operation, *limit, *wanted).boxed()
        });
        taken.await.map(Some)
    }

    async fn woken(&self) {
        self.wake.incoming.notified().await;
    }

    async fn close(&self) -> StoreResult<()> {
        self.link.shut();
        self.wake.stop.cancel();
        self.link.close().await;
        Ok(())
    }
}
