//! The store in memory: every verb under one mutex, every transition by
//! [`crate::domain::job::apply`] itself.
//!
//! It forgets everything when it is dropped. It is the model that the durable backends are
//! compared with, and what simulations run on: it orders everything by key, so that one sequence
//! of calls always gives one sequence of answers.

mod desk;
mod jobs;
mod submit;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;

use self::desk::Sums;
use super::line::{Entry, Passed};
use super::nonces::{self, Nonces};
use super::{
    Beat, CancelBy, CancelVerdict, Claim, ClaimRequest, ConsoleSession, Counted, Finish, JobPage,
    MediaLookup, MediaRef, Nonce, NonceUse, Outcome, PageRequest, Replaced, Replacement, Retention,
    Session, Stats, Store, StoreError, StoreResult, Submission, Submitted,
};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus, Weight};
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Event, Job, State, StateKind, Token};
use crate::domain::media::{Media, MediaFacts, StoredObject};
use crate::domain::priority::Priority;
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Turns;

/// See the module.
#[derive(Default)]
pub struct MemoryStore(Mutex<Inner>);

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}

#[derive(Default)]
struct Inner {
    closed: bool,
    accounts: BTreeMap<AccountId, Account>,
    /// In the order of creation.
    access_keys: Vec<AccessKey>,
    nonces: Nonces,
    sessions: BTreeMap<(AccountId, String), Used>,
    /// Accepted calls by account and day.
    calls: BTreeMap<(AccountId, i64), u32>,
    last_key: Key0,
    jobs: BTreeMap<Key, Record>,
    /// Pending and waiting jobs, by account, priority and due time.
    ready: BTreeSet<Ready>,
    media: BTreeMap<Key, Media>,
    turns: Turns,
    passed: Passed,
    /// The attempts that are over, oldest first.
    attempts: BTreeMap<Key, Vec<Attempt>>,
    /// By minute, account and what is counted.
    tallies: BTreeMap<(Timestamp, AccountId, Counted), Sums>,
    console_sessions: BTreeMap<[u8; 32], ConsoleSession>,
}

/// Where a job stands in its account's line.
type Ready = (AccountId, Priority, Timestamp, Key, HostId);

/// The key given out last; before the first one, zero.
struct Key0(Key);

impl Default for Key0 {
    fn default() -> Self {
        Self(Key(0))
    }
}

/// A session id's first use.
struct Used {
    fingerprint: [u8; 32],
    keys: Vec<Key>,
    expires: Timestamp,
}

struct Record {
    job: Job,
    /// Of the last claim; zero before the first.
    token: Token,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows every job with the token of its last claim, oldest first: simulations compare what is
    /// there after a verb with what was there before it.
    pub fn each_job(&self, mut show: impl FnMut(&Job, Token)) {
        let inner = self.0.lock().expect("no verb panics while it holds the store");
        inner.jobs.values().for_each(|record| show(&record.job, record.token));
    }

    /// Changes a job past all rules: simulations plant bugs with it, to see that they are found.
    pub fn tamper(&self, key: Key, change: impl FnOnce(&mut Job)) {
        let mut inner = self.0.lock().expect("no verb panics while it holds the store");
        let _ = inner.edit(key, change);
    }

    /// A page within another budget than the usual.
    #[cfg(test)]
    pub(in crate::store) fn page_within(&self, request: &PageRequest, budget: usize) -> JobPage {
        self.with(|inner| Ok(inner.page(request, budget))).expect("the store is open")
    }

    fn with<T>(&self, verb: impl FnOnce(&mut Inner) -> StoreResult<T>) -> StoreResult<T> {
        let mut inner = self.0.lock().expect("no verb panics while it holds the store");
        if inner.closed { Err(StoreError::Closed) } else { verb(&mut inner) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn account_create(
        &self,
        name: &str,
        operator: bool,
        now: Timestamp,
    ) -> StoreResult<Option<Account>> {
        self.with(|inner| {
            if inner.accounts.values().any(|account| account.name == name) {
                return Ok(None);
            }
            let id = AccountId(inner.accounts.keys().next_back().map_or(1, |last| last.0 + 1));
            let account = Account {
                id,
                name: name.to_owned(),
                enabled: true,
                operator,
                weight: Weight::default(),
                paused: false,
                created: now,
            };
            inner.accounts.insert(id, account.clone());
            Ok(Some(account))
        })
    }

    async fn account_list(&self) -> StoreResult<Vec<Account>> {
        self.with(|inner| Ok(inner.accounts.values().cloned().collect()))
    }

    async fn account_change(
        &self,
        name: &str,
        change: AccountChange,
    ) -> StoreResult<Option<Account>> {
        self.with(|inner| {
            let found = inner.accounts.values_mut().find(|account| account.name == name);
            Ok(found.map(|account| {
                *account = change.of(account.clone());
                account.clone()
            }))
        })
    }

    async fn key_create(&self, key: AccessKey) -> StoreResult<bool> {
        self.with(|inner| {
            let taken = inner.access_keys.iter().any(|other| other.id == key.id);
            if taken || !inner.accounts.contains_key(&key.account) {
                return Ok(false);
            }
            inner.access_keys.push(key);
            Ok(true)
        })
    }

    async fn key_list(&self, account: Option<AccountId>) -> StoreResult<Vec<AccessKey>> {
        self.with(|inner| {
            let wanted = |key: &&AccessKey| account.is_none_or(|account| key.account == account);
            Ok(inner.access_keys.iter().filter(wanted).cloned().collect())
        })
    }

    async fn key_set_status(&self, id: &str, status: Option<KeyStatus>) -> StoreResult<bool> {
        self.with(|inner| {
            let Some(at) = inner.access_keys.iter().position(|key| key.id == id) else {
                return Ok(false);
            };
            match status {
                Some(status) => inner.access_keys[at].status = status,
                None => {
                    inner.access_keys.remove(at);
                    inner.console_sessions.retain(|_, session| session.access_key_id != id);
                }
            }
            Ok(true)
        })
    }

    async fn key_find(&self, id: &str) -> StoreResult<Option<(AccessKey, Account)>> {
        self.with(|inner| {
            let key = inner.access_keys.iter().find(|key| key.id == id);
            Ok(key.and_then(|key| Some((key.clone(), inner.accounts.get(&key.account)?.clone()))))
        })
    }

    async fn nonce_seen(&self, nonce: Nonce<'_>) -> StoreResult<bool> {
        self.with(|inner| Ok(inner.nonces.is_live(&nonces::hash(&nonce), nonce.now)))
    }

    async fn nonce_take(&self, nonce: Nonce<'_>) -> StoreResult<NonceUse> {
        self.with(|inner| {
            let fresh = inner.nonces.take(nonces::hash(&nonce), nonce.now, nonce.expires);
            Ok(if fresh {
                NonceUse::Fresh(Box::pin(std::future::ready(Ok(()))))
            } else {
                NonceUse::Replayed
            })
        })
    }

    async fn job_submit(&self, submission: Submission) -> StoreResult<Submitted> {
        self.with(|inner| inner.submit(submission))
    }

    async fn job_claim(&self, request: ClaimRequest) -> StoreResult<Vec<Claim>> {
        self.with(|inner| Ok(inner.claim(request)))
    }

    async fn job_beat(&self, beats: &[Beat], until: Timestamp) -> StoreResult<Vec<Beat>> {
        self.with(|inner| {
            let mut refused = Vec::new();
            for beat in beats {
                let event = Event::Beat { token: beat.token, until };
                let note = |job: &mut Job| {
                    job.phase = beat.phase;
                    job.bytes = beat.bytes;
                };
                if inner.change(beat.key, &event, note).is_none() {
                    refused.push(*beat);
                }
            }
            Ok(refused)
        })
    }

    async fn job_hand_back(
        &self,
        claim: Claim,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        let event = Event::HandBack { token: claim.token(), due };
        self.with(|inner| {
            let ended = inner.end(claim.job().key, &event, Ending::HandedBack, now, |_| {});
            Ok(finish(ended.map(drop)))
        })
    }

    async fn job_retry_later(
        &self,
        claim: Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.with(|inner| Ok(inner.retry_later(&claim, fault, due, now)))
    }

    async fn job_halt(
        &self,
        claim: Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.with(|inner| Ok(inner.halt(&claim, fault, kept, now)))
    }

    async fn job_replace_url(
        &self,
        replacement: Replacement,
        now: Timestamp,
    ) -> StoreResult<Replaced> {
        self.with(|inner| Ok(inner.replace_url(replacement, now)))
    }

    async fn job_lapse(&self, now: Timestamp, limit: usize) -> StoreResult<usize> {
        self.with(|inner| Ok(inner.lapse(now, limit)))
    }

    async fn job_finish(
        &self,
        claim: Claim,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<Finish> {
        self.with(|inner| Ok(inner.finish(&claim, outcome, now)))
    }

    async fn job_expire(
        &self,
        now: Timestamp,
        limit: usize,
        everything: bool,
    ) -> StoreResult<usize> {
        self.with(|inner| Ok(inner.expire(now, limit, everything)))
    }

    async fn job_cancel_pending(
        &self,
        account: AccountId,
        by: CancelBy,
        now: Timestamp,
    ) -> StoreResult<Vec<CancelVerdict>> {
        self.with(|inner| {
            Ok(match by {
                CancelBy::Keys(keys) => {
                    keys.into_iter().map(|key| inner.cancel_key(account, key, now)).collect()
                }
                CancelBy::Urls(urls) => {
                    urls.iter().map(|url| inner.cancel_url(account, url, now)).collect()
                }
            })
        })
    }

    async fn job_infos_by_id(
        &self,
        account: AccountId,
        keys: &[Key],
        since: Timestamp,
    ) -> StoreResult<Vec<Job>> {
        self.with(|inner| {
            let mut seen = BTreeSet::new();
            let first = keys.iter().filter(|key| seen.insert(**key));
            let jobs = first.filter_map(|key| inner.job_of(account, *key));
            Ok(jobs.filter(|job| job.created >= since).cloned().collect())
        })
    }

    async fn job_infos_by_url(
        &self,
        account: AccountId,
        urls: &[SourceUrl],
        since: Timestamp,
    ) -> StoreResult<Vec<Vec<Job>>> {
        self.with(|inner| {
            let mut room = super::INFOS_LIMIT;
            let mut out = Vec::with_capacity(urls.len());
            for url in urls {
                let newest_first = inner.jobs.values().rev().map(|record| &record.job);
                let wanted = newest_first.filter(|job| {
                    job.account == account && job.url == *url && job.created >= since
                });
                let found: Vec<Job> = wanted.take(room).cloned().collect();
                room -= found.len();
                out.push(found);
            }
            Ok(out)
        })
    }

    async fn job_page(&self, request: PageRequest) -> StoreResult<JobPage> {
        self.with(|inner| Ok(inner.page(&request, request.budget())))
    }

    async fn job_states(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StateKind, Option<Token>)>> {
        self.with(|inner| {
            let found = keys.iter().filter_map(|key| inner.jobs.get(key));
            Ok(found
                .map(|record| {
                    let token = (record.token > Token(0)).then_some(record.token);
                    (record.job.key, record.job.progress.state.kind(), token)
                })
                .collect())
        })
    }

    async fn media_find(&self, account: AccountId, media: MediaRef) -> StoreResult<MediaLookup> {
        self.with(|inner| {
            let key = match media {
                MediaRef::Key(key) => Some(key),
                MediaRef::ReferenceId(id) => inner.reference_holder(account, &id),
            };
            let Some(job) = key.and_then(|key| inner.job_of(account, key)) else {
                return Ok(MediaLookup::Unknown);
            };
            Ok(match inner.media.get(&job.key) {
                Some(media) => MediaLookup::Stored(Box::new(media.clone())),
                None => MediaLookup::NotStored(job.progress.state.kind()),
            })
        })
    }

    async fn media_object(&self, key: Key) -> StoreResult<Option<(StoredObject, MediaFacts)>> {
        self.with(|inner| {
            let media = inner.media.get(&key);
            Ok(media.map(|media| (media.object.clone(), media.facts.clone())))
        })
    }

    async fn media_objects(&self, keys: &[Key]) -> StoreResult<Vec<(Key, StoredObject)>> {
        self.with(|inner| {
            let found = keys.iter().filter_map(|key| inner.media.get(key));
            Ok(found.map(|media| (media.key, media.object.clone())).collect())
        })
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.with(|inner| {
            let count = |kind| {
                let states = inner.jobs.values().map(|record| record.job.progress.state.kind());
                states.filter(|state| *state == kind).count() as u64
            };
            Ok(Stats {
                pending: count(StateKind::Pending),
                running: count(StateKind::Running),
                waiting: count(StateKind::Waiting),
                awaiting: count(StateKind::AwaitingUrl),
                oldest_ready: inner.oldest_to_start(),
            })
        })
    }

    async fn purge(&self, retention: Retention) -> StoreResult<usize> {
        self.with(|inner| Ok(inner.purge(retention)))
    }

    async fn close(&self) -> StoreResult<()> {
        self.0.lock().expect("no verb panics while it holds the store").closed = true;
        Ok(())
    }
}

fn finish(changed: Option<()>) -> Finish {
    changed.map_or(Finish::Superseded, |()| Finish::Recorded)
}

/// When a job can be claimed; `None` when it cannot.
fn due(job: &Job) -> Option<Timestamp> {
    match &job.progress.state {
        State::Pending => Some(job.created),
        State::Waiting { due } => Some(*due),
        State::Running { .. }
        | State::Succeeded
        | State::Failed(_)
        | State::Canceled
        | State::AwaitingUrl { .. } => None,
    }
}

/// Where a job stands in its account's line; `None` when it is not in it.
fn ready(job: &Job) -> Option<Ready> {
    let host = HostId::of(&job.url.host());
    due(job).map(|due| (job.account, job.request.priority, due, job.key, host))
}

/// The session's record, when its first use is still in the window.
fn in_force<'a>(inner: &'a Inner, submission: &Submission, session: &Session) -> Option<&'a Used> {
    let used = inner.sessions.get(&(submission.account, session.id.clone()))?;
    (used.expires > submission.now).then_some(used)
}
