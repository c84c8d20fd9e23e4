//! Accepting jobs: judged whole before anything is written.

use std::collections::BTreeSet;

use super::desk::Sums;
use super::{Inner, Key0, Record, Used, in_force};
use crate::domain::account::AccountId;
use crate::domain::job::{Job, Phase, Progress, StateKind, Token};
use crate::store::{Counted, NewJob, StoreError, StoreResult, Submission, Submitted, day};

impl Inner {
    pub(super) fn submit(&mut self, submission: Submission) -> StoreResult<Submitted> {
        let account = submission.account;
        if !self.accounts.contains_key(&account) {
            return Err(StoreError::Engine(format!("there is no account {}", account.0)));
        }
        if let Some(answer) = self.refusal(&submission) {
            return Ok(answer);
        }
        let Submission { jobs, session, now, deadline, .. } = submission;
        *self.calls.entry((account, day::number(now))).or_default() += 1;
        let mut keys = Vec::with_capacity(jobs.len());
        for NewJob { url, request } in jobs {
            let key = self.last_key.0.next(now);
            self.last_key = Key0(key);
            let job = Job {
                key,
                account,
                url,
                request,
                created: now,
                claimed: None,
                deadline,
                progress: Progress::new(),
                phase: Phase::Processing,
                bytes: 0,
                finished: None,
            };
            self.enter_line(&job);
            self.jobs.insert(key, Record { job, token: Token(0) });
            keys.push(key);
        }
        if !keys.is_empty() {
            self.count(now, account, Counted::Accepted, Sums::of(keys.len()));
        }
        if let Some(session) = session {
            let used = Used {
                fingerprint: session.fingerprint,
                keys: keys.clone(),
                expires: now + session.window,
            };
            self.sessions.insert((account, session.id), used);
        }
        Ok(Submitted::Accepted(keys))
    }

    /// The first reason not to accept, in the order that [`crate::store::Store::job_submit`] fixes.
    fn refusal(&self, submission: &Submission) -> Option<Submitted> {
        let Submission { account, jobs, session, now, limits, .. } = submission;
        if let Some(session) = session
            && let Some(used) = in_force(self, submission, session)
        {
            return Some(if used.fingerprint == session.fingerprint {
                Submitted::Replayed(used.keys.clone())
            } else {
                Submitted::SessionTaken
            });
        }
        let today = day::number(*now);
        let calls = self.calls.get(&(*account, today)).copied().unwrap_or(0);
        if limits.calls_per_day != 0 && calls >= limits.calls_per_day {
            return Some(Submitted::DayQuota { opens: day::next_begins(today) });
        }
        let queued = self.queued(*account) + jobs.len() as u64;
        if limits.pending != 0 && queued > limits.pending {
            return Some(Submitted::QueueFull);
        }
        let mut used = BTreeSet::new();
        let mut ids = jobs.iter().filter_map(|job| job.request.reference_id.as_deref());
        ids.find(|id| !used.insert(*id) || self.reference_holder(*account, id).is_some())
            .map(|id| Submitted::ReferenceTaken(id.to_owned()))
    }

    fn queued(&self, account: AccountId) -> u64 {
        let of_account = self.jobs.values().filter(|record| record.job.account == account);
        let kinds = of_account.map(|record| record.job.progress.state.kind());
        let queued = |kind: &StateKind| match kind {
            StateKind::Pending | StateKind::Waiting | StateKind::AwaitingUrl => true,
            StateKind::Running | StateKind::Succeeded | StateKind::Failed | StateKind::Canceled => {
                false
            }
        };
        kinds.filter(queued).count() as u64
    }
}
