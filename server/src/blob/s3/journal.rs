//! Which multipart uploads this node has begun: one small file each, on stable storage before the
//! first part is sent, gone when the upload is.
//!
//! It lies in the data directory and not in the database (ADR 0012): its reader is the node that
//! wrote it, and that node's data directory is locked. Uploads of a node that never comes back are
//! found in the bucket's own list.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::blob::disk::Disk;
use crate::blob::spool::blocking;
use crate::blob::{BlobError, Upload};
use crate::door::random;

/// What a record's name ends with, and that of one being written.
const RECORD: &str = ".upload";
const FRESH: &str = ".upload-new";
/// Characters that keep two uploads of one key apart.
const TAIL: usize = 8;
const FILE_MODE: u32 = 0o600;
/// A record has some 200 bytes; S3's upload ids are not longer than a kilobyte.
const RECORD_LIMIT: u64 = 16 * 1024;

/// The uploads of one storage location.
#[derive(Clone, Debug)]
pub(super) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    disk: Disk,
    /// Records of uploads that somebody in this process works on.
    active: Mutex<HashSet<String>>,
}

#[derive(Deserialize, Serialize)]
struct Record {
    object_key: String,
    upload_id: String,
}

impl Journal {
    /// The journal of one location; its directory is made with the first record.
    pub(super) fn new(directory: PathBuf) -> Self {
        let active = Mutex::default();
        Self(Arc::new(Inner { directory, disk: Disk::default(), active }))
    }

    /// Writes an upload down. When this returns, a crash does not lose it.
    pub(super) async fn begin(&self, upload: &Upload) -> Result<Entry, BlobError> {
        let stem = upload.object_key.rsplit('/').next().unwrap_or_default();
        let name = format!("{stem}.{}", random::alphanumeric(TAIL));
        self.active().insert(name.clone());
        let entry = Entry { journal: self.clone(), name };
        let record =
            Record { object_key: upload.object_key.clone(), upload_id: upload.upload_id.clone() };
        let text = serde_json::to_string(&record).unwrap_or_default();
        let (inner, name) = (Arc::clone(&self.0), entry.name.clone());
        blocking("write down an upload", move || inner.write(&name, &text)).await?;
        Ok(entry)
    }

    /// Uploads that nobody works on: of a process that died, or broken off here. A record that
    /// cannot be read is left and complained about.
    pub(super) async fn abandoned(&self) -> Result<Vec<(Entry, Upload)>, BlobError> {
        let inner = Arc::clone(&self.0);
        let found = blocking("read the journal of uploads", move || inner.read()).await?;
        let mut abandoned = Vec::new();
        for (name, record) in found {
            // Taken before the look at who works on it could be repeated by another sweep.
            if self.active().insert(name.clone()) {
                let entry = Entry { journal: self.clone(), name };
                let Record { object_key, upload_id } = record;
                abandoned.push((entry, Upload { object_key, upload_id }));
            }
        }
        Ok(abandoned)
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn trace(&self) -> &crate::blob::disk::tracing_for_tests::Trace {
        &self.0.disk.trace
    }

    #[cfg(test)]
    pub(super) fn directory(&self) -> &Path {
        &self.0.directory
    }
}

impl Inner {
    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.directory.join(format!("{name}{suffix}"))
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.disk.make_directories(&self.directory)?;
        let (fresh, place) = (self.path(name, FRESH), self.path(name, RECORD));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        self.disk.sync_file(&file, &fresh)?;
        self.disk.rename_over(&fresh, &place)?;
        self.disk.sync_directory(&self.directory)
    }

    fn read(&self) -> io::Result<Vec<(String, Record)>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            let Some(name) = file.strip_suffix(RECORD) else { continue };
            match read_record(&entry.path()) {
                Ok(record) => found.push((name.to_owned(), record)),
                // It went while we read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file, %error, "a record of an upload cannot be read");
                }
            }
        }
        Ok(found)
    }
}

fn read_record(path: &Path) -> io::Result<Record> {
    if fs::metadata(path)?.len() > RECORD_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
}

/// An upload in the journal, held by whoever works on it. Dropping it leaves the record for the
/// next sweep.
#[derive(Debug)]
pub(super) struct Entry {
    journal: Journal,
    name: String,
}

impl Entry {
    /// The upload is completed or gone. A crash before the removal is durable leaves a record of
    /// an upload that is not there, which costs one abort in vain.
    pub(super) async fn forget(self) {
        let path = self.journal.0.path(&self.name, RECORD);
        let removed = blocking("forget an upload", move || fs::remove_file(path)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "the record of an upload stays; the next sweep looks at it");
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.journal.active().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn upload(id: &str) -> Upload {
        let object_key = "0000/00/0000000000000001-1.mp4".to_owned();
        Upload { object_key, upload_id: id.to_owned() }
    }

    async fn ids(journal: &Journal) -> Vec<String> {
        let mut found = Vec::new();
        for (_, upload) in journal.abandoned().await.unwrap() {
            found.push(upload.upload_id);
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_record_is_on_stable_storage_when_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("uploads"));
        drop(journal.begin(&upload("first")).await.unwrap());
        let steps = journal.trace().take(dir.path());
        assert_eq!(steps[..2], ["make-directory uploads", "sync-directory ."]);
        let entry = journal.begin(&upload("a")).await.unwrap();
        let steps = journal.trace().take(dir.path());
        let kinds: Vec<_> = steps.iter().map(|s| s.split(' ').next().unwrap()).collect();
        assert_eq!(kinds, ["sync-file", "rename-over", "sync-directory"]);
        journal.trace().fail("sync-directory", Errno::IO);
        assert!(journal.begin(&upload("b")).await.is_err());
        drop(entry);
    }

    #[tokio::test]
    async fn an_upload_is_abandoned_when_its_holder_goes_or_dies_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("uploads");
        let journal = Journal::new(path.clone());
        let held = journal.begin(&upload("held")).await.unwrap();
        let dropped = journal.begin(&upload("dropped")).await.unwrap();
        let done = journal.begin(&upload("done")).await.unwrap();
        done.forget().await;
        drop(dropped);
        assert_eq!(ids(&journal).await, ["dropped"]);
        // Another process after a crash: everything is abandoned.
        assert_eq!(ids(&Journal::new(path)).await, ["dropped", "held"]);
        drop(held);
        let taken = journal.abandoned().await.unwrap();
        assert_eq!(taken.len(), 2);
        assert!(ids(&journal).await.is_empty(), "one sweep at a time works on an upload");
    }

    #[tokio::test]
    async fn a_damaged_record_is_left_alone_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("uploads"));
        drop(journal.begin(&upload("whole")).await.unwrap());
        let damaged = journal.directory().join("x.upload");
        fs::write(&damaged, "{\"object").unwrap();
        fs::write(journal.directory().join("y.upload-new"), "").unwrap();
        assert_eq!(ids(&journal).await, ["whole"]);
        assert!(damaged.exists());
    }
}
