//! The store: jobs, media, accounts, keys and nonces, behind verbs of the business.
//!
//! Every verb is one transaction. A verb that changes something returns after the change is on
//! stable storage: an answer is an acknowledgement. No SQL and no transaction crosses this seam;
//! the backends ([`memory`], [`sqlite`], [`postgres`]) pass one conformance suite, with
//! [`crate::domain::job::apply`] as its oracle.
//!
//! The verbs take the time as a parameter; none reads a clock. What they are asked and answer is in
//! a file for each part of the business, beside this one.
//!
//! What only the console asks is in [`Desk`], which every store is as well.

use async_trait::async_trait;

use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;

mod cancel;
mod claim;
mod day;
mod desk;
mod error;
mod line;
mod media;
pub mod memory;
mod nonces;
mod page;
pub mod postgres;
mod rate;
mod renewal;
pub mod sqlite;
mod submission;
mod upkeep;

#[cfg(test)]
mod conformance;

pub use self::cancel::{CancelBy, CancelVerdict};
pub use self::claim::{Beat, Claim, ClaimRequest, Finish, HostPlaces, Outcome};
pub use self::desk::{
    ATTEMPTS_KEPT, AccountQueue, ConsoleSession, Counted, Desk, NODES_KEPT, NODES_LIMIT,
    NodeRecord, PLACES_LIMIT, QUEUES_LIMIT, QueuePlace, SESSIONS_KEPT, TALLIES_KEPT, TALLIES_LIMIT,
    Tally,
};
pub use self::error::{StoreError, StoreResult};
pub use self::line::{AGAIN_LIMIT, SKIP_LIMIT};
pub use self::media::{MediaLookup, MediaRef};
pub use self::nonces::{Nonce, NonceUse};
pub use self::page::{JobPage, PageRequest, SCATTERED_BUDGET, SEARCH_BUDGET};
pub use self::rate::RateGrant;
pub use self::renewal::{Replaced, Replacement};
pub use self::submission::{NewJob, Session, Submission, SubmitLimits, Submitted};
pub use self::upkeep::{Retention, Stats};

/// Most records that one query by URL returns (contract §9.2).
pub const INFOS_LIMIT: usize = 100;

/// The verbs. An `Arc<dyn Store>` is shared by everything above.
#[async_trait]
pub trait Store: Desk {
    /// Makes an account; `None` when the name is taken.
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>>;

    /// All accounts, oldest first.
    async fn account_list(&self) -> StoreResult<Vec<Account>>;

    /// Changes an account; it is answered as it is then, or `None` when there is none of that
    /// name. The next claim goes by it.
    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>>;

    /// Adds a key; `false` when the id is taken or the account does not exist.
    async fn key_create(&self, key: AccessKey) -> StoreResult<bool>;

    /// The keys of one account, or all, oldest first.
    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>>;

    /// Sets a key's status, or deletes it and ends its console sessions with `None`; `false` when
    /// there is no such key.
    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool>;

    /// A key with its account.
    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>>;

    /// Whether a nonce was used within its window; records nothing.
    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool>;

    /// Uses a nonce up: of any number of racing calls with one nonce, exactly one is `Fresh`.
    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse>;

    /// Accepts all jobs of a call, or none. Quota, queue limit, session and reference ids are
    /// judged in the same transaction, in the order: session, day quota, queue, references. Only
    /// `Accepted` counts against the quota.
    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted>;

    /// Hands out ready jobs (pending, or waiting and due) of accounts that are not paused. Between
    /// accounts [`crate::domain::turns`] decides, so that an account with many jobs does not delay
    /// another's first; within an account jobs go by [`Priority::place`], those of hosts without a
    /// free place passed over. Tokens grow with each claim of a job.
    ///
    /// [`Priority::place`]: crate::domain::priority::Priority::place
    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>>;

    /// Prolongs leases to `until` and notes progress; returns the beats that were refused because
    /// their lease is gone. Phase and bytes are informative.
    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>>;

    /// Gives a job back at no cost (our own stop, or no place at its host): waiting until `due`.
    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish>;

    /// Puts a job off to `due` after a transient fault.
    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish>;

    /// Puts a job off until it is given another URL, at most until its deadline: the origin refuses
    /// this one after `kept` bytes, which lie ready for the next attempt.
    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish>;

    /// Gives a job another URL: it is due at once, its attempts are counted anew, and the headers
    /// confided for the URL before are gone. Of this and [`Store::job_lapse`] exactly one wins.
    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced>;

    /// Fails at most `limit` jobs that still await a URL at their deadline, those with the oldest
    /// deadline first; returns how many.
    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize>;

    /// Ends a job. A success makes its medium in the same transaction.
    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish>;

    /// Puts at most `limit` running jobs whose lease ended by `now` back to waiting, due now;
    /// returns how many. With `everything`, ends all leases whatever their time: right only before
    /// the first claim of the only node on this store.
    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize>;

    /// Cancels what is pending of what is asked for; one verdict for each input, in order.
    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>>;

    /// The account's jobs among `keys` created at or after `since`; each at most once, in the
    /// order of `keys`.
    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>>;

    /// For each URL, in order, the account's jobs created at or after `since`, newest first, at
    /// most [`INFOS_LIMIT`] in all.
    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>>;

    /// A page of jobs, newest first. Looks at no more than [`SEARCH_BUDGET`] of them,
    /// or [`SCATTERED_BUDGET`].
    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage>;

    /// The states of jobs of any account, for the sweep of objects, each with the token of its last
    /// claim (`None` before the first; whether it is in force is the state's to say); unknown keys
    /// are left out.
    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>>;

    /// A medium of an account. A reference id names the job that holds it: one that made its medium
    /// or still may, not one that failed or was cancelled.
    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup>;

    /// The stored object of a medium, for serving it by a signed URL, whoever asks.
    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>>;

    /// The stored objects of the media among `keys`, in their order. The keys are those of jobs
    /// that their account has been shown.
    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>>;

    /// Counts.
    async fn stats(&self) -> StoreResult<Stats>;

    /// Forgets expired nonces and sessions, tallies older than [`TALLIES_KEPT`], and failed and
    /// cancelled jobs past their retention with their attempts; returns how many rows went, not
    /// counting attempts.
    async fn purge(&self, retention: Retention) -> StoreResult<usize>;

    /// Asks for `wanted` calls of an account's operation, of which no second may see more than
    /// `limit` over all nodes. `None` where there is one node alone: it counts by itself.
    async fn rate_take(
        &self,
        _account: AccountId,
        _operation: &str,
        _limit: u32,
        _wanted: u32,
    ) -> StoreResult<Option<RateGrant>> {
        Ok(None)
    }

    /// Ready when another node may have submitted jobs: a hint, and no more. Never ready where there
    /// is one node alone.
    async fn woken(&self) {
        std::future::pending().await
    }

    /// Flushes and closes; later verbs answer [`StoreError::Closed`].
    async fn close(&self) -> StoreResult<()>;
}
