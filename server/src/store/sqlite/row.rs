//! Rows to values. A value that this program would not have written is a [`Failure::Corrupt`].

use rusqlite::Row;

use super::failure::Failure;
use crate::domain::account::{AccessKey, Account, AccountId, KeyStatus, Weight};
use crate::domain::attempt::{Attempt, Ending};
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::{Job, Phase, Progress, State, StateKind, Token};
use crate::domain::media::{MediaFacts, MediaType, StoredObject};
use crate::domain::priority::Priority;
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::store::{AccountQueue, ConsoleSession, Counted, Tally};

pub(super) fn corrupt(what: impl std::fmt::Display) -> Failure {
    Failure::Corrupt(what.to_string())
}

pub(super) fn state_kind(stored: i64) -> Result<StateKind, Failure> {
    let at = usize::try_from(stored).ok();
    at.and_then(|at| StateKind::ALL.get(at).copied())
        .ok_or_else(|| corrupt(format_args!("{stored} is no state")))
}

/// A count or size.
fn natural(row: &Row<'_>, at: usize) -> Result<u64, Failure> {
    let stored: i64 = row.get(at)?;
    u64::try_from(stored).map_err(|_| corrupt(format_args!("{stored} in place of a count")))
}

fn small(row: &Row<'_>, at: usize) -> Result<u32, Failure> {
    let stored: i64 = row.get(at)?;
    u32::try_from(stored).map_err(|_| corrupt(format_args!("{stored} in place of a small count")))
}

fn time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>, Failure> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp))
}

/// A fault from two columns, its code and its message.
fn fault(row: &Row<'_>, first: usize) -> Result<JobFault, Failure> {
    let code: Option<String> = row.get(first)?;
    let class = code.as_deref().and_then(FaultClass::from_code);
    let message: Option<String> = row.get(first + 1)?;
    Ok(JobFault {
        class: class.ok_or_else(|| corrupt("a job without a known fault"))?,
        message: message.ok_or_else(|| corrupt("a job without a fault's message"))?,
    })
}

/// A job from the columns of `job_columns!`.
pub(super) fn job(row: &Row<'_>) -> Result<Job, Failure> {
    let key = Key(row.get(0)?);
    let missing = |what: &str| corrupt(format_args!("job {} has no {what}", key.0));
    let state = match state_kind(row.get(2)?)? {
        StateKind::Pending => State::Pending,
        StateKind::Running => State::Running {
            token: Token(row.get(5)?),
            until: time(row, 7)?.ok_or_else(|| missing("lease"))?,
        },
        StateKind::Waiting => {
            State::Waiting { due: time(row, 6)?.ok_or_else(|| missing("due time"))? }
        }
        StateKind::Succeeded => State::Succeeded,
        StateKind::Failed => State::Failed(fault(row, 13)?),
        StateKind::Canceled => State::Canceled,
        StateKind::AwaitingUrl => {
            State::AwaitingUrl { fault: fault(row, 19)?, until: Timestamp(row.get(11)?) }
        }
    };
    let phase: i64 = row.get(8)?;
    let phase = usize::try_from(phase).ok().and_then(|at| Phase::ALL.get(at).copied());
    let request = row.get_ref(16)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Job {
        key,
        account: AccountId(row.get(1)?),
        url: SourceUrl::new(row.get::<_, String>(15)?),
        // The parser's message could quote the text, which may hold secrets.
        request: serde_json::from_str(request).map_err(|_| missing("readable request"))?,
        created: Timestamp(row.get(10)?),
        claimed: time(row, 17)?,
        deadline: Timestamp(row.get(11)?),
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

pub(super) fn account(row: &Row<'_>, first: usize) -> Result<Account, Failure> {
    Ok(Account {
        id: AccountId(row.get(first)?),
        name: row.get(first + 1)?,
        enabled: row.get(first + 2)?,
        operator: row.get(first + 3)?,
        created: Timestamp(row.get(first + 4)?),
        weight: weight(row, first + 5)?,
        paused: row.get(first + 6)?,
    })
}

pub(super) fn priority(stored: i64) -> Result<Priority, Failure> {
    let known = usize::try_from(stored).ok().and_then(|at| Priority::ALL.get(at).copied());
    known.ok_or_else(|| corrupt(format_args!("{stored} is no priority")))
}

pub(super) fn weight(row: &Row<'_>, at: usize) -> Result<Weight, Failure> {
    let stored: i64 = row.get(at)?;
    let weight = u8::try_from(stored).ok().and_then(Weight::new);
    weight.ok_or_else(|| corrupt(format_args!("{stored} is no weight")))
}

pub(super) fn access_key(row: &Row<'_>) -> Result<AccessKey, Failure> {
    let enabled: bool = row.get(3)?;
    Ok(AccessKey {
        id: row.get(0)?,
        account: AccountId(row.get(1)?),
        sealed_secret: row.get(2)?,
        status: if enabled { KeyStatus::Enabled } else { KeyStatus::Disabled },
        created: Timestamp(row.get(4)?),
    })
}

pub(super) fn attempt(row: &Row<'_>) -> Result<Attempt, Failure> {
    let ending: i64 = row.get(4)?;
    let known = usize::try_from(ending).ok().and_then(|at| Ending::ALL.get(at).copied());
    let ending = known.ok_or_else(|| corrupt(format_args!("{ending} is no ending")))?;
    let fault = match (row.get::<_, Option<String>>(6)?, row.get(7)?) {
        (Some(code), Some(message)) => {
            let class = FaultClass::from_code(&code);
            let class = class.ok_or_else(|| corrupt("an attempt with an unknown fault"))?;
            Some(JobFault { class, message })
        }
        (_, _) => None,
    };
    Ok(Attempt {
        token: Token(row.get(0)?),
        number: small(row, 1)?,
        started: Timestamp(row.get(2)?),
        ended: Timestamp(row.get(3)?),
        ending,
        fault,
        bytes: natural(row, 5)?,
    })
}

pub(super) fn queue(row: &Row<'_>) -> Result<AccountQueue, Failure> {
    Ok(AccountQueue {
        account: AccountId(row.get(0)?),
        pending: natural(row, 1)?,
        running: natural(row, 2)?,
        waiting: natural(row, 3)?,
        oldest_ready: time(row, 4)?,
        awaiting: natural(row, 5)?,
    })
}

pub(super) fn tally(row: &Row<'_>) -> Result<Tally, Failure> {
    let what: i64 = row.get(2)?;
    let counted = Counted::from_parts(what, row.get(3)?);
    Ok(Tally {
        minute: Timestamp(row.get(0)?),
        account: AccountId(row.get(1)?),
        what: counted.ok_or_else(|| corrupt(format_args!("{what} is nothing that is counted")))?,
        jobs: natural(row, 4)?,
        bytes: natural(row, 5)?,
        millis: natural(row, 6)?,
    })
}

pub(super) fn session(row: &Row<'_>) -> Result<ConsoleSession, Failure> {
    Ok(ConsoleSession {
        hash: row.get(0)?,
        access_key_id: row.get(1)?,
        created: Timestamp(row.get(2)?),
        expires: Timestamp(row.get(3)?),
    })
}

/// From the columns of `object_columns!`, the first of which is at `first`.
pub(super) fn facts_and_object(
    row: &Row<'_>,
    first: usize,
) -> Result<(MediaFacts, StoredObject), Failure> {
    let at = |offset: usize| first + offset;
    let media_type = match row.get::<_, i64>(at(0))? {
        0 => MediaType::Video,
        1 => MediaType::Audio,
        other => return Err(corrupt(format_args!("{other} is no media type"))),
    };
    let facts = MediaFacts {
        media_type,
        format: row.get(at(1))?,
        content_type: row.get(at(2))?,
        duration: row.get(at(3))?,
        width: row.get(at(4))?,
        height: row.get(at(5))?,
        bitrate: row.get(at(6))?,
        fps: row.get(at(7))?,
        codec: row.get(at(8))?,
    };
    let object = StoredObject {
        object_key: row.get(at(9))?,
        size: natural(row, at(10))?,
        sha256: Some(row.get(at(11))?).filter(|text: &String| !text.is_empty()),
        crc64: row.get::<_, i64>(at(12))?.cast_unsigned(),
        location: row.get(at(13))?,
        md5: row.get(at(14))?,
    };
    Ok((facts, object))
}

/// A count for a column: what does not fit is as good as the largest that does.
pub(super) fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
