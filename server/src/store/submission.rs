//! What `UploadMediaByURL` asks of the store, and what became of it.

use std::time::Duration;

use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::JobRequest;
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;

/// A job to accept.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub url: SourceUrl,
    pub request: JobRequest,
}

/// One `UploadMediaByURL`: all of its jobs are accepted, or none (decision 13).
#[derive(Clone, Debug)]
pub struct Submission {
    pub account: AccountId,
    pub jobs: Vec<NewJob>,
    /// `SessionId` and the digest of all other parameters (decision 7).
    pub session: Option<Session>,
    pub now: Timestamp,
    pub deadline: Timestamp,
    pub limits: SubmitLimits,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub id: String,
    /// SHA-256 over the request's operation parameters.
    pub fingerprint: [u8; 32],
    /// A session id counts as repeated for this long after its first use.
    pub window: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct SubmitLimits {
    /// Calls an account may make in one UTC day; 0 means no limit.
    pub calls_per_day: u32,
    /// Jobs of an account that may be pending, waiting or awaiting a URL at once; 0 means no limit.
    pub pending: u64,
}

/// What became of a [`Submission`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submitted {
    /// New jobs, in the order of the submission.
    Accepted(Vec<Key>),
    /// The same request under the same session id, again: the first answer's jobs.
    Replayed(Vec<Key>),
    /// Another request under a session id that is still in its window.
    SessionTaken,
    /// The account's quota of calls for this day is used up; it opens again at this time.
    DayQuota { opens: Timestamp },
    /// Too many jobs of the account are waiting.
    QueueFull,
    /// A `ReferenceId` that another medium or job of the account has, or that the call uses twice.
    ReferenceTaken(String),
}
