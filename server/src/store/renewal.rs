//! Another URL for a job whose own is refused.

use std::fmt;

use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::SourceUrl;

/// Another URL for a job that awaits one.
#[derive(Clone)]
pub struct Replacement {
    pub account: AccountId,
    pub key: Key,
    pub url: SourceUrl,
    /// In place of the job's own, which were confided for the URL before.
    pub sealed_headers: Option<String>,
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacement(job {}, {})", self.key.0, self.url)
    }
}

/// What became of a [`Replacement`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// The job has the URL and goes on.
    Renewed,
    /// Nothing: the job was given this very URL before.
    Repeated,
    /// Nothing: the job's state. With [`StateKind::AwaitingUrl`], its deadline has passed.
    NotAwaiting(StateKind),
    /// The account has no such job.
    NotExist,
}
