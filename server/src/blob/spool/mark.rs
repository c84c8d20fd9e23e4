//! Checkpoints: a small file beside a staged file says how much of it is on stable storage and
//! what it is a part of (ADR 0009).
//!
//! The bytes are synced first, then the mark is written under another name, synced, and put in the
//! place of the one before in one step. So a mark never claims bytes that a crash can take away.
//! It also holds a digest of these bytes: what does not agree with it is never continued.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crc_fast::{CrcAlgorithm, checksum};
use serde::{Deserialize, Serialize};

use super::super::disk::Disk;
use super::FILE_MODE;
use crate::domain::version::Version;

/// First line of a mark; another format has another number.
const TITLE: &str = "haulage checkpoint 1";
/// Largest mark that is read, in bytes; ours have less than a third of it.
const LIMIT: u64 = 4 * 1024;

/// A checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes on stable storage, counted from the beginning of the file.
    pub offset: u64,
    /// SHA-256 of these bytes, lower-case hex, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// CRC-64/XZ of these bytes; marks of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64: Option<u64>,
    /// What they are the beginning of.
    pub version: Version,
    pub tally: Tally,
}

/// What the attempts of a job have come to, so far as it concerns these bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Attempts, counted from the first, that the budget of attempts leaves out because the last
    /// of them moved the transfer on.
    pub forgiven: u32,
    /// Most bytes that any attempt has come to.
    pub best: u64,
    /// How often the object was found changed.
    pub changes: u32,
    /// How often the job's URL had been replaced when these bytes came.
    #[serde(default)]
    pub renewal: u32,
}

/// Why there is no usable mark.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarkError {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is torn or damaged")]
    Damaged,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_string(self).expect("a mark is plain numbers and text");
        let sum = checksum(CrcAlgorithm::Crc64Xz, body.as_bytes());
        format!("{TITLE} {sum:016x}\n{body}\n").into_bytes()
    }

    fn decode(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let sum = first.strip_prefix(TITLE)?.strip_prefix(' ')?;
        let body = rest.strip_suffix('\n')?;
        let found = checksum(CrcAlgorithm::Crc64Xz, body.as_bytes());
        (sum == format!("{found:016x}")).then(|| serde_json::from_str(body).ok()).flatten()
    }

    /// Reads the mark at `path`; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, MarkError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT + 1).read_to_end(&mut bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| MarkError::Damaged)?;
        Self::decode(text).ok_or(MarkError::Damaged).map(Some)
    }

    /// Puts the mark in the place of the one before, durably. `staged` must be synced already.
    pub(super) fn replace(&self, disk: &Disk, fresh: &Path, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(fresh)?;
        file.write_all(&self.encode())?;
        disk.sync_file(&file, fresh)?;
        disk.rename_over(fresh, path)?;
        disk.sync_directory(path.parent().ok_or(io::ErrorKind::InvalidInput)?)
    }
}

/// Removes a file that may not be there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::version::Validator;

    pub(in crate::blob) fn version() -> Version {
        Version {
            validator: Validator::Tag("\"v1\"".to_owned()),
            total: Some(9),
            place: "ab".repeat(32),
        }
    }

    fn mark() -> Mark {
        let tally = Tally { forgiven: 2, best: 77, changes: 1, renewal: 4 };
        Mark {
            offset: 5,
            sha256: Some("cd".repeat(32)),
            crc64: Some(u64::MAX),
            version: version(),
            tally,
        }
    }

    #[test]
    fn a_mark_reads_back_as_it_was_written_and_is_small() {
        let bytes = mark().encode();
        assert!((bytes.len() as u64) < LIMIT / 3, "{}", bytes.len());
        assert_eq!(Mark::decode(std::str::from_utf8(&bytes).unwrap()), Some(mark()));
    }

    #[test]
    fn a_mark_that_lost_or_changed_a_byte_is_no_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let whole = mark().encode();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Mark::read(&path), Err(MarkError::Damaged)), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1;
            fs::write(&path, other).unwrap();
            assert!(Mark::read(&path).is_err(), "byte {at}");
        }
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert!(Mark::read(&path).is_err());
        assert!(matches!(Mark::read(&dir.path().join("none")), Ok(None)));
    }

    #[test]
    fn a_mark_is_synced_before_it_takes_the_place_of_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, path) = (Disk::default(), dir.path().join("m"));
        let fresh = dir.path().join("f");
        mark().replace(&disk, &fresh, &path).unwrap();
        assert_eq!(
            disk.trace.take(dir.path()),
            ["sync-file f", "rename-over m", "sync-directory ."]
        );
        let later = Mark { offset: 9, ..mark() };
        later.replace(&disk, &fresh, &path).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), Some(later));
        assert!(!fresh.exists());
    }
}
