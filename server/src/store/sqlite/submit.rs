//! Accepting jobs: judged and written in one transaction.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::writer::Write;
use super::{row, sql};
use crate::domain::id::Key;
use crate::domain::source_url::HostId;
use crate::store::{Counted, NewJob, Session, Submission, Submitted, day};

pub(super) fn submit(write: &mut Write<'_>, submission: &Submission) -> Result<Submitted, Failure> {
    let db = write.db;
    if let Some(answer) = refusal(db, submission)? {
        return Ok(answer);
    }
    let Submission { account, jobs, session, now, .. } = submission;
    let last: Option<i64> = db.prepare_cached(sql::LAST_KEY)?.query_row([], |row| row.get(0))?;
    let mut key = Key(last.unwrap_or(0));
    let mut keys = Vec::with_capacity(jobs.len());
    for job in jobs {
        key = key.next(*now);
        insert(db, submission, job, key)?;
        keys.push(key);
    }
    if !keys.is_empty() {
        write.counts.add(*now, *account, Counted::Accepted, keys.len(), 0);
    }
    db.prepare_cached(sql::QUOTA_COUNT)?.execute([day::number(*now), account.0])?;
    if let Some(Session { id, fingerprint, window }) = session {
        let stored: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let stored = serde_json::to_string(&stored).map_err(row::corrupt)?;
        let expires = *now + *window;
        db.prepare_cached(sql::SESSION_PUT)?.execute(params![
            account.0,
            id,
            fingerprint,
            stored,
            expires.0
        ])?;
    }
    Ok(Submitted::Accepted(keys))
}

fn insert(db: &Connection, submission: &Submission, job: &NewJob, key: Key) -> Result<(), Failure> {
    let NewJob { url, request } = job;
    let text = serde_json::to_string(request).map_err(row::corrupt)?;
    db.prepare_cached(sql::JOB_INSERT)?.execute(params![
        key.0,
        submission.account.0,
        submission.now.0,
        submission.deadline.0,
        url.hash64(),
        request.reference_id,
        url.expose(),
        text,
        request.priority as i64,
        HostId::of(&url.host()).0,
    ])?;
    Ok(())
}

/// The first reason not to accept, in the order that [`crate::store::Store::job_submit`] fixes.
fn refusal(db: &Connection, submission: &Submission) -> Result<Option<Submitted>, Failure> {
    let Submission { account, jobs, session, now, limits, .. } = submission;
    if let Some(session) = session
        && let Some(answer) = repeated(db, submission, session)?
    {
        return Ok(Some(answer));
    }
    if limits.calls_per_day != 0 {
        let today = day::number(*now);
        let mut statement = db.prepare_cached(sql::QUOTA_FIND)?;
        let calls: Option<i64> =
            statement.query_row([today, account.0], |row| row.get(0)).optional()?;
        if calls.unwrap_or(0) >= i64::from(limits.calls_per_day) {
            return Ok(Some(Submitted::DayQuota { opens: day::next_begins(today) }));
        }
    }
    if limits.pending != 0 {
        let mut statement = db.prepare_cached(sql::QUEUED)?;
        let queued: Option<i64> = statement.query_row([account.0], |row| row.get(0)).optional()?;
        if queued.unwrap_or(0).saturating_add(row::count(jobs.len())) > row::count(limits.pending) {
            return Ok(Some(Submitted::QueueFull));
        }
    }
    let mut used = BTreeSet::new();
    let mut statement = db.prepare_cached(sql::REFERENCE_HOLDER)?;
    for id in jobs.iter().filter_map(|job| job.request.reference_id.as_deref()) {
        if !used.insert(id) || statement.exists(params![account.0, id])? {
            return Ok(Some(Submitted::ReferenceTaken(id.to_owned())));
        }
    }
    Ok(None)
}

/// The answer to a session id that is still in its window.
fn repeated(
    db: &Connection,
    submission: &Submission,
    session: &Session,
) -> Result<Option<Submitted>, Failure> {
    let mut statement = db.prepare_cached(sql::SESSION_FIND)?;
    let found = statement
        .query_row(params![submission.account.0, session.id, submission.now.0], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((fingerprint, keys)) = found else { return Ok(None) };
    if fingerprint != session.fingerprint {
        return Ok(Some(Submitted::SessionTaken));
    }
    let keys: Vec<i64> = serde_json::from_str(&keys).map_err(row::corrupt)?;
    Ok(Some(Submitted::Replayed(keys.into_iter().map(Key).collect())))
}
