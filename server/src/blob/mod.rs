//! Where the bytes go: staged in a local file first, then published whole and durable under a key
//! of our own making.
//!
//! [`spool`] takes the bytes as they arrive. [`Blobs`] is the seam behind which published objects
//! live; [`LocalBlobs`] keeps them as files, [`S3Blobs`] in a bucket, and [`Locations`] holds all
//! that a node has. A success is recorded in the store only after
//! [`Blobs::publish`] has returned, so an object without a success is an orphan, and the sweep
//! finds it by [`Blobs::list`] and [`parse_object_key`].

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::domain::id::Key;
use crate::domain::job::Token;
use crate::domain::time::Timestamp;

#[cfg(test)]
mod conformance;
pub mod copying;
mod digests;
mod disk;
pub mod local;
mod locations;
pub mod place;
pub mod s3;
pub mod spool;
mod together;

pub use local::LocalBlobs;
pub use locations::Locations;
pub use place::Place;
pub use s3::{S3Blobs, StorageSaid};
pub use spool::{Mark, Partial, Spool, Staged, StagedWriter, Tally, staged_name};

/// Why bytes could not be kept or read. No variant carries bytes of a source or its URL.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No space, or the quota of our user is used up (`ENOSPC`, `EDQUOT`).
    #[error("the storage is full")]
    Full,
    /// The file system refused or failed.
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },
    /// The directory was not there when it had to be.
    #[error("cannot {action}: it is not there; was the storage moved or unmounted?")]
    NotThere { action: &'static str },
    /// Other bytes already lie under the key. Keys are unique to an attempt, so this is a foreign
    /// hand or damage; the object that lies there is left alone.
    #[error("an object with other content already lies under {0}")]
    Taken(String),
    /// Not a key or name of ours.
    #[error("{0:?} is no name that this program gives to its files")]
    BadName(String),
    /// The file holds another number of bytes than were written to it.
    #[error("a file holds {found} bytes instead of {expected}")]
    WrongSize { expected: u64, found: u64 },
    /// The object store said no, and would say so again: a right, a bucket or a call is missing.
    #[error("cannot {action}: {said}; {}", said.fix())]
    Refused { action: &'static str, said: StorageSaid },
    /// The object store could not, or was not reached.
    #[error("cannot {action}: {said}")]
    Failed { action: &'static str, said: StorageSaid },
    /// The configuration has no storage location of this name (any more).
    #[error("there is no storage location {0:?} in the configuration; put it back")]
    UnknownLocation(String),
}

impl BlobError {
    /// Whether trying again later can help: space may be freed, a mount may come back, a busy
    /// disk may recover. A refusal by permissions or a foreign object stays what it is.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full | Self::NotThere { .. } | Self::WrongSize { .. } => true,
            Self::Failed { .. } | Self::UnknownLocation(_) => true,
            Self::Io { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidInput
            ),
            Self::Taken(_) | Self::BadName(_) | Self::Refused { .. } => false,
        }
    }

    /// Names what failed while doing `action` ("write a staged file").
    fn io(action: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::NotFound => Self::NotThere { action },
            _ => Self::Io { action, source },
        }
    }
}

/// Bytes of an object, in order. Each item is at most [`CHUNK_BYTES`]; nothing is read before it
/// is asked for.
pub type ByteStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// Largest piece of an object read at once, and so the buffer of one reader.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Reads parts of one open object.
#[async_trait]
pub trait ReadRange: Send + Sync {
    /// The `len` bytes from `start`. When the object ends before them, the stream ends with an
    /// error, never early.
    async fn read_range(&self, start: u64, len: u64) -> Result<ByteStream, BlobError>;
}

/// A published object, open for reading. A local one stays readable when it is deleted meanwhile;
/// of a bucket's, reading ends with an error then.
pub struct ObjectReader {
    size: u64,
    modified: Option<Timestamp>,
    source: Box<dyn ReadRange>,
}

impl ObjectReader {
    pub fn new(size: u64, modified: Option<Timestamp>, source: Box<dyn ReadRange>) -> Self {
        Self { size, modified, source }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When it was written, if the storage knows.
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// See [`ReadRange::read_range`].
    ///
    /// # Errors
    /// When the storage cannot begin to read.
    pub async fn read_range(&self, start: u64, len: u64) -> Result<ByteStream, BlobError> {
        self.source.read_range(start, len).await
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectReader({} bytes)", self.size)
    }
}

/// Published objects. An `Arc<dyn Blobs>` is shared by the worker and the play URLs.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug + 'static {
    /// Makes the object visible under `object_key`, whole and durable, or not at all.
    ///
    /// Publishing the same bytes again under their key succeeds, so that an attempt whose first
    /// answer got lost can repeat it; other bytes are refused as [`BlobError::Taken`].
    async fn publish(&self, staged: Staged, object_key: &str) -> Result<(), BlobError>;

    /// An object, or `None` when there is none.
    async fn open(&self, object_key: &str) -> Result<Option<ObjectReader>, BlobError>;

    /// Deletes an object durably; `false` when there was none.
    async fn delete(&self, object_key: &str) -> Result<bool, BlobError>;

    /// Objects in key order after `after`, at most `limit`; for the sweep of orphans.
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BlobError>;

    /// Bytes that can still be stored; `None` when the storage does not say.
    async fn free_bytes(&self) -> Result<Option<u64>, BlobError>;

    /// A URL by which the storage itself serves the object for a while; `None` when it is for us
    /// to serve it.
    async fn play_url(
        &self,
        _object_key: &str,
        _delivery: &Delivery,
        _validity: Duration,
    ) -> Result<Option<String>, BlobError> {
        Ok(None)
    }

    /// The origin (scheme, host, port) that such URLs lead to, for pages that play from there.
    fn play_origin(&self) -> Option<String> {
        None
    }

    /// Ends the uploads that this node has begun and nobody works on any more.
    async fn clear_abandoned(&self) -> Result<Cleared, BlobError> {
        Ok(Cleared::default())
    }

    /// Unfinished uploads of all nodes after `after`, at most `limit`; none where nothing is
    /// uploaded, or the storage does not tell.
    async fn uploads(
        &self,
        _after: Option<&Upload>,
        _limit: usize,
    ) -> Result<Vec<Upload>, BlobError> {
        Ok(Vec::new())
    }

    /// Ends one of them; it is gone with all its parts when this succeeds, also when it was gone
    /// before.
    async fn abort(&self, _upload: &Upload) -> Result<(), BlobError> {
        Ok(())
    }
}

/// How the bytes of a medium are to be served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub content_type: String,
    /// `Content-Disposition`.
    pub disposition: String,
}

/// An upload that was begun, and neither completed nor given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    pub object_key: String,
    /// As the storage calls it.
    pub upload_id: String,
}

/// What a sweep of abandoned uploads did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cleared {
    pub aborted: usize,
    /// Still there; the next sweep tries again.
    pub failed: usize,
}

/// Longest file extension in an object key, in characters.
const EXTENSION_LIMIT: usize = 8;

/// The key of a job's object: made by us, never from the URL.
///
/// It contains the fencing token, so a superseded worker cannot overwrite what its successor
/// published. Keys sort as jobs do, in time. The directories are the high digits of the job's key:
/// one directory takes the objects of 2¹⁹ ms (about nine minutes), its parent those of 37 hours.
///
/// An `extension` that is not 1 to 8 lower-case letters and digits becomes `bin`.
pub fn object_key(key: Key, token: Token, extension: &str) -> String {
    let valid = (1..=EXTENSION_LIMIT).contains(&extension.len())
        && extension.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let extension = if valid { extension } else { "bin" };
    let name = format!("{:016x}", key.0);
    format!("{}/{}/{name}-{:x}.{extension}", &name[..4], &name[4..6], token.0)
}

/// The job and token of an object key; `None` for text that [`object_key`] does not make.
pub fn parse_object_key(text: &str) -> Option<(Key, Token)> {
    let (stem, extension) = text.rsplit('/').next()?.split_once('.')?;
    let (key, token) = stem.split_once('-')?;
    let key = Key(i64::from_str_radix(key, 16).ok()?);
    let token = Token(i64::from_str_radix(token, 16).ok()?);
    // Whatever is spelled another way is not ours: no case, sign, padding or detour slips through.
    (key.0 >= 0 && token.0 >= 0 && object_key(key, token, extension) == text)
        .then_some((key, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_key_names_job_and_attempt_and_nothing_of_the_source() {
        let key = object_key(Key(0x0123_4567_89ab_cdef), Token(26), "mp4");
        assert_eq!(key, "0123/45/0123456789abcdef-1a.mp4");
        assert_eq!(parse_object_key(&key), Some((Key(0x0123_4567_89ab_cdef), Token(26))));
        assert!(object_key(Key(1), Token(1), "../../etc").ends_with("-1.bin"));
        assert!(object_key(Key(1), Token(1), "").ends_with("-1.bin"));
        assert!(object_key(Key(1), Token(1), "MP4").ends_with("-1.bin"));
    }

    #[test]
    fn no_other_spelling_is_an_object_key() {
        let good = object_key(Key(77), Token(3), "mkv");
        for bad in [
            "",
            "..",
            "../0000/00/000000000000004d-3.mkv",
            "0000/00/../00/000000000000004d-3.mkv",
            "0000/01/000000000000004d-3.mkv",
            "0000/00/000000000000004D-3.mkv",
            "0000/00/000000000000004d-03.mkv",
            "0000/00/000000000000004d-+3.mkv",
            "0000/00/000000000000004d-3.m/v",
            "0000/00/000000000000004d-3.",
            "/0000/00/000000000000004d-3.mkv",
        ] {
            assert_eq!(parse_object_key(bad), None, "{bad}");
        }
        assert!(parse_object_key(&good).is_some());
    }

    #[test]
    fn object_keys_sort_as_their_jobs() {
        let mut keys = [1i64, 255, 1 << 40, (1 << 40) + 1, 1 << 48, i64::MAX]
            .map(|k| object_key(Key(k), Token(9), "mp4"));
        let sorted = keys.clone();
        keys.sort();
        assert_eq!(keys, sorted);
    }

    #[test]
    fn a_full_disk_has_its_own_error_and_may_be_tried_again() {
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let error = BlobError::io("write", errno.into());
            assert!(matches!(error, BlobError::Full), "{errno}");
            assert!(error.is_transient());
        }
        assert!(BlobError::io("write", rustix::io::Errno::IO.into()).is_transient());
        assert!(!BlobError::io("write", rustix::io::Errno::ACCESS.into()).is_transient());
        assert!(!BlobError::Taken(String::new()).is_transient());
    }
}
