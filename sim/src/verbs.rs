//! The verbs of the store over a [`Link`]. A verb that moves jobs tells the witness what it is, and
//! is where a planted bug may stand in for it.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use haulage::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use haulage::domain::attempt::Attempt;
use haulage::domain::fault::JobFault;
use haulage::domain::id::Key;
use haulage::domain::job::{Job, StateKind, Token};
use haulage::domain::media::{MediaFacts, StoredObject};
use haulage::domain::source_url::SourceUrl;
use haulage::domain::time::Timestamp;
use haulage::store::{
    AccountQueue, Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, ConsoleSession, Desk, Finish,
    JobPage, MediaLookup, MediaRef, Nonce, NonceUse, Outcome, PageRequest, QueuePlace, Replaced,
    Replacement, Retention, Stats, Store, StoreResult, Submission, Submitted, Tally,
};

use crate::link::{Link, Side};
use crate::plants;
use crate::witness::Deed;

impl Link {
    /// A verb that moves no job.
    async fn ask<T, F>(
        &self,
        verb: &'static str,
        effect: impl FnOnce(Arc<Side>) -> F + Send + 'static,
    ) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Future<Output = StoreResult<T>> + Send + 'static,
    {
        let effect = |side| -> BoxFuture<'static, StoreResult<T>> { Box::pin(effect(side)) };
        self.call(verb, Deed::Other, effect).await
    }
}

#[async_trait]
impl Desk for Link {
    async fn job_attempts(&self, keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        let keys = keys.to_vec();
        self.ask("job_attempts", |s| async move { s.world.memory.job_attempts(&keys).await }).await
    }

    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        self.ask("queues", |s| async move { s.world.memory.queues().await }).await
    }

    async fn queue_places(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> StoreResult<Vec<(Key, QueuePlace)>> {
        let keys = keys.to_vec();
        self.ask("queue_places", move |s| async move {
            s.world.memory.queue_places(&keys, s.now(now)).await
        })
        .await
    }

    async fn tallies(
        &self,
        account: Option<AccountId>,
        since: Timestamp,
    ) -> StoreResult<Vec<Tally>> {
        self.ask("tallies", move |s| async move { s.world.memory.tallies(account, since).await })
            .await
    }

    async fn session_open(&self, session: ConsoleSession) -> StoreResult<()> {
        self.ask("session_open", |s| async move { s.world.memory.session_open(session).await })
            .await
    }

    async fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        let hash = *hash;
        self.ask("session_find", move |s| async move {
            s.world.memory.session_find(&hash, s.now(now)).await
        })
        .await
    }

    async fn session_close(&self, hash: &[u8; 32]) -> StoreResult<bool> {
        let hash = *hash;
        self.ask("session_close", move |s| async move { s.world.memory.session_close(&hash).await })
            .await
    }
}

#[async_trait]
impl Store for Link {
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>> {
        let name = name.to_owned();
        self.ask("account_create", move |s| async move {
            s.world.memory.account_create(&name, operator, s.now(now)).await
        })
        .await
    }

    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        self.ask("account_list", |s| async move { s.world.memory.account_list().await }).await
    }

    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>> {
        let name = name.to_owned();
        self.ask("account_change", move |s| async move {
            s.world.memory.account_change(&name, change).await
        })
        .await
    }

    async fn key_create(&self, key: AccessKey) -> StoreResult<bool> {
        self.ask("key_create", |s| async move { s.world.memory.key_create(key).await }).await
    }

    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        self.ask("key_list", move |s| async move { s.world.memory.key_list(account).await }).await
    }

    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool> {
        let id = id.to_owned();
        self.ask("key_set_status", move |s| async move {
            s.world.memory.key_set_status(&id, status).await
        })
        .await
    }

    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        let id = id.to_owned();
        self.ask("key_find", |s| async move { s.world.memory.key_find(&id).await }).await
    }

    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool> {
        let (id, value) = (plants::nonce_owner(self, &nonce), nonce.value.to_owned());
        let (expires, now) = (nonce.expires, nonce.now);
        self.ask("nonce_seen", move |s| async move {
            let (expires, now) = (s.beside(expires, now), s.now(now));
            let nonce = Nonce { access_key_id: &id, value: &value, expires, now };
            s.world.memory.nonce_seen(nonce).await
        })
        .await
    }

    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        let (id, value) = (plants::nonce_owner(self, &nonce), nonce.value.to_owned());
        let (expires, now) = (nonce.expires, nonce.now);
        self.ask("nonce_take", move |s| async move {
            let (expires, now) = (s.beside(expires, now), s.now(now));
            let nonce = Nonce { access_key_id: &id, value: &value, expires, now };
            s.world.memory.nonce_take(nonce).await
        })
        .await
    }

    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted> {
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Submitted>> {
            Box::pin(async move {
                let now = s.now(submission.now);
                let deadline = s.beside(submission.deadline, submission.now);
                plants::submit(&s, Submission { now, deadline, ..submission }).await
            })
        };
        self.call("job_submit", Deed::Submit, effect).await
    }

    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
        let known = plants::before_claim(self);
        let asked = request.clone();
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Vec<Claim>>> {
            Box::pin(async move {
                let request = ClaimRequest { now: s.now(request.now), ..request };
                plants::claim(&s, known, request).await
            })
        };
        self.call("job_claim", Deed::Claim(asked), effect).await
    }

    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>> {
        let (sent, told) = (beats.to_vec(), beats.to_vec());
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Vec<Beat>>> {
            Box::pin(async move { plants::beat(&s, &sent, s.shift(until)).await })
        };
        self.call("job_beat", Deed::Beat(told), effect).await
    }

    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let deed = Deed::HandBack(claim.job().key, claim.token());
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Finish>> {
            Box::pin(async move { plants::hand_back(&s, claim, due, now).await })
        };
        self.call("job_hand_back", deed, effect).await
    }

    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let deed = Deed::RetryLater(claim.job().key, claim.token());
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Finish>> {
            Box::pin(async move { s.world.memory.job_retry_later(claim, fault, due, now).await })
        };
        self.call("job_retry_later", deed, effect).await
    }

    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let deed = Deed::Halt(claim.job().key, claim.token());
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Finish>> {
            Box::pin(async move { s.world.memory.job_halt(claim, fault, kept, now).await })
        };
        self.call("job_halt", deed, effect).await
    }

    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced> {
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Replaced>> {
            Box::pin(async move { s.world.memory.job_replace_url(replacement, s.now(now)).await })
        };
        self.call("job_replace_url", Deed::ReplaceUrl, effect).await
    }

    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize> {
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<usize>> {
            Box::pin(async move { s.world.memory.job_lapse(s.now(now), limit).await })
        };
        self.call("job_lapse", Deed::Lapse, effect).await
    }

    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let deed = Deed::Finish(claim.job().key, claim.token(), outcome.clone());
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Finish>> {
            Box::pin(async move { plants::finish(&s, claim, outcome, now).await })
        };
        self.call("job_finish", deed, effect).await
    }

    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize> {
        let known = plants::before_expire(self, now);
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<usize>> {
            Box::pin(async move { plants::expire(&s, known, now, limit, everything).await })
        };
        self.call("job_expire", Deed::Expire { everything }, effect).await
    }

    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        let known = plants::before_cancel(self);
        let effect = move |s: Arc<Side>| -> BoxFuture<'static, StoreResult<Vec<CancelVerdict>>> {
            Box::pin(async move { plants::cancel(&s, known, account, by, s.now(now)).await })
        };
        self.call("job_cancel_pending", Deed::Cancel, effect).await
    }

    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        let keys = keys.to_vec();
        self.ask("job_infos_by_id", move |s| async move {
            s.world.memory.job_infos_by_id(account, &keys, s.shift(since)).await
        })
        .await
    }

    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        let urls = urls.to_vec();
        self.ask("job_infos_by_url", move |s| async move {
            s.world.memory.job_infos_by_url(account, &urls, s.shift(since)).await
        })
        .await
    }

    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage> {
        self.ask("job_page", |s| async move { s.world.memory.job_page(request).await }).await
    }

    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        let keys = keys.to_vec();
        self.ask("job_states", |s| async move { s.world.memory.job_states(&keys).await }).await
    }

    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup> {
        self.ask(
            "media_find",
            move |s| async move { s.world.memory.media_find(account, media).await },
        )
        .await
    }

    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        self.ask("media_object", move |s| async move { s.world.memory.media_object(key).await })
            .await
    }

    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        let keys = keys.to_vec();
        self.ask("media_objects", |s| async move { s.world.memory.media_objects(&keys).await })
            .await
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.ask("stats", |s| async move { s.world.memory.stats().await }).await
    }

    async fn purge(&self, retention: Retention) -> StoreResult<usize> {
        self.ask("purge", move |s| async move {
            let now = s.now(retention.now);
            let records_before = s.beside(retention.records_before, retention.now);
            s.world.memory.purge(Retention { now, records_before, ..retention }).await
        })
        .await
    }

    /// The store outlives its nodes.
    async fn close(&self) -> StoreResult<()> {
        Ok(())
    }
}
