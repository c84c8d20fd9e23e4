//! Rows to values. A value that this program would not have written is a [`Failure::Corrupt`].

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::failure::Failure;
use crate::domain::account::{AccessKey, Account, AccountId, KeyStatus, Weight};
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::{Job, Phase, Progress, State, StateKind, Token};
use crate::domain::media::{Media, MediaFacts, MediaType, StoredObject};
use crate::domain::priority::Priority;
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::store::{AccountQueue, ConsoleSession, Counted, NodeRecord, Tally};

pub(super) fn corrupt(what: impl std::fmt::Display) -> Failure {
    Failure::Corrupt(what.to_string())
}

/// A column; its type is the statement's business, so another one is a mistake of ours.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Failure> {
    row.try_get(at).map_err(|error| corrupt(format_args!("column {at}: {error}")))
}

pub(super) fn state_kind(stored: i64) -> Result<StateKind, Failure> {
    let at = usize::try_from(stored).ok();
    at.and_then(|at| StateKind::ALL.get(at).copied())
        .ok_or_else(|| corrupt(format_args!("{stored} is no state")))
}

/// A count or size.
fn natural(row: &Row, at: usize) -> Result<u64, Failure> {
    let stored: i64 = get(row, at)?;
    u64::try_from(stored).map_err(|_| corrupt(format_args!("{stored} in place of a count")))
}

fn small(row: &Row, at: usize) -> Result<u32, Failure> {
    let stored: i64 = get(row, at)?;
    u32::try_from(stored).map_err(|_| corrupt(format_args!("{stored} in place of a small count")))
}

fn small_if_any(row: &Row, at: usize) -> Result<Option<u32>, Failure> {
    let stored: Option<i64> = get(row, at)?;
    let small = |stored| {
        u32::try_from(stored)
            .map_err(|_| corrupt(format_args!("{stored} in place of a small count")))
    };
    stored.map(small).transpose()
}

fn time(row: &Row, at: usize) -> Result<Option<Timestamp>, Failure> {
    Ok(get::<Option<i64>>(row, at)?.map(Timestamp))
}

/// A fault from two columns, its code and its message.
fn fault(row: &Row, first: usize) -> Result<JobFault, Failure> {
    let code: Option<String> = get(row, first)?;
    let class = code.as_deref().and_then(FaultClass::from_code);
    let message: Option<String> = get(row, first + 1)?;
    Ok(JobFault {
        class: class.ok_or_else(|| corrupt("a job without a known fault"))?,
        message: message.ok_or_else(|| corrupt("a job without a fault's message"))?,
    })
}

/// A job from the columns of `job_columns!`, which come first.
pub(super) fn job(row: &Row) -> Result<Job, Failure> {
    let key = Key(get(row, 0)?);
    let missing = |what: &str| corrupt(format_args!("job {} has no {what}", key.0));
    let state = match state_kind(get(row, 2)?)? {
        StateKind::Pending => State::Pending,
        StateKind::Running => State::Running {
            token: Token(get(row, 5)?),
            until: time(row, 7)?.ok_or_else(|| missing("lease"))?,
        },
        StateKind::Waiting => {
            State::Waiting { due: time(row, 6)?.ok_or_else(|| missing("due time"))? }
        }
        StateKind::Succeeded => State::Succeeded,
        StateKind::Failed => State::Failed(fault(row, 13)?),
        StateKind::Canceled => State::Canceled,
        StateKind::AwaitingUrl => {
            State::AwaitingUrl { fault: fault(row, 19)?, until: Timestamp(get(row, 11)?) }
        }
    };
    let phase: i64 = get(row, 8)?;
    let phase = usize::try_from(phase).ok().and_then(|at| Phase::ALL.get(at).copied());
    let request: &str = get(row, 16)?;
    Ok(Job {
        key,
        account: AccountId(get(row, 1)?),
        url: SourceUrl::new(get::<String>(row, 15)?),
        // The parser's message could quote the text, which may hold secrets.
        request: serde_json::from_str(request).map_err(|_| missing("readable request"))?,
        created: Timestamp(get(row, 10)?),
        claimed: time(row, 17)?,
        deadline: Timestamp(get(row, 11)?),
        progress: Progress {
            state,
            attempt: small(row, 3)?,
            rescues: small(row, 4)?,
            renewals: small(row, 18)?,
        },
        phase: phase.ok_or_else(|| missing("phase"))?,
        bytes: natural(row, 9)?,
        finished: time(row, 12)?,
    })
}

pub(super) fn account(row: &Row, first: usize) -> Result<Account, Failure> {
    Ok(Account {
        id: AccountId(get(row, first)?),
        name: get(row, first + 1)?,
        enabled: get(row, first + 2)?,
        operator: get(row, first + 3)?,
        created: Timestamp(get(row, first + 4)?),
        weight: weight(row, first + 5)?,
        paused: get(row, first + 6)?,
    })
}

pub(super) fn priority(stored: i64) -> Result<Priority, Failure> {
    let known = usize::try_from(stored).ok().and_then(|at| Priority::ALL.get(at).copied());
    known.ok_or_else(|| corrupt(format_args!("{stored} is no priority")))
}

pub(super) fn weight(row: &Row, at: usize) -> Result<Weight, Failure> {
    let stored: i64 = get(row, at)?;
    let weight = u8::try_from(stored).ok().and_then(Weight::new);
    weight.ok_or_else(|| corrupt(format_args!("{stored} is no weight")))
}

pub(super) fn access_key(row: &Row) -> Result<AccessKey, Failure> {
    let enabled: bool = get(row, 3)?;
    Ok(AccessKey {
        id: get(row, 0)?,
        account: AccountId(get(row, 1)?),
        sealed_secret: get(row, 2)?,
        status: if enabled { KeyStatus::Enabled } else { KeyStatus::Disabled },
        created: Timestamp(get(row, 4)?),
    })
}

/// An attempt after the key of its job.
pub(super) fn attempt(row: &Row) -> Result<(Key, Attempt), Failure> {
    let ending: i64 = get(row, 5)?;
    let known = usize::try_from(ending).ok().and_then(|at| Ending::ALL.get(at).copied());
    let ending = known.ok_or_else(|| corrupt(format_args!("{ending} is no ending")))?;
    let fault = match (get::<Option<String>>(row, 7)?, get(row, 8)?) {
        (Some(code), Some(message)) => {
            let class = FaultClass::from_code(&code);
            let class = class.ok_or_else(|| corrupt("an attempt with an unknown fault"))?;
            Some(JobFault { class, message })
        }
        (_, _) => None,
    };
    let attempt = Attempt {
        token: Token(get(row, 1)?),
        number: small(row, 2)?,
        started: Timestamp(get(row, 3)?),
        ended: Timestamp(get(row, 4)?),
        ending,
        fault,
        bytes: natural(row, 6)?,
    };
    Ok((Key(get(row, 0)?), attempt))
}

pub(super) fn queue(row: &Row) -> Result<AccountQueue, Failure> {
    Ok(AccountQueue {
        account: AccountId(get(row, 0)?),
        pending: natural(row, 1)?,
        running: natural(row, 2)?,
        waiting: natural(row, 3)?,
        oldest_ready: time(row, 4)?,
        awaiting: natural(row, 5)?,
    })
}

pub(super) fn tally(row: &Row) -> Result<Tally, Failure> {
    let what: i64 = get(row, 2)?;
    let counted = Counted::from_parts(what, get(row, 3)?);
    Ok(Tally {
        minute: Timestamp(get(row, 0)?),
        account: AccountId(get(row, 1)?),
        what: counted.ok_or_else(|| corrupt(format_args!("{what} is nothing that is counted")))?,
        jobs: natural(row, 4)?,
        bytes: natural(row, 5)?,
        millis: natural(row, 6)?,
    })
}

pub(super) fn session(row: &Row) -> Result<ConsoleSession, Failure> {
    let hash: &[u8] = get(row, 0)?;
    Ok(ConsoleSession {
        hash: hash.try_into().map_err(|_| corrupt("a session's hash of another length"))?,
        access_key_id: get(row, 1)?,
        created: Timestamp(get(row, 2)?),
        expires: Timestamp(get(row, 3)?),
    })
}

pub(super) fn node(row: &Row) -> Result<NodeRecord, Failure> {
    Ok(NodeRecord {
        id: get(row, 0)?,
        address: get(row, 1)?,
        roles: get(row, 2)?,
        version: get(row, 3)?,
        started: Timestamp(get(row, 4)?),
        seen: Timestamp(get(row, 5)?),
        draining: get(row, 6)?,
        transfers: get::<i64>(row, 7)?.unsigned_abs(),
    })
}

/// The medium of the row that `MEDIA_FIND` begins with its job's key and state; `None` when the job
/// has none.
pub(super) fn media(row: &Row, account: AccountId) -> Result<Option<Media>, Failure> {
    let Some(created) = time(row, 2)? else { return Ok(None) };
    let (facts, object) = facts_and_object(row, 10)?;
    Ok(Some(Media {
        key: Key(get(row, 0)?),
        account,
        created,
        title: get(row, 3)?,
        description: get(row, 4)?,
        tags: get(row, 5)?,
        cover_url: get(row, 6)?,
        cate_id: get(row, 7)?,
        reference_id: get(row, 8)?,
        user_data: get(row, 9)?,
        facts,
        object,
    }))
}

/// From the columns of `object_columns!`, the first of which is at `first`.
pub(super) fn facts_and_object(
    row: &Row,
    first: usize,
) -> Result<(MediaFacts, StoredObject), Failure> {
    let at = |offset: usize| first + offset;
    let media_type = match get::<i64>(row, at(0))? {
        0 => MediaType::Video,
        1 => MediaType::Audio,
        other => return Err(corrupt(format_args!("{other} is no media type"))),
    };
    let facts = MediaFacts {
        media_type,
        format: get(row, at(1))?,
        content_type: get(row, at(2))?,
        duration: get(row, at(3))?,
        width: small_if_any(row, at(4))?,
        height: small_if_any(row, at(5))?,
        bitrate: get(row, at(6))?,
        fps: get(row, at(7))?,
        codec: get(row, at(8))?,
    };
    let object = StoredObject {
        object_key: get(row, at(9))?,
        size: natural(row, at(10))?,
        sha256: get(row, at(11))?,
        crc64: get::<i64>(row, at(12))?.cast_unsigned(),
        location: get(row, at(13))?,
        md5: get(row, at(14))?,
    };
    Ok((facts, object))
}

/// A count for a column: what does not fit is as good as the largest that does.
pub(super) fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// One of our own small numbers for a column.
pub(super) fn short(value: i64) -> i16 {
    i16::try_from(value).unwrap_or(i16::MAX)
}

/// Text for a column: PostgreSQL's cannot hold NUL, SQLite's and Rust's can.
pub(super) fn text(value: &str) -> Cow<'_, str> {
    if value.contains('\0') {
        Cow::Owned(value.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(value)
    }
}
