//! What happens to jobs after they were accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::mem::take;
use std::ops::ControlFlow;

use super::{Entry, Inner, Ready, ready};
use crate::domain::account::AccountId;
use crate::domain::attempt::Ending;
use crate::domain::id::Key;
use crate::domain::job::{Event, Job, Phase, StateKind, Token, apply};
use crate::domain::media::Media;
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Contender;
use crate::store::line::{Lane, Lanes, Place, Search};
use crate::store::{
    CancelVerdict, Claim, ClaimRequest, Counted, Finish, JobPage, Outcome, PageRequest, Replaced,
    Replacement, Retention,
};

/// The index of ready jobs.
struct Line<'a>(&'a BTreeSet<Ready>);

impl Lanes for Line<'_> {
    type Error = Infallible;

    fn walk(
        &mut self,
        (account, priority): Lane,
        after: Place,
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let start = (account, priority, after.0, after.1, HostId(i64::MAX));
        let end = (account, priority, Timestamp(i64::MAX), Key(i64::MAX), HostId(i64::MAX));
        for (_, _, due, key, host) in self.0.range(start..=end) {
            let entry = Entry { due: *due, key: *key, host: *host };
            if (entry.due, entry.key) > after && show(entry).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Applies `event` and then `edit`, which changes what no rule looks at; `None` when the event
    /// is refused.
    pub(super) fn change(
        &mut self,
        key: Key,
        event: &Event,
        edit: impl FnOnce(&mut Job),
    ) -> Option<()> {
        let next = apply(&self.jobs.get(&key)?.job.progress, event).ok()?;
        self.edit(key, |job| {
            job.progress = next;
            edit(job);
        })
    }

    /// Changes a job without asking the rules; `None` when there is no such job.
    pub(super) fn edit(&mut self, key: Key, change: impl FnOnce(&mut Job)) -> Option<()> {
        let job = &mut self.jobs.get_mut(&key)?.job;
        if let Some(entry) = ready(job) {
            self.ready.remove(&entry);
        }
        change(job);
        let job = job.clone();
        self.enter_line(&job);
        Some(())
    }

    /// Makes a job findable by claims, if it is one for them.
    pub(super) fn enter_line(&mut self, job: &Job) {
        if let Some(entry) = ready(job) {
            self.ready.insert(entry);
        }
    }

    /// When the job that has been ready longest became so, among accounts that are not paused.
    pub(super) fn oldest_to_start(&self) -> Option<Timestamp> {
        let goes_on = |account| self.accounts.get(account).is_some_and(|found| !found.paused);
        self.ready.iter().filter(|entry| goes_on(&entry.0)).map(|entry| entry.2).min()
    }

    pub(super) fn job_of(&self, account: AccountId, key: Key) -> Option<&Job> {
        self.jobs.get(&key).map(|record| &record.job).filter(|job| job.account == account)
    }

    /// The job of the account that holds a reference id: one that made its medium or still may.
    pub(super) fn reference_holder(&self, account: AccountId, id: &str) -> Option<Key> {
        let holds = |job: &&Job| {
            job.account == account
                && job.request.reference_id.as_deref() == Some(id)
                && !matches!(job.progress.state.kind(), StateKind::Failed | StateKind::Canceled)
        };
        self.jobs.values().map(|record| &record.job).find(holds).map(|job| job.key)
    }

    pub(super) fn claim(&mut self, request: ClaimRequest) -> Vec<Claim> {
        let ClaimRequest { slots, spare, shares, hosts, now, .. } = request;
        let until = now + request.lease;
        let contenders = self.contenders();
        let (mut turns, mut passed) = (take(&mut self.turns), take(&mut self.passed));
        passed.keep(&contenders);
        let mut contest = turns.contest(contenders, slots, slots + spare, shares);
        let mut search = Search::new(&mut passed, hosts, now);
        let mut claims = Vec::new();
        while let Some(account) = contest.whose_turn() {
            let Ok(found) = search.next(&mut Line(&self.ready), account);
            match found.and_then(|key| self.claim_one(key, now, until)) {
                Some(claim) => {
                    claims.push(claim);
                    contest.served(account);
                }
                None => contest.out(account),
            }
        }
        (self.turns, self.passed) = (turns, passed);
        claims
    }

    /// The accounts that have something to start and are not paused.
    fn contenders(&self) -> Vec<Contender> {
        let mut running: BTreeMap<AccountId, usize> = BTreeMap::new();
        for job in self.jobs.values().map(|record| &record.job) {
            if job.progress.state.kind() == StateKind::Running {
                *running.entry(job.account).or_default() += 1;
            }
        }
        let mut accounts: Vec<AccountId> = self.ready.iter().map(|entry| entry.0).collect();
        accounts.dedup();
        let accounts = accounts.iter().filter_map(|account| self.accounts.get(account));
        let going = accounts.filter(|account| !account.paused);
        going
            .map(|account| Contender {
                account: account.id,
                weight: account.weight,
                running: running.get(&account.id).copied().unwrap_or(0),
            })
            .collect()
    }

    fn claim_one(&mut self, key: Key, now: Timestamp, until: Timestamp) -> Option<Claim> {
        let token = Token(self.jobs.get(&key)?.token.0 + 1);
        let event = Event::Claim { now, token, until };
        self.change(key, &event, |job| {
            job.phase = Phase::Processing;
            job.bytes = 0;
            job.claimed = Some(now);
        })?;
        let record = self.jobs.get_mut(&key)?;
        record.token = token;
        Some(Claim::new(record.job.clone(), token))
    }

    pub(super) fn finish(&mut self, claim: &Claim, outcome: Outcome, now: Timestamp) -> Finish {
        let (key, token) = (claim.job().key, claim.token());
        let changed = match outcome {
            Outcome::Failure(fault) => {
                let code = fault.class.code().to_owned();
                let event = Event::Fail { token, fault };
                let ended =
                    self.end(key, &event, Ending::Failed, now, |job| job.finished = Some(now));
                ended.map(|job| self.count_end(&job, Counted::Failed(code), now))
            }
            Outcome::Success { facts, object } => {
                let ended =
                    self.end(key, &Event::Succeed { token }, Ending::Succeeded, now, |job| {
                        job.finished = Some(now);
                        job.bytes = object.size;
                    });
                let changed = ended.map(|job| self.count_end(&job, Counted::Succeeded, now));
                if changed.is_some() {
                    let Job { account, request, .. } = claim.job();
                    let request = request.clone();
                    let media = Media {
                        key,
                        account: *account,
                        title: request.title,
                        description: request.description,
                        tags: request.tags,
                        cover_url: request.cover_url,
                        cate_id: request.cate_id,
                        reference_id: request.reference_id,
                        user_data: request.user_data,
                        facts,
                        object,
                        created: now,
                    };
                    self.media.insert(key, media);
                }
                changed
            }
        };
        super::finish(changed)
    }

    pub(super) fn expire(&mut self, now: Timestamp, limit: usize, everything: bool) -> usize {
        let mut leases: Vec<(Timestamp, Key)> = Vec::new();
        for job in self.jobs.values().map(|record| &record.job) {
            if let crate::domain::job::State::Running { until, .. } = job.progress.state
                && (everything || until <= now)
            {
                leases.push((until, job.key));
            }
        }
        leases.sort_unstable();
        leases.truncate(limit);
        for (until, key) in &leases {
            // With `everything`, a lease in force is treated as one that ends now.
            let event = Event::Expire { now: now.max(*until) };
            let _ = self.end(*key, &event, Ending::Expired, now, |job| {
                job.progress.state = crate::domain::job::State::Waiting { due: now };
            });
        }
        leases.len()
    }

    pub(super) fn replace_url(&mut self, replacement: Replacement, now: Timestamp) -> Replaced {
        let Replacement { account, key, url, sealed_headers } = replacement;
        let Some(job) = self.job_of(account, key) else { return Replaced::NotExist };
        let kind = job.progress.state.kind();
        let repeated = job.progress.renewals > 0 && job.url == url;
        let changed = self.change(key, &Event::ReplaceUrl { now }, |job| {
            job.url = url;
            job.request.sealed_headers = sealed_headers;
        });
        match changed {
            Some(()) => Replaced::Renewed,
            None if repeated => Replaced::Repeated,
            None => Replaced::NotAwaiting(kind),
        }
    }

    pub(super) fn lapse(&mut self, now: Timestamp, limit: usize) -> usize {
        let jobs = self.jobs.values().map(|record| &record.job);
        let awaiting = jobs.filter(|job| job.progress.state.kind() == StateKind::AwaitingUrl);
        let mut over: Vec<(Timestamp, Key)> =
            awaiting.filter(|job| job.deadline <= now).map(|job| (job.deadline, job.key)).collect();
        over.sort_unstable();
        over.truncate(limit);
        for (_, key) in &over {
            let changed = self.change(*key, &Event::Lapse { now }, |job| job.finished = Some(now));
            let job = changed.and_then(|()| Some(self.jobs.get(key)?.job.clone()));
            if let Some(job) = job
                && let Some(code) = job.fault_code()
            {
                self.count_end(&job, Counted::Failed(code.to_owned()), now);
            }
        }
        over.len()
    }

    pub(super) fn cancel_key(
        &mut self,
        account: AccountId,
        key: Key,
        now: Timestamp,
    ) -> CancelVerdict {
        if self.job_of(account, key).is_none() {
            return CancelVerdict::NotExist;
        }
        if self.cancel_one(key, now) {
            CancelVerdict::Canceled(vec![key])
        } else {
            self.not_pending(key)
        }
    }

    pub(super) fn cancel_url(
        &mut self,
        account: AccountId,
        url: &SourceUrl,
        now: Timestamp,
    ) -> CancelVerdict {
        let same = |job: &&Job| job.account == account && job.url == *url;
        let jobs = self.jobs.values().map(|record| &record.job);
        let known: Vec<Key> = jobs.filter(same).map(|job| job.key).collect();
        let Some(newest) = known.last().copied() else { return CancelVerdict::NotExist };
        let mut canceled = known;
        canceled.retain(|key| self.cancel_one(*key, now));
        if canceled.is_empty() {
            self.not_pending(newest)
        } else {
            CancelVerdict::Canceled(canceled)
        }
    }

    fn cancel_one(&mut self, key: Key, now: Timestamp) -> bool {
        let changed = self.change(key, &Event::Cancel, |job| job.finished = Some(now));
        let canceled = changed.and_then(|()| Some(self.jobs.get(&key)?.job.clone()));
        if let Some(job) = &canceled {
            self.count_end(job, Counted::Canceled, now);
        }
        canceled.is_some()
    }

    fn not_pending(&self, key: Key) -> CancelVerdict {
        self.jobs.get(&key).map_or(CancelVerdict::NotExist, |record| {
            CancelVerdict::NotPending(key, record.job.progress.state.kind())
        })
    }

    /// Looks at no more than `budget` of the jobs that all filters but the URL's let through.
    pub(super) fn page(&self, request: &PageRequest, budget: usize) -> JobPage {
        let (first, end) = request.keys();
        let kinds = request.kinds();
        let in_range = self.jobs.range(first.min(end)..end).rev().map(|(_, record)| &record.job);
        let candidates = in_range.filter(|job| {
            request.account.is_none_or(|account| job.account == account)
                && kinds.contains(&job.progress.state.kind())
                && request.fault.as_deref().is_none_or(|code| job.fault_code() == Some(code))
        });
        let mut page = JobPage::default();
        let mut last = None;
        for (examined, job) in candidates.enumerate() {
            let part = request.url_contains.as_deref();
            let hit = part.is_none_or(|part| job.url.expose().contains(part));
            if examined == budget || (hit && page.jobs.len() == request.limit) {
                page.next = last;
                break;
            }
            last = Some(job.key);
            if hit {
                page.jobs.push(job.clone());
            }
        }
        page
    }

    pub(super) fn purge(&mut self, retention: Retention) -> usize {
        let Retention { now, records_before, batch } = retention;
        let mut gone = self.nonces.forget(now, batch);

        let over = |used: &super::Used| used.expires <= now;
        let sessions = self.sessions.iter().filter(|(_, used)| over(used));
        let sessions: Vec<_> = sessions.map(|(id, _)| id.clone()).take(batch).collect();
        for id in &sessions {
            self.sessions.remove(id);
        }
        gone += sessions.len();

        let today = crate::store::day::number(now);
        self.calls.retain(|(_, day), _| *day >= today);

        let mut jobs: Vec<(Timestamp, Key)> = Vec::new();
        for job in self.jobs.values().map(|record| &record.job) {
            if let StateKind::Failed | StateKind::Canceled = job.progress.state.kind()
                && let Some(finished) = job.finished.filter(|at| *at < records_before)
            {
                jobs.push((finished, job.key));
            }
        }
        jobs.sort_unstable();
        jobs.truncate(batch);
        for (_, key) in &jobs {
            self.jobs.remove(key);
            self.attempts.remove(key);
        }
        gone + jobs.len() + self.forget_desk(now, batch)
    }
}
