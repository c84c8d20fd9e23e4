//! Objects as files below one directory.
//!
//! Publishing is: the staged file is already synced, it moves to its final name in one step that
//! never replaces, then the directory is synced. Before the move nothing is visible under the key;
//! after a crash there is either nothing or the whole object.
//!
//! The staging directory should lie on the same file system. When it does not, publishing copies
//! into `.incoming` first, syncs the copy, and goes on from there; the guarantee is the same, the
//! bytes are written twice.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::digests::Running;
use super::disk::{self, Disk};
use super::spool::{Staged, blocking};
use super::together::Together;
use super::{BlobError, Blobs, ByteStream, CHUNK_BYTES, ObjectReader, ReadRange, parse_object_key};
use crate::domain::time::Timestamp;

/// Copies from another file system wait here; emptied at the start. No key begins with a dot.
const INCOMING: &str = ".incoming";
/// How many directories are remembered as durable; beyond it the memory starts anew, which costs
/// one more sync for each directory in use.
const KNOWN_DIRECTORIES: usize = 4096;
const FILE_MODE: u32 = 0o640;

/// Published objects as local files.
#[derive(Clone, Debug)]
pub struct LocalBlobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    disk: Disk,
    together: Together,
    /// Directories that this process has seen durable in their parents.
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalBlobs {
    /// Opens the object directory and makes it if need be, durable in its parent.
    ///
    /// # Errors
    /// When it cannot be made, synced or cleared of interrupted copies.
    pub async fn open(dir: PathBuf) -> Result<Self, BlobError> {
        let inner = Arc::new(Inner {
            root: dir,
            disk: Disk::default(),
            together: Together::default(),
            durable: Mutex::new(HashSet::new()),
        });
        let opened = Arc::clone(&inner);
        blocking("open the object directory", move || {
            let incoming = opened.root.join(INCOMING);
            opened.disk.make_directories(&incoming)?;
            for entry in fs::read_dir(&incoming)? {
                fs::remove_file(entry?.path())?;
            }
            Ok(())
        })
        .await?;
        Ok(Self(inner))
    }

    /// The file of an object. A key is checked before it touches a path.
    fn path(&self, object_key: &str) -> Result<PathBuf, BlobError> {
        match parse_object_key(object_key) {
            Some(_) => Ok(self.0.root.join(object_key)),
            None => Err(BlobError::BadName(object_key.to_owned())),
        }
    }
}

/// How far publishing came.
enum Published {
    Moved,
    /// An object was there already: is it this one?
    Occupied {
        same: bool,
    },
}

impl Inner {
    /// Moves the file to its place. The names in its directory are still to be synced.
    fn publish(&self, staged: &Staged, target: &Path) -> io::Result<Published> {
        // Two levels of directories lie between the root and an object (see `object_key`).
        let directory = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let above = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.ensure_durable(above, &self.root)?;
        self.ensure_durable(directory, above)?;

        let moved = match self.disk.rename_to_free(staged.path(), target) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => self.copy_over(staged, target),
            moved => moved,
        };
        match moved {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let same = is_same(target, staged)?;
                if same {
                    // The first attempt may have failed between move and sync.
                    self.disk.sync_file(&File::open(target)?, target)?;
                    self.disk.sync_directory(directory)?;
                }
                return Ok(Published::Occupied { same });
            }
            Err(e) => return Err(e),
        }
        Ok(Published::Moved)
    }

    /// Remembers what it made durable, so that in the long run a publish costs one directory sync.
    fn ensure_durable(&self, directory: &Path, parent: &Path) -> io::Result<()> {
        let known = |set: &HashSet<PathBuf>| set.contains(directory) && directory.is_dir();
        if known(&self.durable.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        self.disk.make_directory(directory, parent)?;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= KNOWN_DIRECTORIES {
            durable.clear();
        }
        durable.insert(directory.to_owned());
        Ok(())
    }

    /// The staged file lies on another file system: copies it beside its place, synced, and moves
    /// the copy.
    fn copy_over(&self, staged: &Staged, target: &Path) -> io::Result<()> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let path = self.root.join(INCOMING).join(name);
        let copied = (|| {
            let mut from = File::open(staged.path())?;
            let mut to = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(&path)?;
            if io::copy(&mut from, &mut to)? != staged.size() {
                return Err(io::Error::other("the staged file changed its size"));
            }
            self.disk.sync_file(&to, &path)?;
            self.disk.rename_to_free(&path, target)
        })();
        match copied {
            Ok(()) => drop(fs::remove_file(staged.path())),
            Err(_) => drop(fs::remove_file(&path)),
        }
        copied
    }
}

/// Whether the object at `path` has the bytes of `staged`.
fn is_same(path: &Path, staged: &Staged) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != staged.size() {
        return Ok(false);
    }
    let mut found = Running::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            read => found.update(&buffer[..read]),
        }
    }
    Ok(staged.agrees_with(&found.finish()))
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn publish(&self, staged: Staged, object_key: &str) -> Result<(), BlobError> {
        let target = self.path(object_key)?;
        let (inner, place) = (Arc::clone(&self.0), target.clone());
        let published = blocking("publish an object", move || {
            let published = inner.publish(&staged, &place)?;
            if matches!(published, Published::Moved) {
                staged.give_away();
            }
            Ok(published)
        })
        .await?;
        match published {
            Published::Moved => {
                let directory = target.parent().unwrap_or(&self.0.root);
                let synced = self.0.together.sync(&self.0.disk, directory).await;
                if synced.is_err() {
                    // Visible but perhaps not durable is neither of the two outcomes we promise.
                    drop(blocking("take an object back", move || fs::remove_file(target)).await);
                }
                synced
            }
            Published::Occupied { same: true } => Ok(()),
            Published::Occupied { same: false } => Err(BlobError::Taken(object_key.to_owned())),
        }
    }

    async fn open(&self, object_key: &str) -> Result<Option<ObjectReader>, BlobError> {
        let path = self.path(object_key)?;
        let opened = blocking("open an object", move || {
            let file = File::open(&path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata.len(), metadata.modified().ok()))
        });
        let (file, size, modified) = match opened.await {
            Ok(opened) => opened,
            Err(BlobError::NotThere { .. }) => return Ok(None),
            Err(e) => return Err(e),
        };
        let source = Box::new(LocalObject(Arc::new(file)));
        Ok(Some(ObjectReader::new(size, modified.map(timestamp), source)))
    }

    async fn delete(&self, object_key: &str) -> Result<bool, BlobError> {
        let path = self.path(object_key)?;
        let inner = Arc::clone(&self.0);
        blocking("delete an object", move || {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e),
            }
            let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            inner.disk.sync_directory(directory)?;
            Ok(true)
        })
        .await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BlobError> {
        let inner = Arc::clone(&self.0);
        let after = after.unwrap_or_default().to_owned();
        blocking("list the objects", move || {
            let mut keys = Vec::new();
            list_below(&inner.root, "", &after, limit, &mut keys)?;
            Ok(keys)
        })
        .await
    }

    async fn free_bytes(&self) -> Result<Option<u64>, BlobError> {
        let inner = Arc::clone(&self.0);
        blocking("ask for the free space of the object directory", move || {
            disk::free_bytes(&inner.root).map(Some)
        })
        .await
    }
}

/// Gathers keys in order. Reads one directory at a time and only those that can hold a key after
/// `after`; three levels deep, as keys are.
fn list_below(
    root: &Path,
    prefix: &str,
    after: &str,
    limit: usize,
    keys: &mut Vec<String>,
) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(prefix))? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    let depth = prefix.bytes().filter(|b| *b == b'/').count();
    for name in names {
        if keys.len() >= limit {
            break;
        }
        if depth < 2 {
            let directory = format!("{prefix}{name}/");
            let passed = *directory < *after && !after.starts_with(&directory);
            let ours = name.bytes().all(|b| b.is_ascii_hexdigit());
            if ours && !passed {
                list_below(root, &directory, after, limit, keys)?;
            }
        } else {
            let key = format!("{prefix}{name}");
            if *key > *after && parse_object_key(&key).is_some() {
                keys.push(key);
            }
        }
    }
    Ok(())
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An open object file.
struct LocalObject(Arc<File>);

#[async_trait]
impl ReadRange for LocalObject {
    async fn read_range(&self, start: u64, len: u64) -> Result<ByteStream, BlobError> {
        let file = Arc::clone(&self.0);
        let end = start.saturating_add(len);
        // The next piece is read when it is asked for: a slow reader holds one piece, no more.
        let pieces = stream::try_unfold((file, start), move |(file, at)| async move {
            if at >= end {
                return Ok(None);
            }
            let want = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let reader = Arc::clone(&file);
            let piece = blocking("read an object", move || {
                let mut piece = vec![0; want];
                reader.read_exact_at(&mut piece, at)?;
                Ok(Bytes::from(piece))
            })
            .await?;
            Ok(Some((piece, (file, at + want as u64))))
        });
        Ok(pieces.boxed())
    }
}

#[cfg(test)]
mod tests;
