//! Attempts, tallies and console sessions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{Inner, MemoryStore};
use crate::domain::account::AccountId;
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Event, Job, StateKind};
use crate::domain::priority::Priority;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::store::desk::minute_of;
use crate::store::{
    ATTEMPTS_KEPT, AccountQueue, Claim, ConsoleSession, Counted, Desk, Finish, PLACES_LIMIT,
    QUEUES_LIMIT, QueuePlace, SESSIONS_KEPT, StoreError, StoreResult, TALLIES_KEPT, TALLIES_LIMIT,
    Tally, line,
};

/// What a tally sums up.
#[derive(Default)]
pub(super) struct Sums {
    jobs: u64,
    bytes: u64,
    millis: u64,
}

impl Sums {
    /// So many jobs, and nothing else.
    pub(super) fn of(jobs: usize) -> Self {
        Self { jobs: jobs as u64, ..Self::default() }
    }
}

impl Inner {
    pub(super) fn count(&mut self, now: Timestamp, account: AccountId, what: Counted, more: Sums) {
        let sums = self.tallies.entry((minute_of(now), account, what)).or_default();
        sums.jobs += more.jobs;
        sums.bytes += more.bytes;
        sums.millis += more.millis;
    }

    /// Counts the end of a job.
    pub(super) fn count_end(&mut self, job: &Job, what: Counted, now: Timestamp) {
        let millis = u64::try_from(now.since(job.created).as_millis()).unwrap_or(u64::MAX);
        self.count(now, job.account, what, Sums { jobs: 1, bytes: job.bytes, millis });
    }

    /// Applies an event that ends an attempt, and notes the attempt; the job as it is then.
    pub(super) fn end(
        &mut self,
        key: Key,
        event: &Event,
        ending: Ending,
        now: Timestamp,
        edit: impl FnOnce(&mut Job),
    ) -> Option<Job> {
        let number = self.jobs.get(&key)?.job.progress.attempt;
        self.change(key, event, edit)?;
        let record = self.jobs.get(&key)?;
        let job = record.job.clone();
        let fault = match event {
            Event::Fail { fault, .. } | Event::Halt { fault, .. } => Some(fault.clone()),
            Event::Claim { .. }
            | Event::Beat { .. }
            | Event::HandBack { .. }
            | Event::RetryLater { .. }
            | Event::Succeed { .. }
            | Event::Expire { .. }
            | Event::Cancel
            | Event::ReplaceUrl { .. }
            | Event::Lapse { .. } => None,
        };
        let attempt = Attempt {
            number,
            token: record.token,
            started: job.claimed.unwrap_or(job.created),
            ended: now,
            ending,
            fault,
            bytes: job.bytes,
        };
        let attempts = self.attempts.entry(key).or_default();
        attempts.push(attempt);
        if attempts.len() > ATTEMPTS_KEPT {
            attempts.remove(0);
        }
        Some(job)
    }

    pub(super) fn retry_later(
        &mut self,
        claim: &Claim,
        fault: JobFault,
        due: Timestamp,
        now: Timestamp,
    ) -> Finish {
        let key = claim.job().key;
        let event = Event::RetryLater { token: claim.token(), due };
        let Some(job) = self.end(key, &event, Ending::PutOff, now, |_| {}) else {
            return Finish::Superseded;
        };
        let what = Counted::PutOff(fault.class.code().to_owned());
        self.count(now, job.account, what, Sums { jobs: 1, bytes: job.bytes, millis: 0 });
        if let Some(attempt) = self.attempts.get_mut(&key).and_then(|all| all.last_mut()) {
            attempt.fault = Some(fault);
        }
        Finish::Recorded
    }

    pub(super) fn halt(
        &mut self,
        claim: &Claim,
        fault: JobFault,
        kept: u64,
        now: Timestamp,
    ) -> Finish {
        let Job { key, deadline: until, .. } = *claim.job();
        let code = fault.class.code().to_owned();
        let event = Event::Halt { token: claim.token(), fault, until };
        let Some(job) = self.end(key, &event, Ending::PutOff, now, |job| job.bytes = kept) else {
            return Finish::Superseded;
        };
        let sums = Sums { jobs: 1, bytes: kept, millis: 0 };
        self.count(now, job.account, Counted::PutOff(code), sums);
        Finish::Recorded
    }

    fn place(&self, job: &Job, now: Timestamp) -> QueuePlace {
        let (own, stands) = (job.request.priority, (job.created, job.key));
        let ahead = |of: Priority| {
            let end = line::before(stands, own, of, now);
            let start = (job.account, of, Timestamp(i64::MIN), Key(i64::MIN), HostId(i64::MIN));
            let end = (job.account, of, end.0, end.1, HostId(i64::MIN));
            self.ready.range(start..end.max(start)).count() as u64
        };
        let ahead: u64 = Priority::ALL.into_iter().map(ahead).sum();
        QueuePlace { ahead: ahead.min(PLACES_LIMIT), is_exact: ahead <= PLACES_LIMIT }
    }

    /// Forgets old tallies and sessions that are over.
    pub(super) fn forget_desk(&mut self, now: Timestamp, batch: usize) -> usize {
        let end = (now - TALLIES_KEPT, AccountId(i64::MIN), Counted::Accepted);
        let old = self.tallies.range(..end).map(|(key, _)| key.clone());
        let old: Vec<_> = old.take(batch).collect();
        for key in &old {
            self.tallies.remove(key);
        }
        let mut over: Vec<_> = self
            .console_sessions
            .values()
            .filter(|session| session.expires <= now)
            .map(|session| (session.expires, session.hash))
            .collect();
        over.sort_unstable();
        over.truncate(batch);
        for (_, hash) in &over {
            self.console_sessions.remove(hash);
        }
        old.len() + over.len()
    }
}

#[async_trait]
impl Desk for MemoryStore {
    async fn job_attempts(&self, keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        self.with(|inner| {
            let mut seen = BTreeSet::new();
            let first = keys.iter().filter(|key| seen.insert(**key));
            Ok(first.filter_map(|key| Some((*key, inner.attempts.get(key)?.clone()))).collect())
        })
    }

    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        self.with(|inner| {
            let mut queues: BTreeMap<AccountId, AccountQueue> = BTreeMap::new();
            for job in inner.jobs.values().map(|record| &record.job) {
                let account = job.account;
                let kind = job.progress.state.kind();
                if kind.is_final() {
                    continue;
                }
                let queue = queues.entry(account).or_insert(AccountQueue {
                    account,
                    pending: 0,
                    running: 0,
                    waiting: 0,
                    awaiting: 0,
                    oldest_ready: None,
                });
                match kind {
                    StateKind::Pending => queue.pending += 1,
                    StateKind::Running => queue.running += 1,
                    StateKind::Waiting => queue.waiting += 1,
                    StateKind::AwaitingUrl => queue.awaiting += 1,
                    StateKind::Succeeded | StateKind::Failed | StateKind::Canceled => {}
                }
                let due = super::due(job);
                queue.oldest_ready = [queue.oldest_ready, due].into_iter().flatten().min();
            }
            let mut queues: Vec<AccountQueue> = queues.into_values().collect();
            queues.sort_by_key(|queue| {
                Reverse(queue.pending + queue.running + queue.waiting + queue.awaiting)
            });
            queues.truncate(QUEUES_LIMIT);
            Ok(queues)
        })
    }

    async fn queue_places(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> StoreResult<Vec<(Key, QueuePlace)>> {
        self.with(|inner| {
            let place = |key: &Key| {
                let job = &inner.jobs.get(key)?.job;
                (job.progress.state.kind() == StateKind::Pending)
                    .then(|| (*key, inner.place(job, now)))
            };
            Ok(keys.iter().filter_map(place).collect())
        })
    }

    async fn tallies(
        &self,
        account: Option<AccountId>,
        since: Timestamp,
    ) -> StoreResult<Vec<Tally>> {
        self.with(|inner| {
            let start = (since, AccountId(i64::MIN), Counted::Accepted);
            let mut tallies: Vec<Tally> = inner
                .tallies
                .range(start..)
                .filter(|((_, of, _), _)| account.is_none_or(|account| account == *of))
                .map(|((minute, account, what), sums)| Tally {
                    minute: *minute,
                    account: *account,
                    what: what.clone(),
                    jobs: sums.jobs,
                    bytes: sums.bytes,
                    millis: sums.millis,
                })
                .collect();
            let too_many = tallies.len().saturating_sub(TALLIES_LIMIT);
            tallies.drain(..too_many);
            Ok(tallies)
        })
    }

    async fn session_open(&self, session: ConsoleSession) -> StoreResult<()> {
        self.with(|inner| {
            let key = session.access_key_id.clone();
            if !inner.access_keys.iter().any(|other| other.id == key) {
                return Err(StoreError::Engine("a session of a key that is not there".to_owned()));
            }
            inner.console_sessions.insert(session.hash, session);
            let of_key = inner.console_sessions.values().filter(|other| other.access_key_id == key);
            let mut of_key: Vec<_> = of_key.map(|other| (other.created, other.hash)).collect();
            of_key.sort_unstable();
            let too_many = of_key.len().saturating_sub(SESSIONS_KEPT);
            for (_, hash) in &of_key[..too_many] {
                inner.console_sessions.remove(hash);
            }
            Ok(())
        })
    }

    async fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        self.with(|inner| {
            let session = inner.console_sessions.get(hash);
            Ok(session.filter(|session| session.expires > now).cloned())
        })
    }

    async fn session_close(&self, hash: &[u8; 32]) -> StoreResult<bool> {
        self.with(|inner| Ok(inner.console_sessions.remove(hash).is_some()))
    }
}
