//! What a cancel means, and what became of each of its inputs.

use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::SourceUrl;

/// Which jobs a cancel means.
#[derive(Clone, Debug)]
pub enum CancelBy {
    /// Distinct keys.
    Keys(Vec<Key>),
    /// Distinct URLs: every pending job of the account for each.
    Urls(Vec<SourceUrl>),
}

/// The answer for one input of a cancel, in the order of the inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CancelVerdict {
    /// These jobs were pending and are now cancelled, oldest first.
    Canceled(Vec<Key>),
    /// Known, but none of it is pending: state of the newest such job.
    NotPending(Key, StateKind),
    /// The account has no such job.
    NotExist,
}
