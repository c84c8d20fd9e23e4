//! What happens to jobs after they were accepted. Each transition is one conditional statement
//! whose WHERE clause is the rule; [`crate::domain::job::apply`] is what it is compared with.

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::failure::Failure;
use super::writer::Write;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::attempt::Ending;
use crate::domain::fault::{JobFault, LAPSED};
use crate::domain::id::Key;
use crate::domain::job::{Job, JobRequest};
use crate::domain::media::{MediaFacts, MediaType, StoredObject};
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::store::{
    Beat, CancelBy, CancelVerdict, Claim, Counted, Finish, Outcome, Replaced, Replacement,
    Retention, TALLIES_KEPT, day, nonces,
};

pub(super) fn beat(
    write: &mut Write<'_>,
    beats: &[Beat],
    until: Timestamp,
) -> Result<Vec<Beat>, Failure> {
    let mut statement = write.db.prepare_cached(sql::BEAT)?;
    let mut refused = Vec::new();
    for beat in beats {
        let Beat { key, token, phase, bytes } = *beat;
        let bytes = row::count(bytes);
        if statement.execute(params![key.0, token.0, until.0, phase as i64, bytes])? == 0 {
            refused.push(*beat);
        }
    }
    Ok(refused)
}

/// Runs a fenced statement: one row or none.
fn fenced(db: &Connection, statement: &str, values: impl Params) -> Result<Finish, Failure> {
    let changed = db.prepare_cached(statement)?.execute(values)?;
    Ok(if changed == 0 { Finish::Superseded } else { Finish::Recorded })
}

/// Writes down the attempt that the next statement ends, under the same fence; the bytes it
/// received, or `None` when the lease is gone.
fn end_attempt(
    db: &Connection,
    claim: &Claim,
    ending: Ending,
    fault: Option<&JobFault>,
    size: Option<u64>,
    now: Timestamp,
) -> Result<Option<u64>, Failure> {
    let (key, token) = (claim.job().key.0, claim.token().0);
    let code = fault.map(|fault| fault.class.code());
    let message = fault.map(|fault| &fault.message);
    let size = size.map(row::count);
    let values = params![key, token, now.0, ending as i64, size, code, message];
    let mut statement = db.prepare_cached(sql::ATTEMPT_END)?;
    let bytes: Option<i64> = statement.query_row(values, |row| row.get(0)).optional()?;
    Ok(bytes.map(i64::unsigned_abs))
}

pub(super) fn hand_back(
    write: &mut Write<'_>,
    claim: &Claim,
    due: Timestamp,
    now: Timestamp,
) -> Result<Finish, Failure> {
    end_attempt(write.db, claim, Ending::HandedBack, None, None, now)?;
    fenced(write.db, sql::HAND_BACK, [claim.job().key.0, claim.token().0, due.0])
}

pub(super) fn retry_later(
    write: &mut Write<'_>,
    claim: &Claim,
    fault: &JobFault,
    due: Timestamp,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let bytes = end_attempt(write.db, claim, Ending::PutOff, Some(fault), None, now)?;
    if let Some(bytes) = bytes {
        let what = Counted::PutOff(fault.class.code().to_owned());
        write.counts.add(now, claim.job().account, what, 1, bytes);
    }
    fenced(write.db, sql::RETRY_LATER, [claim.job().key.0, claim.token().0, due.0])
}

pub(super) fn halt(
    write: &mut Write<'_>,
    claim: &Claim,
    fault: &JobFault,
    kept: u64,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let bytes = end_attempt(write.db, claim, Ending::PutOff, Some(fault), Some(kept), now)?;
    let code = fault.class.code();
    if let Some(bytes) = bytes {
        let what = Counted::PutOff(code.to_owned());
        write.counts.add(now, claim.job().account, what, 1, bytes);
    }
    let (key, token) = (claim.job().key.0, claim.token().0);
    fenced(write.db, sql::HALT, params![key, token, row::count(kept), code, fault.message])
}

pub(super) fn replace_url(
    write: &mut Write<'_>,
    replacement: &Replacement,
    now: Timestamp,
) -> Result<Replaced, Failure> {
    let Replacement { account, key, url, sealed_headers } = replacement;
    let mut statement = write.db.prepare_cached(sql::URL_OF)?;
    let found = statement
        .query_row([key.0, account.0], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let found: Option<(i64, i64, String, String)> = found;
    let Some((state, renewals, before, request)) = found else { return Ok(Replaced::NotExist) };
    let request: JobRequest = serde_json::from_str(&request)
        .map_err(|_| row::corrupt(format_args!("job {} has no readable request", key.0)))?;
    let request = JobRequest { sealed_headers: sealed_headers.clone(), ..request };
    let request = serde_json::to_string(&request).map_err(row::corrupt)?;
    let (hash, text) = (url.hash64(), url.expose());
    let host = HostId::of(&url.host()).0;
    let mut statement = write.db.prepare_cached(sql::REPLACE_URL)?;
    let changed = statement.execute(params![key.0, account.0, now.0, text, hash, request, host])?;
    match changed {
        0 if renewals > 0 && before == text => Ok(Replaced::Repeated),
        0 => Ok(Replaced::NotAwaiting(row::state_kind(state)?)),
        _ => Ok(Replaced::Renewed),
    }
}

pub(super) fn lapse(write: &mut Write<'_>, now: Timestamp, limit: usize) -> Result<usize, Failure> {
    let mut statement = write.db.prepare_cached(sql::LAPSE)?;
    let mut rows = statement.query(params![now.0, row::count(limit), LAPSED])?;
    let mut lapsed = 0;
    while let Some(row) = rows.next()? {
        let (account, created) = (AccountId(row.get(0)?), Timestamp(row.get(1)?));
        let bytes: i64 = row.get(2)?;
        let counted = Counted::Failed(row.get(3)?);
        write.counts.end(now, account, counted, bytes.unsigned_abs(), created);
        lapsed += 1;
    }
    Ok(lapsed)
}

pub(super) fn finish(
    write: &mut Write<'_>,
    claim: &Claim,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let (ending, fault, size) = match outcome {
        Outcome::Failure(fault) => (Ending::Failed, Some(fault), None),
        Outcome::Success { object, .. } => (Ending::Succeeded, None, Some(object.size)),
    };
    let Some(bytes) = end_attempt(write.db, claim, ending, fault, size, now)? else {
        return Ok(Finish::Superseded);
    };
    let job = claim.job();
    let (key, token) = (job.key.0, claim.token().0);
    let (counted, finish) = match outcome {
        Outcome::Failure(fault) => {
            let code = fault.class.code();
            let values = params![key, token, now.0, code, fault.message];
            (Counted::Failed(code.to_owned()), fenced(write.db, sql::FAIL, values)?)
        }
        Outcome::Success { facts, object } => {
            let size = row::count(object.size);
            let finish = fenced(write.db, sql::SUCCEED, [key, token, now.0, size])?;
            if finish == Finish::Recorded {
                insert_media(write.db, job, facts, object, now)?;
            }
            (Counted::Succeeded, finish)
        }
    };
    write.counts.end(now, job.account, counted, bytes, job.created);
    Ok(finish)
}

fn insert_media(
    db: &Connection,
    job: &Job,
    facts: &MediaFacts,
    object: &StoredObject,
    now: Timestamp,
) -> Result<(), Failure> {
    let request = &job.request;
    let media_type = match facts.media_type {
        MediaType::Video => 0,
        MediaType::Audio => 1,
    };
    db.prepare_cached(sql::MEDIA_INSERT)?.execute(params![
        job.key.0,
        job.account.0,
        now.0,
        request.title,
        request.description,
        request.tags,
        request.cover_url,
        request.cate_id,
        request.reference_id,
        request.user_data,
        media_type,
        facts.format,
        facts.content_type,
        facts.duration,
        facts.width,
        facts.height,
        facts.bitrate,
        facts.fps,
        facts.codec,
        object.object_key,
        row::count(object.size),
        // The column takes no NULL: an empty text is none.
        object.sha256.as_deref().unwrap_or_default(),
        object.crc64.cast_signed(),
        object.location,
        object.md5,
    ])?;
    Ok(())
}

pub(super) fn expire(
    write: &mut Write<'_>,
    now: Timestamp,
    limit: usize,
    everything: bool,
) -> Result<usize, Failure> {
    let ended_by = if everything { i64::MAX } else { now.0 };
    let values = [now.0, ended_by, row::count(limit)];
    write.db.prepare_cached(sql::ATTEMPTS_EXPIRE)?.execute(values)?;
    Ok(write.db.prepare_cached(sql::EXPIRE)?.execute(values)?)
}

pub(super) fn cancel(
    write: &mut Write<'_>,
    account: AccountId,
    by: &CancelBy,
    now: Timestamp,
) -> Result<Vec<CancelVerdict>, Failure> {
    match by {
        CancelBy::Keys(keys) => {
            keys.iter().map(|key| cancel_key(write, account, *key, now)).collect()
        }
        CancelBy::Urls(urls) => {
            urls.iter().map(|url| cancel_url(write, account, url, now)).collect()
        }
    }
}

fn cancel_key(
    write: &mut Write<'_>,
    account: AccountId,
    key: Key,
    now: Timestamp,
) -> Result<CancelVerdict, Failure> {
    let db = write.db;
    let mut statement = db.prepare_cached(sql::CANCEL)?;
    let created: Option<i64> =
        statement.query_row([key.0, account.0, now.0], |row| row.get(0)).optional()?;
    if let Some(created) = created {
        write.counts.end(now, account, Counted::Canceled, 0, Timestamp(created));
        return Ok(CancelVerdict::Canceled(vec![key]));
    }
    let mut statement = db.prepare_cached(sql::STATE_OF)?;
    let state: Option<i64> =
        statement.query_row([key.0, account.0], |row| row.get(0)).optional()?;
    match state {
        Some(state) => Ok(CancelVerdict::NotPending(key, row::state_kind(state)?)),
        None => Ok(CancelVerdict::NotExist),
    }
}

fn cancel_url(
    write: &mut Write<'_>,
    account: AccountId,
    url: &SourceUrl,
    now: Timestamp,
) -> Result<CancelVerdict, Failure> {
    let db = write.db;
    let (hash, text) = (url.hash64(), url.expose());
    let mut statement = db.prepare_cached(sql::CANCEL_URL)?;
    let mut rows = statement.query(params![account.0, hash, text, now.0])?;
    let mut canceled = Vec::new();
    while let Some(row) = rows.next()? {
        canceled.push(Key(row.get(0)?));
        write.counts.end(now, account, Counted::Canceled, 0, Timestamp(row.get(1)?));
    }
    if !canceled.is_empty() {
        canceled.sort_unstable();
        return Ok(CancelVerdict::Canceled(canceled));
    }
    let mut statement = db.prepare_cached(sql::NEWEST_OF_URL)?;
    let newest = statement
        .query_row(params![account.0, hash, text], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match newest {
        Some((key, state)) => Ok(CancelVerdict::NotPending(Key(key), row::state_kind(state)?)),
        None => Ok(CancelVerdict::NotExist),
    }
}

pub(super) fn purge(write: &mut Write<'_>, retention: &Retention) -> Result<usize, Failure> {
    let Retention { now, records_before, batch } = retention;
    let batch = row::count(*batch);
    let run =
        |statement: &str, before: i64| write.db.prepare_cached(statement)?.execute([before, batch]);
    let nonces = run(sql::FORGET_NONCES, nonces::forgettable_before(*now).0)?;
    let sessions = run(sql::FORGET_SESSIONS, now.0)?;
    let jobs = run(sql::FORGET_JOBS, records_before.0)?;
    let tallies = run(sql::FORGET_TALLIES, (*now - TALLIES_KEPT).0)?;
    let console = run(sql::FORGET_CONSOLE, now.0)?;
    write.db.prepare_cached(sql::FORGET_QUOTAS)?.execute([day::number(*now)])?;
    Ok(nonces + sessions + jobs + tallies + console)
}
