//! How a medium is asked for.

use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::media::Media;

/// What identifies a medium.
#[derive(Clone, Debug)]
pub enum MediaRef {
    Key(Key),
    ReferenceId(String),
}

/// A medium, or how far its job has come.
#[derive(Clone, Debug)]
pub enum MediaLookup {
    Stored(Box<Media>),
    /// The medium's job has not succeeded.
    NotStored(StateKind),
    Unknown,
}
