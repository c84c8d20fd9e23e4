//! Copies files durably for a backup: a copy is whole under its name, or not there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::BlobError;
use super::disk::Disk;

/// What a copy is called until it is whole.
const UNFINISHED: &str = ".unfinished";
/// Copies are open to their owner alone: a backup holds keys, and URLs that carry secrets.
const FILE_MODE: u32 = 0o600;

/// Copies below one directory.
#[derive(Debug)]
pub struct Copier {
    root: PathBuf,
    disk: Disk,
}

impl Copier {
    /// Copies into `root`, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn into_dir(root: PathBuf) -> Result<Self, BlobError> {
        let disk = Disk::default();
        disk.make_directories(&root).map_err(|e| BlobError::io("make the backup directory", e))?;
        Ok(Self { root, disk })
    }

    /// Copies the file `from` to `name` below the root, on stable storage with its directory;
    /// `false` when a file of this name and `size` is there already. With `size`, a source of
    /// another size is an error.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn copy(&self, from: &Path, name: &str, size: Option<u64>) -> Result<bool, BlobError> {
        let to = self.root.join(name);
        let found = fs::metadata(&to).ok().map(|copy| copy.len());
        if found.is_some() && found == size {
            return Ok(false);
        }
        self.copy_anew(from, &to, size).map_err(|e| BlobError::io("copy a file", e))?;
        Ok(true)
    }

    /// Writes `text` to `name` below the root, as [`Copier::copy`] does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), BlobError> {
        let to = self.root.join(name);
        let write = || {
            let unfinished = unfinished(&to);
            let mut file = make(&unfinished)?;
            io::Write::write_all(&mut file, text.as_bytes())?;
            self.put_in_place(&file, &unfinished, &to)
        };
        write().map_err(|e| BlobError::io("write a file of the backup", e))
    }

    fn copy_anew(&self, from: &Path, to: &Path, size: Option<u64>) -> io::Result<()> {
        if let Some(directory) = to.parent() {
            self.disk.make_directories(directory)?;
        }
        let unfinished = unfinished(to);
        let mut copy = make(&unfinished)?;
        let copied = io::copy(&mut File::open(from)?, &mut copy)?;
        if size.is_some_and(|size| size != copied) {
            return Err(io::Error::other("the file has another size than the database says"));
        }
        self.put_in_place(&copy, &unfinished, to)
    }

    fn put_in_place(&self, file: &File, unfinished: &Path, to: &Path) -> io::Result<()> {
        self.disk.sync_file(file, unfinished)?;
        // An older copy with another size, or of a file that changes, makes room.
        if to.exists() {
            fs::remove_file(to)?;
        }
        self.disk.rename_to_free(unfinished, to)?;
        self.disk.sync_directory(to.parent().unwrap_or(&self.root))
    }
}

fn unfinished(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    to.with_file_name(name)
}

fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_synced_before_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::write(&from, b"bytes").unwrap();
        let copier = Copier::into_dir(dir.path().join("to")).unwrap();
        copier.disk.trace.take(dir.path());
        assert!(copier.copy(&from, "ab/x.mp4", Some(5)).unwrap());
        let steps = copier.disk.trace.take(dir.path());
        let of_file = ["sync-file to/ab/x.mp4.unfinished", "rename to/ab/x.mp4"];
        assert_eq!(steps[steps.len() - 3..steps.len() - 1], of_file);
        assert_eq!(steps.last().unwrap(), "sync-directory to/ab");
        assert_eq!(fs::read(dir.path().join("to/ab/x.mp4")).unwrap(), b"bytes");
        assert!(!copier.copy(&from, "ab/x.mp4", Some(5)).unwrap(), "it is there already");
    }

    #[test]
    fn a_file_of_another_size_is_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::write(&from, b"bytes").unwrap();
        let copier = Copier::into_dir(dir.path().join("to")).unwrap();
        assert!(copier.copy(&from, "x.mp4", Some(6)).is_err());
        assert!(!dir.path().join("to/x.mp4").exists());
    }

    #[test]
    fn a_copy_that_cannot_be_synced_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::write(&from, b"bytes").unwrap();
        let copier = Copier::into_dir(dir.path().join("to")).unwrap();
        copier.disk.trace.fail("sync-file", rustix::io::Errno::IO);
        assert!(copier.copy(&from, "x.mp4", None).is_err());
        assert!(!dir.path().join("to/x.mp4").exists());
    }
}
