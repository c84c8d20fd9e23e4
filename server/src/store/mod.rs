//! The store: jobs, media, accounts, keys and nonces, behind verbs of the business.
//!
//! Every verb is one transaction. A verb that changes something returns after the change is on
//! stable storage: an answer is an acknowledgement. No SQL and no transaction crosses this seam;
//! the two backends ([`memory`], [`sqlite`]) pass one conformance suite, with
//! [`crate::domain::job::apply`] as its oracle.
//!
//! The verbs take the time as a parameter; none reads a clock.
//!
//! What only the console asks is in [`Desk`], which every store is as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, JobRequest, Phase, StateKind, Token};
use crate::domain::media::{Media, MediaFacts, StoredObject};
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;

mod desk;
mod line;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod conformance;
mod day;
mod nonces;

pub use self::desk::{
    ATTEMPTS_KEPT, AccountQueue, ConsoleSession, Counted, Desk, PLACES_LIMIT, QUEUES_LIMIT,
    QueuePlace, SESSIONS_KEPT, TALLIES_KEPT, TALLIES_LIMIT, Tally,
};

/// Most records that one query by URL returns (contract §9.2).
pub const INFOS_LIMIT: usize = 100;

/// Most jobs that [`Store::job_page`] looks at for one page. It bounds the time of a search by a
/// part of the URL, which no index helps; everything else goes by an index that holds nothing but
/// hits.
pub const SEARCH_BUDGET: usize = 10_000;
/// The same for a search among some of the jobs only. They lie apart: to read one costs about four
/// times as much as to read one's neighbour (measured with a million jobs: 2.6 µs, and 0.7 µs).
pub const SCATTERED_BUDGET: usize = SEARCH_BUDGET / 4;

/// A failure of the store itself; the change it was asked for did not happen, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room for the change. Reading and cancelling still work from the reserve.
    #[error("the store's disk is full")]
    Full,
    /// The engine refused or failed.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// Written by a newer version of Haulage.
    #[error(
        "the database has schema version {found}, newer than {known}, which this program knows; start the newer program"
    )]
    Newer { found: u32, known: u32 },
    /// A row does not make sense: damage, or a foreign hand.
    #[error("the store holds an unreadable row: {0}")]
    Corrupt(String),
}

pub type StoreResult<T> = Result<T, StoreError>;

/// A job to accept.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub url: SourceUrl,
    pub request: JobRequest,
}

/// One `UploadMediaByURL`: all of its jobs are accepted, or none (decision 13).
#[derive(Clone, Debug)]
pub struct Submission {
    pub account: AccountId,
    pub jobs: Vec<NewJob>,
    /// `SessionId` and the digest of all other parameters (decision 7).
    pub session: Option<Session>,
    pub now: Timestamp,
    pub deadline: Timestamp,
    pub limits: SubmitLimits,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub id: String,
    /// SHA-256 over the request's operation parameters.
    pub fingerprint: [u8; 32],
    /// A session id counts as repeated for this long after its first use.
    pub window: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct SubmitLimits {
    /// Calls an account may make in one UTC day; 0 means no limit.
    pub calls_per_day: u32,
    /// Jobs of an account that may be pending, waiting or awaiting a URL at once; 0 means no limit.
    pub pending: u64,
}

/// What became of a [`Submission`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submitted {
    /// New jobs, in the order of the submission.
    Accepted(Vec<Key>),
    /// The same request under the same session id, again: the first answer's jobs.
    Replayed(Vec<Key>),
    /// Another request under a session id that is still in its window.
    SessionTaken,
    /// The account's quota of calls for this day is used up; it opens again at this time.
    DayQuota { opens: Timestamp },
    /// Too many jobs of the account are waiting.
    QueueFull,
    /// A `ReferenceId` that another medium or job of the account has, or that the call uses twice.
    ReferenceTaken(String),
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Most jobs to hand out.
    pub slots: usize,
    /// Slots that the node has free beside these.
    pub spare: usize,
    /// What one account may have of them, the jobs it runs already included.
    pub shares: Shares,
    pub hosts: HostPlaces,
    pub now: Timestamp,
    /// Length of the lease.
    pub lease: Duration,
}

/// The places that the asking node has at the hosts of sources.
#[derive(Clone, Default, Debug)]
pub struct HostPlaces {
    /// Jobs of one host that may run on the node at once; 0 means no limit.
    pub per_host: usize,
    /// Places in use, where there are any.
    pub used: BTreeMap<HostId, usize>,
}

impl HostPlaces {
    /// Whether no place is free. Nothing is known of the hosts of jobs of older databases.
    fn is_full(&self, host: HostId) -> bool {
        let used = self.used.get(&host).copied().unwrap_or(0);
        self.per_host != 0 && host != UNKNOWN_HOST && used >= self.per_host
    }

    fn take(&mut self, host: HostId) {
        *self.used.entry(host).or_default() += 1;
    }
}

/// Of jobs that were accepted before version 4 of the schema.
const UNKNOWN_HOST: HostId = HostId(0);

/// Most jobs of full hosts that one claim passes over, of all accounts together. Where there are
/// more, the next claim goes on where this one ended: it bounds what a claim costs, not what is
/// found.
pub const SKIP_LIMIT: usize = 2_000;

/// A job in the hands of one worker. Made only by [`Store::job_claim`]; used up by the verb that
/// ends it, so that no two endings can be written for one claim.
#[derive(Debug)]
pub struct Claim {
    job: Job,
    token: Token,
}

impl Claim {
    pub(in crate::store) fn new(job: Job, token: Token) -> Self {
        Self { job, token }
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    pub fn token(&self) -> Token {
        self.token
    }

    /// What the beat writes for this claim.
    pub fn beat(&self, phase: Phase, bytes: u64) -> Beat {
        Beat { key: self.job.key, token: self.token, phase, bytes }
    }
}

/// A sign of life of one running job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    pub key: Key,
    pub token: Token,
    pub phase: Phase,
    /// Bytes received so far.
    pub bytes: u64,
}

/// Whether a worker's last word on a job was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    Recorded,
    /// Somebody else holds the job now, or it has ended: stop, tidy up, say so in the log.
    Superseded,
}

/// Another URL for a job that awaits one.
#[derive(Clone)]
pub struct Replacement {
    pub account: AccountId,
    pub key: Key,
    pub url: SourceUrl,
    /// In place of the job's own, which were confided for the URL before.
    pub sealed_headers: Option<String>,
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacement(job {}, {})", self.key.0, self.url)
    }
}

/// What became of a [`Replacement`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// The job has the URL and goes on.
    Renewed,
    /// Nothing: the job was given this very URL before.
    Repeated,
    /// Nothing: the job's state. With [`StateKind::AwaitingUrl`], its deadline has passed.
    NotAwaiting(StateKind),
    /// The account has no such job.
    NotExist,
}

/// How a claim ended.
#[expect(clippy::large_enum_variant, reason = "made once for each job's end and moved twice")]
#[derive(Clone, Debug)]
pub enum Outcome {
    Success { facts: MediaFacts, object: StoredObject },
    Failure(JobFault),
}

/// Which jobs a cancel means.
#[derive(Clone, Debug)]
pub enum CancelBy {
    /// Distinct keys.
    Keys(Vec<Key>),
    /// Distinct URLs: every pending job of the account for each.
    Urls(Vec<SourceUrl>),
}

/// The answer for one input of a cancel, in the order of the inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CancelVerdict {
    /// These jobs were pending and are now cancelled, oldest first.
    Canceled(Vec<Key>),
    /// Known, but none of it is pending: state of the newest such job.
    NotPending(Key, StateKind),
    /// The account has no such job.
    NotExist,
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, Default)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// Pass as `before` to go on; `None` at the end. When its budget ended the search, the page
    /// may be short, or empty, although there is more.
    pub next: Option<Key>,
}

/// Which jobs [`Store::job_page`] lists: those that every filter lets through.
#[derive(Clone, Default)]
pub struct PageRequest {
    /// `None`: of every account.
    pub account: Option<AccountId>,
    /// Empty: any state.
    pub states: Vec<StateKind>,
    /// Only jobs that failed with exactly this code.
    pub fault: Option<String>,
    /// Only jobs whose URL has this in it, upper and lower case told apart. May carry a secret.
    pub url_contains: Option<String>,
    /// Only jobs accepted at or after this. Times of acceptance are told by the key, which grows
    /// with them: a job accepted while the clock was set back counts as accepted right after the
    /// one before it.
    pub since: Option<Timestamp>,
    /// Only jobs accepted before this.
    pub until: Option<Timestamp>,
    /// Only jobs with a smaller key.
    pub before: Option<Key>,
    pub limit: usize,
}

impl PageRequest {
    /// The keys to look at: from the first on, before the second.
    fn keys(&self) -> (Key, Key) {
        let first = self.since.map_or(Key(0), Key::first_at);
        let until = self.until.map_or(Key(i64::MAX), Key::first_at);
        (first, until.min(self.before.unwrap_or(until)))
    }

    /// Whether every job in the range of keys is looked at.
    fn is_of_everything(&self) -> bool {
        self.account.is_none() && self.fault.is_none() && self.kinds().len() == StateKind::ALL.len()
    }

    /// How many jobs may be looked at for a page.
    fn budget(&self) -> usize {
        if self.url_contains.is_none() || self.is_of_everything() {
            SEARCH_BUDGET
        } else {
            SCATTERED_BUDGET
        }
    }

    /// The states to look at; a fault is one of failed jobs alone.
    fn kinds(&self) -> BTreeSet<StateKind> {
        let named = |kind: &StateKind| self.states.is_empty() || self.states.contains(kind);
        let possible = |kind: &StateKind| self.fault.is_none() || *kind == StateKind::Failed;
        StateKind::ALL.into_iter().filter(|kind| named(kind) && possible(kind)).collect()
    }
}

impl fmt::Debug for PageRequest {
    /// Without the part of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageRequest")
            .field("account", &self.account)
            .field("states", &self.states)
            .field("fault", &self.fault)
            .field("since", &self.since)
            .field("until", &self.until)
            .field("before", &self.before)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What identifies a medium.
#[derive(Clone, Debug)]
pub enum MediaRef {
    Key(Key),
    ReferenceId(String),
}

/// A medium, or how far its job has come.
#[derive(Clone, Debug)]
pub enum MediaLookup {
    Stored(Box<Media>),
    /// The medium's job has not succeeded.
    NotStored(StateKind),
    Unknown,
}

/// A nonce's use.
pub enum NonceUse {
    /// Seen before within its window.
    Replayed,
    /// First use. It is on stable storage once the future is ready; wait for it before answering.
    Fresh(Pin<Box<dyn Future<Output = StoreResult<()>> + Send>>),
}

impl fmt::Debug for NonceUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replayed => "Replayed",
            Self::Fresh(_) => "Fresh(..)",
        })
    }
}

/// A request's nonce; unique per access key.
#[derive(Clone, Copy, Debug)]
pub struct Nonce<'a> {
    pub access_key_id: &'a str,
    pub value: &'a str,
    /// Until when it may not be used again.
    pub expires: Timestamp,
    pub now: Timestamp,
}

/// Counts for metrics, readiness and the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub pending: u64,
    pub running: u64,
    pub waiting: u64,
    /// Jobs that wait for another URL.
    pub awaiting: u64,
    /// When the job that has been ready longest became so; in the future when all that is left
    /// waits for its time.
    pub oldest_ready: Option<Timestamp>,
}

/// What [`Store::purge`] may forget.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub now: Timestamp,
    /// Failed and cancelled records that ended before this are removed; everything else stays.
    /// They are to be queryable for one year (§9.2).
    pub records_before: Timestamp,
    /// Most rows of each kind to remove in one go.
    pub batch: usize,
}

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

    /// Flushes and closes; later verbs answer [`StoreError::Closed`].
    async fn close(&self) -> StoreResult<()>;
}
