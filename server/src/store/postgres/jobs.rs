//! What happens to jobs after they were accepted. Each transition is one conditional statement
//! whose WHERE clause is the rule; [`crate::domain::job::apply`] is what it is compared with.

use tokio_postgres::Row;

use super::failure::Failure;
use super::link::{Write, execute, first_row, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::attempt::Ending;
use crate::domain::fault::{JobFault, LAPSED};
use crate::domain::job::{Job, JobRequest, Phase, StateKind, Token};
use crate::domain::media::{MediaFacts, MediaType, StoredObject};
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::store::{
    Beat, Claim, Counted, Finish, NODES_KEPT, Outcome, Replaced, Replacement, Retention,
    TALLIES_KEPT, day, nonces,
};

/// Prolongs leases; the beats whose lease is gone.
pub(super) async fn beat(
    write: &Write<'_>,
    beats: &[Beat],
    until: Timestamp,
) -> Result<Vec<Beat>, Failure> {
    let mut known = std::collections::BTreeMap::new();
    for beat in beats {
        known.insert((beat.key, beat.token), beat);
    }
    let keys: Vec<i64> = known.keys().map(|(key, _)| key.0).collect();
    let tokens: Vec<i64> = known.keys().map(|(_, token)| token.0).collect();
    let phase = |phase: Phase| row::short(phase as i64);
    let phases: Vec<i16> = known.values().map(|beat| phase(beat.phase)).collect();
    let bytes: Vec<i64> = known.values().map(|beat| row::count(beat.bytes)).collect();
    let found = rows(&write.db, sql::BEAT, &[&keys, &tokens, &phases, &bytes, &until.0]).await?;
    let mut alive = std::collections::BTreeSet::new();
    for found in &found {
        alive.insert((row::get::<i64>(found, 0)?, row::get::<i64>(found, 1)?));
    }
    let is_refused = |beat: &&Beat| !alive.contains(&(beat.key.0, beat.token.0));
    Ok(beats.iter().filter(is_refused).copied().collect())
}

/// A worker's last word, as the statements of `ending!` take it.
#[derive(Clone, Copy)]
struct Word<'a> {
    ending: Ending,
    fault: Option<&'a JobFault>,
    size: Option<u64>,
    now: Timestamp,
    /// For a job that is put off.
    due: Option<Timestamp>,
}

/// What the ended attempt was.
struct Ended {
    bytes: u64,
    account: AccountId,
    created: Timestamp,
}

/// Runs one of the statements of `ending!`; `None` when the lease is gone.
async fn end(
    write: &mut Write<'_>,
    statement: &str,
    claim: &Claim,
    word: Word<'_>,
    to: StateKind,
) -> Result<Option<Ended>, Failure> {
    let Word { ending, fault, size, now, due } = word;
    let (key, Token(token)) = (claim.job().key.0, claim.token());
    let ending = row::short(ending as i64);
    let size = size.map(row::count);
    let code = fault.map(|fault| fault.class.code());
    let message = fault.map(|fault| row::text(&fault.message));
    let due = due.map(|due| due.0);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
        [&key, &token, &now.0, &ending, &size, &code, &message, &due];
    // Only the statements that put a job back in line have a place for the due time.
    let values = if due.is_some() { &values[..] } else { &values[..7] };
    let Some(found) = first_row(&write.db, statement, values).await? else { return Ok(None) };
    let ended = Ended {
        bytes: row::get::<i64>(&found, 0)?.unsigned_abs(),
        account: AccountId(row::get(&found, 1)?),
        created: Timestamp(row::get(&found, 2)?),
    };
    write.counts.moved(ended.account, Some(StateKind::Running), to, 1);
    Ok(Some(ended))
}

fn finish_of<T>(ended: &Option<T>) -> Finish {
    if ended.is_some() { Finish::Recorded } else { Finish::Superseded }
}

pub(super) async fn hand_back(
    write: &mut Write<'_>,
    claim: &Claim,
    due: Timestamp,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let word = Word { ending: Ending::HandedBack, fault: None, size: None, now, due: Some(due) };
    let ended = end(write, sql::HAND_BACK, claim, word, StateKind::Waiting).await?;
    Ok(finish_of(&ended))
}

pub(super) async fn retry_later(
    write: &mut Write<'_>,
    claim: &Claim,
    fault: &JobFault,
    due: Timestamp,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let word = Word { ending: Ending::PutOff, fault: Some(fault), size: None, now, due: Some(due) };
    let ended = end(write, sql::RETRY_LATER, claim, word, StateKind::Waiting).await?;
    if let Some(ended) = &ended {
        let what = Counted::PutOff(fault.class.code().to_owned());
        write.counts.add(now, ended.account, what, 1, ended.bytes);
    }
    Ok(finish_of(&ended))
}

pub(super) async fn halt(
    write: &mut Write<'_>,
    claim: &Claim,
    fault: &JobFault,
    kept: u64,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let size = Some(kept);
    let word = Word { ending: Ending::PutOff, fault: Some(fault), size, now, due: None };
    let ended = end(write, sql::HALT, claim, word, StateKind::AwaitingUrl).await?;
    if let Some(ended) = &ended {
        let what = Counted::PutOff(fault.class.code().to_owned());
        write.counts.add(now, ended.account, what, 1, ended.bytes);
    }
    Ok(finish_of(&ended))
}

pub(super) async fn replace_url(
    write: &mut Write<'_>,
    replacement: &Replacement,
    now: Timestamp,
) -> Result<Replaced, Failure> {
    let Replacement { account, key, url, sealed_headers } = replacement;
    let found = first_row(&write.db, sql::URL_OF, &[&key.0, &account.0]).await?;
    let Some(found) = found else { return Ok(Replaced::NotExist) };
    let state = row::state_kind(row::get(&found, 0)?)?;
    let (renewals, before): (i64, &str) = (row::get(&found, 1)?, row::get(&found, 2)?);
    let request: JobRequest = serde_json::from_str(row::get(&found, 3)?)
        .map_err(|_| row::corrupt(format_args!("job {} has no readable request", key.0)))?;
    let request = JobRequest { sealed_headers: sealed_headers.clone(), ..request };
    let request = serde_json::to_string(&request).map_err(row::corrupt)?;
    let (hash, text) = (url.hash64(), row::text(url.expose()));
    let host = HostId::of(&url.host()).0;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&key.0, &account.0, &now.0, &text, &hash, &request, &host];
    match execute(&write.db, sql::REPLACE_URL, &values).await? {
        0 if renewals > 0 && before == text => Ok(Replaced::Repeated),
        0 => Ok(Replaced::NotAwaiting(state)),
        _ => {
            write.counts.moved(*account, Some(StateKind::AwaitingUrl), StateKind::Waiting, 1);
            Ok(Replaced::Renewed)
        }
    }
}

pub(super) async fn lapse(
    write: &mut Write<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<usize, Failure> {
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&now.0, &row::count(limit), &LAPSED];
    let lapsed = rows(&write.db, sql::LAPSE, &values).await?;
    for lapsed in &lapsed {
        let (account, created) = (AccountId(row::get(lapsed, 0)?), Timestamp(row::get(lapsed, 1)?));
        let bytes: i64 = row::get(lapsed, 2)?;
        let counted = Counted::Failed(row::get(lapsed, 3)?);
        write.counts.end(now, account, counted, bytes.unsigned_abs(), created);
        write.counts.moved(account, Some(StateKind::AwaitingUrl), StateKind::Failed, 1);
    }
    Ok(lapsed.len())
}

pub(super) async fn finish(
    write: &mut Write<'_>,
    claim: &Claim,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Finish, Failure> {
    let (ended, counted) = match outcome {
        Outcome::Failure(fault) => {
            let word =
                Word { ending: Ending::Failed, fault: Some(fault), size: None, now, due: None };
            let ended = end(write, sql::FAIL, claim, word, StateKind::Failed).await?;
            (ended, Counted::Failed(fault.class.code().to_owned()))
        }
        Outcome::Success { facts, object } => {
            let size = Some(object.size);
            let word = Word { ending: Ending::Succeeded, fault: None, size, now, due: None };
            let ended = end(write, sql::SUCCEED, claim, word, StateKind::Succeeded).await?;
            if ended.is_some() {
                insert_media(write, claim.job(), facts, object, now).await?;
            }
            (ended, Counted::Succeeded)
        }
    };
    if let Some(ended) = &ended {
        write.counts.end(now, ended.account, counted, ended.bytes, ended.created);
    }
    Ok(finish_of(&ended))
}

async fn insert_media(
    write: &Write<'_>,
    job: &Job,
    facts: &MediaFacts,
    object: &StoredObject,
    now: Timestamp,
) -> Result<(), Failure> {
    let request = &job.request;
    let media_type: i64 = match facts.media_type {
        MediaType::Video => 0,
        MediaType::Audio => 1,
    };
    let optional = |text: &Option<String>| text.as_deref().map(|text| row::text(text).into_owned());
    let title = row::text(&request.title);
    let [description, tags, cover_url, reference_id, user_data] = [
        &request.description,
        &request.tags,
        &request.cover_url,
        &request.reference_id,
        &request.user_data,
    ]
    .map(optional);
    let (format, codec) = (row::text(&facts.format), optional(&facts.codec));
    let (width, height) = (facts.width.map(i64::from), facts.height.map(i64::from));
    let (size, crc64) = (row::count(object.size), object.crc64.cast_signed());
    execute(
        &write.db,
        sql::MEDIA_INSERT,
        &[
            &job.key.0,
            &job.account.0,
            &now.0,
            &title,
            &description,
            &tags,
            &cover_url,
            &request.cate_id,
            &reference_id,
            &user_data,
            &media_type,
            &format,
            &facts.content_type,
            &facts.duration,
            &width,
            &height,
            &facts.bitrate,
            &facts.fps,
            &codec,
            &object.object_key,
            &size,
            &object.sha256,
            &crc64,
            &object.location,
            &object.md5,
        ],
    )
    .await?;
    Ok(())
}

/// Whose clock says that a lease has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judge {
    /// The database's, whatever the caller believes.
    Database,
    /// The caller's: for tests, which choose the time.
    Caller,
}

pub(super) async fn expire(
    write: &mut Write<'_>,
    now: Timestamp,
    limit: usize,
    everything: bool,
    judge: Judge,
) -> Result<usize, Failure> {
    let ended_by = if everything { i64::MAX } else { now.0 };
    let is_caller_right = everything || judge == Judge::Caller;
    let limit = row::count(limit);
    let ended: Vec<Row> =
        rows(&write.db, sql::EXPIRE, &[&now.0, &ended_by, &limit, &is_caller_right]).await?;
    for ended in &ended {
        let account = AccountId(row::get(ended, 0)?);
        write.counts.moved(account, Some(StateKind::Running), StateKind::Waiting, 1);
    }
    Ok(ended.len())
}

pub(super) async fn purge(write: &Write<'_>, retention: &Retention) -> Result<usize, Failure> {
    let Retention { now, records_before, batch } = retention;
    let batch = row::count(*batch);
    let db = &write.db;
    let old_nonces = nonces::forgettable_before(*now).0;
    let mut gone = execute(db, sql::FORGET_NONCES, &[&old_nonces, &batch]).await?;
    gone += execute(db, sql::FORGET_SESSIONS, &[&now.0, &batch]).await?;
    gone += execute(db, sql::FORGET_JOBS, &[&records_before.0, &batch]).await?;
    gone += execute(db, sql::FORGET_CONSOLE, &[&now.0, &batch]).await?;
    let old_tallies = (*now - TALLIES_KEPT).0;
    let tallies = first_row(db, sql::FORGET_TALLIES, &[&old_tallies, &batch]).await?;
    gone += match tallies {
        Some(count) => row::get::<i64>(&count, 0)?.unsigned_abs(),
        None => 0,
    };
    execute(db, sql::FORGET_QUOTAS, &[&day::number(*now)]).await?;
    execute(db, sql::FORGET_NODES, &[&(*now - NODES_KEPT).0]).await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}
