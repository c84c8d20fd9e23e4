//! Accepting jobs: what waits is judged and written in one transaction.
//!
//! The accounts are locked first, so what is read after that is what counts: of two calls with one
//! session id, or for the last place in a queue, the second sees the first, on whatever node.

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};

use super::failure::Failure;
use super::link::{Link, Write, execute, first_row, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::store::{Counted, Session, StoreResult, Submission, Submitted, day};

/// Most calls of one transaction: bounds how long a caller waits for others' work.
pub(super) const BATCH: usize = 256;
/// Transactions at once. One writes while the other gathers.
pub(super) const LANES: usize = 2;

/// Judges and writes a batch; one that cannot be written does not take the others with it.
pub(super) fn run(
    link: Link,
    calls: Vec<Submission>,
) -> BoxFuture<'static, Vec<StoreResult<Submitted>>> {
    async move {
        let together = link.write_or_fail(&calls, |write, calls| all(write, calls).boxed()).await;
        match together {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| answer.map_err(|refused| refused.to_store_error()))
                .collect(),
            Err(failure) if failure.is_about_one() && calls.len() > 1 => {
                let mut answers = Vec::with_capacity(calls.len());
                for call in calls {
                    answers.extend(run(link.clone(), vec![call]).await);
                }
                answers
            }
            Err(failure) => calls.iter().map(|_| Err(failure.to_store_error())).collect(),
        }
    }
    .boxed()
}

/// What is to be done about one call.
enum Verdict {
    /// Its jobs are those of the batch from here on.
    Accept {
        first: usize,
        jobs: usize,
    },
    /// The session's first use is in this batch: those jobs.
    Repeat {
        first: usize,
        jobs: usize,
    },
    Answer(Submitted),
    Refuse(Failure),
}

/// Where the jobs of a session's first use are.
#[derive(Clone)]
enum Used {
    Before(Vec<Key>),
    /// In this batch.
    Here {
        first: usize,
        jobs: usize,
    },
}

/// What calls are judged by: the database's content, and what this batch adds to it.
struct Known {
    accounts: HashSet<i64>,
    sessions: HashMap<(i64, String), (Vec<u8>, Used, Timestamp)>,
    quotas: HashMap<(i64, i64), i64>,
    queued: HashMap<i64, i64>,
    references: HashSet<(i64, String)>,
    /// Jobs accepted so far.
    jobs: usize,
}

async fn all(
    write: &mut Write<'_>,
    calls: &[Submission],
) -> Result<Vec<Result<Submitted, Failure>>, Failure> {
    let mut known = Known::read(write, calls).await?;
    let verdicts: Vec<Verdict> = calls.iter().map(|call| known.judge(call)).collect();
    let keys = insert(write, calls, &verdicts).await?;
    let of = |first: usize, jobs: usize| keys[first..first + jobs].to_vec();
    let answer = |verdict: Verdict| match verdict {
        Verdict::Accept { first, jobs } => Ok(Submitted::Accepted(of(first, jobs))),
        Verdict::Repeat { first, jobs } => Ok(Submitted::Replayed(of(first, jobs))),
        Verdict::Answer(answer) => Ok(answer),
        Verdict::Refuse(failure) => Err(failure),
    };
    Ok(verdicts.into_iter().map(answer).collect())
}

impl Known {
    async fn read(write: &Write<'_>, calls: &[Submission]) -> Result<Self, Failure> {
        let db = &write.db;
        let mut ids: Vec<i64> = calls.iter().map(|call| call.account.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut known = Self {
            accounts: HashSet::new(),
            sessions: HashMap::new(),
            quotas: HashMap::new(),
            queued: HashMap::new(),
            references: HashSet::new(),
            jobs: 0,
        };
        for found in &rows(db, sql::SUBMIT_LOCK, &[&ids]).await? {
            known.accounts.insert(row::get(found, 0)?);
        }
        known.read_sessions(write, calls).await?;
        if calls.iter().any(|call| call.limits.calls_per_day != 0) {
            let mut wanted: Vec<(i64, i64)> =
                calls.iter().map(|call| (day::number(call.now), call.account.0)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let (days, accounts): (Vec<i64>, Vec<i64>) = wanted.into_iter().unzip();
            for found in &rows(db, sql::QUOTAS_FIND, &[&days, &accounts]).await? {
                let kind = (row::get(found, 0)?, row::get(found, 1)?);
                known.quotas.insert(kind, row::get(found, 2)?);
            }
        }
        if calls.iter().any(|call| call.limits.pending != 0) {
            for found in &rows(db, sql::QUEUED, &[&ids]).await? {
                known.queued.insert(row::get(found, 0)?, row::get(found, 1)?);
            }
        }
        known.read_references(write, calls).await?;
        Ok(known)
    }

    async fn read_sessions(
        &mut self,
        write: &Write<'_>,
        calls: &[Submission],
    ) -> Result<(), Failure> {
        let sessions = calls.iter().filter_map(|call| Some((call, call.session.as_ref()?)));
        let wanted: HashSet<(i64, String)> =
            sessions.map(|(call, session)| session_key(call, session)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let (accounts, ids): (Vec<i64>, Vec<String>) = wanted.into_iter().unzip();
        for found in &rows(&write.db, sql::SESSIONS_FIND, &[&accounts, &ids]).await? {
            let keys: Vec<i64> = row::get(found, 3)?;
            let used = Used::Before(keys.into_iter().map(Key).collect());
            let value = (row::get(found, 2)?, used, Timestamp(row::get(found, 4)?));
            self.sessions.insert((row::get(found, 0)?, row::get(found, 1)?), value);
        }
        Ok(())
    }

    async fn read_references(
        &mut self,
        write: &Write<'_>,
        calls: &[Submission],
    ) -> Result<(), Failure> {
        let wanted: HashSet<(i64, String)> =
            calls.iter().flat_map(|call| references(call).map(|id| (call.account.0, id))).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let (accounts, ids): (Vec<i64>, Vec<String>) = wanted.into_iter().unzip();
        for found in &rows(&write.db, sql::REFERENCES_HELD, &[&accounts, &ids]).await? {
            self.references.insert((row::get(found, 0)?, row::get(found, 1)?));
        }
        Ok(())
    }

    /// The verdict on a call, in the order that [`crate::store::Store::job_submit`] fixes; what is
    /// accepted counts for those after it.
    fn judge(&mut self, call: &Submission) -> Verdict {
        let Submission { account: AccountId(account), jobs, session, now, limits, .. } = call;
        if !self.accounts.contains(account) {
            return Verdict::Refuse(Failure::Refused(format!("there is no account {account}")));
        }
        if let Some(session) = session
            && let Some((print, used, expires)) = self.sessions.get(&session_key(call, session))
            && expires > now
        {
            return match used {
                _ if print[..] != session.fingerprint[..] => {
                    Verdict::Answer(Submitted::SessionTaken)
                }
                Used::Before(keys) => Verdict::Answer(Submitted::Replayed(keys.clone())),
                Used::Here { first, jobs } => Verdict::Repeat { first: *first, jobs: *jobs },
            };
        }
        let today = day::number(*now);
        let calls = self.quotas.entry((today, *account)).or_default();
        if limits.calls_per_day != 0 && *calls >= i64::from(limits.calls_per_day) {
            return Verdict::Answer(Submitted::DayQuota { opens: day::next_begins(today) });
        }
        let queued = self.queued.entry(*account).or_default();
        let more = row::count(jobs.len());
        if limits.pending != 0 && queued.saturating_add(more) > row::count(limits.pending) {
            return Verdict::Answer(Submitted::QueueFull);
        }
        let mut used = HashSet::new();
        for id in references(call) {
            let key = (*account, id);
            if self.references.contains(&key) || !used.insert(key.clone()) {
                return Verdict::Answer(Submitted::ReferenceTaken(key.1));
            }
        }
        *calls += 1;
        *queued += more;
        self.references.extend(used);
        let first = self.jobs;
        self.jobs += jobs.len();
        if let Some(session) = session {
            let used = Used::Here { first, jobs: jobs.len() };
            let value = (session.fingerprint.to_vec(), used, *now + session.window);
            self.sessions.insert(session_key(call, session), value);
        }
        Verdict::Accept { first, jobs: jobs.len() }
    }
}

fn session_key(call: &Submission, session: &Session) -> (i64, String) {
    (call.account.0, row::text(&session.id).into_owned())
}

fn references(call: &Submission) -> impl Iterator<Item = String> {
    let ids = call.jobs.iter().filter_map(|job| job.request.reference_id.as_deref());
    ids.map(|id| row::text(id).into_owned())
}

/// The new rows as columns.
#[derive(Default)]
struct Columns<'a> {
    accounts: Vec<i64>,
    created: Vec<i64>,
    deadlines: Vec<i64>,
    url_hashes: Vec<i64>,
    references: Vec<Option<std::borrow::Cow<'a, str>>>,
    urls: Vec<std::borrow::Cow<'a, str>>,
    requests: Vec<String>,
    priorities: Vec<i16>,
    hosts: Vec<i64>,
}

/// Writes what was accepted; the keys of the batch's jobs.
async fn insert(
    write: &mut Write<'_>,
    calls: &[Submission],
    verdicts: &[Verdict],
) -> Result<Vec<Key>, Failure> {
    let accepted: Vec<&Submission> = calls
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::Accept { .. }))
        .map(|(call, _)| call)
        .collect();
    if accepted.is_empty() {
        return Ok(Vec::new());
    }
    let mut columns = Columns::default();
    for call in &accepted {
        for job in &call.jobs {
            columns.accounts.push(call.account.0);
            columns.created.push(call.now.0);
            columns.deadlines.push(call.deadline.0);
            columns.url_hashes.push(job.url.hash64());
            columns.references.push(job.request.reference_id.as_deref().map(row::text));
            columns.urls.push(row::text(job.url.expose()));
            columns.requests.push(serde_json::to_string(&job.request).map_err(row::corrupt)?);
            columns.priorities.push(row::short(job.request.priority as i64));
            columns.hosts.push(HostId::of(&job.url.host()).0);
        }
    }
    let latest = accepted.iter().map(|call| call.now).max().unwrap_or_default();
    let keys = take_keys(write, latest, columns.urls.len()).await?;
    if !keys.is_empty() {
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let Columns {
            accounts,
            created,
            deadlines,
            url_hashes,
            references,
            urls,
            requests,
            priorities,
            hosts,
        } = &columns;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
            &numbers, accounts, created, deadlines, url_hashes, references, urls, requests,
            priorities, hosts,
        ];
        execute(&write.db, sql::JOBS_INSERT, &values).await?;
    }
    count(write, &accepted).await?;
    put_sessions(write, calls, verdicts, &keys).await?;
    Ok(keys)
}

/// Keys for so many jobs, in a row, none from before `now`.
async fn take_keys(write: &Write<'_>, now: Timestamp, many: usize) -> Result<Vec<Key>, Failure> {
    if many == 0 {
        return Ok(Vec::new());
    }
    let many = row::count(many);
    let taken = first_row(&write.db, sql::KEYS_TAKE, &[&Key::first_at(now).0, &many]).await?;
    let first: i64 = match &taken {
        Some(taken) => row::get(taken, 0)?,
        None => return Err(row::corrupt("no keys")),
    };
    Ok((first..first + many).map(Key).collect())
}

async fn count(write: &mut Write<'_>, accepted: &[&Submission]) -> Result<(), Failure> {
    let mut quotas: HashMap<(i64, i64), i64> = HashMap::new();
    for call in accepted {
        *quotas.entry((day::number(call.now), call.account.0)).or_default() += 1;
        if !call.jobs.is_empty() {
            let jobs = call.jobs.len();
            write.counts.add(call.now, call.account, Counted::Accepted, jobs, 0);
            write.counts.moved(call.account, None, StateKind::Pending, jobs);
        }
    }
    let (kinds, calls): (Vec<(i64, i64)>, Vec<i64>) = quotas.into_iter().unzip();
    let (days, accounts): (Vec<i64>, Vec<i64>) = kinds.into_iter().unzip();
    execute(&write.db, sql::QUOTAS_COUNT, &[&days, &accounts, &calls]).await?;
    Ok(())
}

async fn put_sessions(
    write: &Write<'_>,
    calls: &[Submission],
    verdicts: &[Verdict],
    keys: &[Key],
) -> Result<(), Failure> {
    let mut puts = Vec::new();
    for (call, verdict) in calls.iter().zip(verdicts) {
        let (Some(session), Verdict::Accept { first, jobs }) = (&call.session, verdict) else {
            continue;
        };
        let keys: Vec<i64> = keys[*first..*first + *jobs].iter().map(|key| key.0).collect();
        let (account, id) = session_key(call, session);
        let expires = (call.now + session.window).0;
        let fingerprint = session.fingerprint.to_vec();
        puts.push(async move {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&account, &id, &fingerprint, &keys, &expires];
            execute(&write.db, sql::SESSION_PUT, &values).await
        });
    }
    try_join_all(puts).await?;
    Ok(())
}
