//! What transfers that did not come to their end left behind: found by the job's key, whichever
//! attempt made it, taken up by the next attempt, or removed.
//!
//! Whoever writes a staged file holds its lock (flock), from its making to its end. A writer that
//! was paused and superseded therefore keeps others from continuing its file: they begin another
//! one, and what it writes still can never stand in between the bytes of its successor.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::mark::{Mark, remove_if_there};
use super::{FRESH, Lodging, MARK, PART, Received, Running, Spool, StagedWriter};
use crate::blob::{BlobError, CHUNK_BYTES};
use crate::domain::id::Key;
use crate::domain::job::Token;
use crate::domain::time::Timestamp;

/// A staged file as it lies in the directory, of a running transfer or of none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial {
    pub name: String,
    /// The job it belongs to; `None` for a name that [`staged_name`] does not make.
    pub key: Option<Key>,
    /// Bytes it takes; 0 where only a checkpoint is left.
    pub bytes: u64,
    pub modified: Timestamp,
    /// Whether there is a file and a checkpoint beside it.
    pub marked: bool,
}

/// The name of the staged file that the attempt under `token` makes.
pub fn staged_name(key: Key, token: Token) -> String {
    format!("{:016x}-{}", key.0, token.0)
}

fn key_of(name: &str) -> Option<Key> {
    let (key, token) = name.split_once('-')?;
    let key = Key(i64::from_str_radix(key, 16).ok()?);
    let token = Token(token.parse().ok()?);
    (key.0 >= 0 && staged_name(key, token) == name).then_some(key)
}

impl Spool {
    /// What an earlier attempt of this job left that can be continued: its writer, which stands
    /// behind the last byte of the checkpoint, and the checkpoint. Whatever else of the job nobody
    /// holds is removed. A file that is complete gives up its last byte, so that the origin is
    /// asked once more and nothing is taken for complete on our word alone.
    ///
    /// Reads all of the file to carry its digests on, off the async threads; ends early when the
    /// caller goes away.
    ///
    /// # Errors
    /// When the directory cannot be read. A file or checkpoint that cannot be used is logged,
    /// removed, and counts as none.
    pub async fn take_up(&self, key: Key) -> Result<Option<(StagedWriter, Mark)>, BlobError> {
        let spool = self.clone();
        let caller = Arc::new(());
        let watched = Arc::downgrade(&caller);
        let taken = self.aside.run("look for an unfinished file", move || {
            let mut best: Option<(Lodging, Mark)> = None;
            for name in spool.names_of(key)? {
                let Some((lodging, mark)) = spool.usable(&name, key) else { continue };
                // What is not chosen goes when its lodging is dropped.
                match &best {
                    Some((_, chosen)) if chosen.offset >= mark.offset => {}
                    _ => best = Some((lodging, mark)),
                }
            }
            let Some((mut lodging, mark)) = best else { return Ok(None) };
            match reread(&mut lodging, &mark, &watched) {
                Ok(received) => {
                    lodging.kept = true;
                    let mut writer = StagedWriter::new(lodging, &spool, received);
                    writer.noted = Some((mark.version.clone(), mark.tally));
                    Ok(Some((writer, mark)))
                }
                Err(error) => {
                    tracing::warn!(job = key.0, %error, "an unfinished file is of no use; its transfer begins anew");
                    lodging.kept = watched.strong_count() == 0;
                    Ok(None)
                }
            }
        })
        .await;
        drop(caller);
        taken
    }

    /// Removes what is left of a job, but for files that a transfer still holds.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not be removed.
    pub async fn forget(&self, key: Key) -> Result<usize, BlobError> {
        let spool = self.clone();
        self.aside
            .run("remove what is left of a job", move || {
                let names = spool.names_of(key)?;
                names.iter().try_fold(0, |n, name| Ok(n + usize::from(spool.remove_idle(name)?)))
            })
            .await
    }

    /// Everything in the staging directory, in the order of names.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn partials(&self) -> Result<Vec<Partial>, BlobError> {
        let spool = self.clone();
        self.aside
            .run("read the staging directory", move || {
                let all = spool.names()?.into_iter().map(|name| {
                    let found = fs::metadata(spool.path(&name, PART)).ok();
                    let modified = found.as_ref().and_then(|m| m.modified().ok());
                    Partial {
                        key: key_of(&name),
                        marked: found.is_some() && spool.path(&name, MARK).exists(),
                        bytes: found.map_or(0, |m| m.len()),
                        modified: modified.map_or(Timestamp(0), super::super::local::timestamp),
                        name,
                    }
                });
                Ok(all.collect())
            })
            .await
    }

    /// Removes these staged files with their checkpoints, but for those that a transfer holds;
    /// returns how many went.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub async fn remove(&self, names: Vec<String>) -> Result<usize, BlobError> {
        let spool = self.clone();
        self.aside
            .run("remove unfinished files", move || {
                names.iter().try_fold(0, |n, name| Ok(n + usize::from(spool.remove_idle(name)?)))
            })
            .await
    }

    /// The names of all staged files, each once, whatever is left of it.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let file = entry?.file_name();
            let stem = file
                .to_str()
                .and_then(|file| [PART, MARK, FRESH].iter().find_map(|s| file.strip_suffix(s)));
            names.extend(stem.map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn names_of(&self, key: Key) -> io::Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| key_of(name) == Some(key));
        Ok(names)
    }

    /// Takes the lock of a staged file and reads its checkpoint. A file without a usable one is
    /// removed.
    fn usable(&self, name: &str, key: Key) -> Option<(Lodging, Mark)> {
        let path = self.path(name, PART);
        let file = lock(&path).inspect_err(|error| {
            tracing::warn!(job = key.0, %error, "cannot look at an unfinished file");
        });
        // Dropping it removes it, unless it is chosen.
        let lodging = match file {
            Ok(Lock::Taken(file)) => {
                Lodging { path, file: Some(file), kept: false, aside: self.aside }
            }
            Ok(Lock::Held) => {
                tracing::warn!(job = key.0, "an earlier attempt still holds its file");
                return None;
            }
            Ok(Lock::Gone) | Err(_) => {
                let _ = self.remove_idle(name);
                return None;
            }
        };
        match Mark::read(&self.path(name, MARK)) {
            Ok(Some(mark)) => Some((lodging, mark)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(job = key.0, %error, "a checkpoint is of no use; its transfer begins anew");
                None
            }
        }
    }

    /// Removes a staged file and its checkpoint, unless a transfer holds it.
    fn remove_idle(&self, name: &str) -> io::Result<bool> {
        let path = self.path(name, PART);
        let _held = match lock(&path)? {
            Lock::Taken(file) => Some(file),
            Lock::Gone => None,
            Lock::Held => return Ok(false),
        };
        // The checkpoint first: alone it would claim what is not there.
        for suffix in [FRESH, MARK, PART] {
            remove_if_there(&self.path(name, suffix))?;
        }
        Ok(true)
    }
}

/// Reads what the checkpoint covers, cuts off what came after it, and stands behind it.
fn reread(lodging: &mut Lodging, mark: &Mark, caller: &Weak<()>) -> io::Result<Received> {
    let file = lodging.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
    let found = file.metadata()?.len();
    if found < mark.offset {
        let what = format!("it has {found} bytes, its checkpoint says {}", mark.offset);
        return Err(io::Error::other(what));
    }
    // The last byte of a complete file stays until it is written again: the checkpoint counts it.
    let whole = mark.version.total == Some(mark.offset);
    let keep = mark.offset.saturating_sub(u64::from(whole));
    if keep == 0 {
        return Err(io::Error::other("there is nothing in it to continue"));
    }
    let mut received = Received::new(Running::all());
    file.seek(SeekFrom::Start(0))?;
    let mut left = keep;
    let mut buffer = vec![0; CHUNK_BYTES];
    while left > 0 {
        if caller.strong_count() == 0 {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        file.read_exact(&mut buffer[..wanted])?;
        received.absorb(&buffer[..wanted]);
        left -= wanted as u64;
    }
    let rest = &mut buffer[..usize::from(whole)];
    file.read_exact(rest)?;
    if !agrees(mark, &received, rest) {
        return Err(io::Error::other("its bytes are not those of its checkpoint"));
    }
    file.set_len(mark.offset)?;
    file.seek(SeekFrom::Start(keep))?;
    Ok(received)
}

/// Whether the bytes are those of the checkpoint: by all digests that it has, and at least by one.
fn agrees(mark: &Mark, received: &Received, rest: &[u8]) -> bool {
    let sha256 =
        mark.sha256.as_ref().map(|of| received.digests.sha256_with(rest).as_ref() == Some(of));
    let crc64 = mark.crc64.map(|of| received.digests.crc64_with(rest) == of);
    (sha256.is_some() || crc64.is_some()) && sha256 != Some(false) && crc64 != Some(false)
}

enum Lock {
    Taken(File),
    Held,
    Gone,
}

/// Opens a staged file and takes its lock.
fn lock(path: &Path) -> io::Result<Lock> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Lock::Gone),
        Err(e) => return Err(e),
    };
    match file.try_lock() {
        // Somebody may have removed it between the opening and the lock.
        Ok(()) if file.metadata()?.nlink() == 0 => Ok(Lock::Gone),
        Ok(()) => Ok(Lock::Taken(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(Lock::Held),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}
