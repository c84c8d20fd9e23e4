//! The spool: where the bytes of a transfer land first, always a local file of our own.
//!
//! A staged file has one owner, which holds its lock. Dropping the owner removes the file, unless
//! a checkpoint says that its bytes are on stable storage ([`mark`]): then it stays for the next
//! attempt of its job ([`partials`]), and goes with the job's end or by the janitor.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::BlobError;
use super::digests::{Computed, Running};
use super::disk::{self, Disk};
use crate::domain::digest::{Algorithm, Digest};
use crate::domain::version::Version;

mod mark;
mod partials;

pub use mark::{Mark, Tally};
pub use partials::{Partial, staged_name};

/// Bytes of a file's beginning that tell what it is, before its end has come.
pub const HEAD_BYTES: usize = 4 * 1024;
/// Longest name of a staged file, in characters.
const NAME_LIMIT: usize = 128;
/// What the name of a staged file ends with, of its checkpoint, and of a checkpoint that is being
/// written; the sweep touches no other file.
const PART: &str = ".part";
const MARK: &str = ".mark";
const FRESH: &str = ".mark-new";
/// Published files keep this mode: the owner may write, the group may read.
const FILE_MODE: u32 = 0o640;

/// Whole files that are synced at once. A disk takes several times as many syncs side by side as one
/// after the other, but no more from more threads than this (performance.md §2).
const SYNCS: usize = 16;

/// The directory of staged files.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
    disk: Disk,
    aside: Aside,
    syncs: Arc<Semaphore>,
}

/// Where file calls run that take their time.
#[derive(Clone, Copy, Debug)]
enum Aside {
    /// On the runtime's threads for that.
    Threads,
    /// On the caller's thread, so that one order of calls gives one order of ends.
    Here,
}

impl Spool {
    /// Opens the spool and makes its directory if need be, durable in its parent.
    ///
    /// # Errors
    /// When the directory cannot be made or synced.
    pub async fn open(dir: PathBuf) -> Result<Self, BlobError> {
        Self::open_with(dir, Aside::Threads).await
    }

    /// As [`Spool::open`], with no other thread at work: for simulations, which have one.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub async fn open_on_one_thread(dir: PathBuf) -> Result<Self, BlobError> {
        Self::open_with(dir, Aside::Here).await
    }

    async fn open_with(dir: PathBuf, aside: Aside) -> Result<Self, BlobError> {
        let syncs = Arc::new(Semaphore::new(SYNCS));
        let spool = Self { directory: dir, disk: Disk::default(), aside, syncs };
        let opened = spool.clone();
        let make = move || opened.disk.make_directories(&opened.directory);
        aside.run("open the staging directory", make).await?;
        Ok(spool)
    }

    /// A new staged file. `name` is `[0-9a-z-]+` and unique to the attempt.
    ///
    /// `expected` bytes, where the origin announced them, are only compared with the free space,
    /// so that a hopeless transfer fails at once. They are not reserved: an origin could announce
    /// terabytes to many transfers at no cost and lock everybody else out.
    ///
    /// Opens a file on the calling thread, as [`StagedWriter::write`] does.
    ///
    /// # Errors
    /// [`BlobError::Full`] when `expected` does not fit; [`BlobError::BadName`]; or when the file
    /// cannot be made, for instance because one of that name is there.
    pub fn create(&self, name: &str, expected: Option<u64>) -> Result<StagedWriter, BlobError> {
        let valid = (1..=NAME_LIMIT).contains(&name.len())
            && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-'));
        if !valid {
            return Err(BlobError::BadName(name.to_owned()));
        }
        if expected.is_some_and(|bytes| self.free_bytes().is_ok_and(|free| free < bytes)) {
            return Err(BlobError::Full);
        }
        let path = self.path(name, PART);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|e| BlobError::io("make a staged file", e))?;
        // Nobody can hold a file that is new. Where files cannot be locked, none is ever continued.
        drop(file.try_lock());
        let lodging = Lodging { path, file: Some(file), kept: false, aside: self.aside };
        Ok(StagedWriter::new(lodging, self, Received::new(Running::new())))
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.directory.join(format!("{name}{suffix}"))
    }

    /// Bytes that can still be written here.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub fn free_bytes(&self) -> Result<u64, BlobError> {
        disk::free_bytes(&self.directory)
            .map_err(|e| BlobError::io("ask for the free space of the staging directory", e))
    }

    #[cfg(test)]
    pub(super) fn trace(&self) -> &super::disk::tracing_for_tests::Trace {
        &self.disk.trace
    }
}

/// Runs file calls where they block nobody's executor.
pub(super) async fn blocking<T, F>(action: &'static str, work: F) -> Result<T, BlobError>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| BlobError::io(action, e)),
        Err(gone) => Err(BlobError::Io { action, source: io::Error::other(gone) }),
    }
}

impl Aside {
    async fn run<T, F>(self, action: &'static str, work: F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        match self {
            Self::Threads => blocking(action, work).await,
            Self::Here => work().map_err(|e| BlobError::io(action, e)),
        }
    }
}

/// A file that goes when its owner goes, or stays for the next attempt.
struct Lodging {
    path: PathBuf,
    /// `None` once the file has been given away and is no longer ours to remove.
    file: Option<File>,
    /// A checkpoint covers its bytes: it stays when its owner goes.
    kept: bool,
    aside: Aside,
}

impl Lodging {
    fn beside(&self, suffix: &str) -> PathBuf {
        self.path.with_extension(&suffix[1..])
    }
}

/// Removes a file and its checkpoint when dropped. A closure that owns it removes them also when
/// the runtime drops the closure instead of running it.
struct Eviction(Lodging);

impl Drop for Eviction {
    fn drop(&mut self) {
        for path in [self.0.beside(FRESH), self.0.beside(MARK), self.0.path.clone()] {
            if let Err(error) = mark::remove_if_there(&path) {
                tracing::warn!(%error, "cannot remove a staged file; the janitor will");
            }
        }
        // The last handle to an unlinked file frees its blocks, which takes a while for a big one.
        drop(self.0.file.take());
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        let Some(file) = self.file.take().filter(|_| !self.kept) else { return };
        let (path, aside) = (std::mem::take(&mut self.path), self.aside);
        let eviction = Eviction(Self { path, file: Some(file), kept: false, aside });
        match (aside, tokio::runtime::Handle::try_current()) {
            (Aside::Threads, Ok(runtime)) => {
                drop(runtime.spawn_blocking(move || drop(eviction)));
            }
            (Aside::Threads, Err(_)) | (Aside::Here, _) => drop(eviction),
        }
    }
}

/// What is known of the bytes received so far.
struct Received {
    written: u64,
    digests: Running,
}

impl Received {
    fn new(digests: Running) -> Self {
        Self { written: 0, digests }
    }

    fn absorb(&mut self, bytes: &[u8]) {
        self.digests.update(bytes);
        self.written += bytes.len() as u64;
    }

    fn mark(&self, version: Version, tally: Tally) -> Mark {
        let (sha256, crc64) = (self.digests.sha256_with(b""), self.digests.crc64_with(b""));
        Mark { offset: self.written, sha256, crc64: Some(crc64), version, tally }
    }
}

/// Takes the bytes of one transfer. Dropping it removes its file, unless there is a checkpoint.
pub struct StagedWriter {
    lodging: Lodging,
    disk: Disk,
    syncs: Arc<Semaphore>,
    received: Received,
    /// A write or a sync has failed: nothing of the file can be trusted.
    failed: bool,
    /// What the last checkpoint said beside its bytes, and its work while it lasts.
    noted: Option<(Version, Tally)>,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl StagedWriter {
    fn new(lodging: Lodging, spool: &Spool, received: Received) -> Self {
        let (disk, syncs) = (spool.disk.clone(), Arc::clone(&spool.syncs));
        Self { lodging, disk, syncs, received, failed: false, noted: None, under_way: None }
    }

    /// Carries on the digests `asked` for, CRC-64, and SHA-256 while there are at most `sha256_max`
    /// bytes; no other. A new writer has SHA-256 and CRC-64, one that [`Spool::take_up`] gave has
    /// all of them; once there are bytes none begins, because it would be wrong.
    pub fn carry(&mut self, asked: &[Algorithm], sha256_max: u64) {
        self.received.digests.carry(asked, sha256_max);
    }

    /// Appends bytes and carries the digests on.
    ///
    /// Writes on the calling thread, unbuffered. Transfers have a runtime of their own, and a hand-
    /// over to another thread costs more than the write itself (ADR 0004: 1.6 times the
    /// CPU); give it pieces of 64 KiB and more where they come that big.
    ///
    /// # Errors
    /// [`BlobError::Full`] or the disk's refusal. The writer is of no use afterwards.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        const ACTION: &str = "write a staged file";
        let usable = self.lodging.file.as_mut().filter(|_| !self.failed);
        let Some(file) = usable else {
            return Err(BlobError::Io {
                action: ACTION,
                source: io::Error::other("an earlier write to it failed"),
            });
        };
        if let Err(e) = file.write_all(bytes) {
            self.distrust();
            return Err(BlobError::io(ACTION, e));
        }
        self.received.absorb(bytes);
        Ok(())
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.received.written
    }

    /// The first bytes so far, at most [`HEAD_BYTES`], read again: a transfer that waits for the next
    /// ones holds none of them.
    ///
    /// # Errors
    /// The disk's refusal.
    pub fn head(&self) -> Result<Vec<u8>, BlobError> {
        let wanted = usize::try_from(self.received.written).unwrap_or(HEAD_BYTES);
        let mut head = vec![0; wanted.min(HEAD_BYTES)];
        if let Some(file) = &self.lodging.file {
            let read = file.read_exact_at(&mut head, 0);
            read.map_err(|e| BlobError::io("read a staged file", e))?;
        }
        Ok(head)
    }

    /// Begins a checkpoint of what was written until now, beside the executor; the transfer goes on
    /// meanwhile. While an earlier one is under way this does nothing: a slow disk has fewer.
    ///
    /// # Errors
    /// When an earlier checkpoint failed. Nothing of the file is trusted any more.
    pub fn checkpoint(&mut self, version: &Version, tally: Tally) -> Result<(), BlobError> {
        if let Some(under_way) = &mut self.under_way {
            let Some(done) = under_way.now_or_never() else { return Ok(()) };
            self.under_way = None;
            self.settled(done.unwrap_or_else(|gone| Err(io::Error::other(gone))))?;
        }
        let Some(file) = self.lodging.file.as_ref().filter(|_| !self.failed) else { return Ok(()) };
        let file = file.try_clone().map_err(|e| BlobError::io(CHECKPOINT, e))?;
        let mark = self.received.mark(version.clone(), tally);
        let (disk, path) = (self.disk.clone(), self.lodging.path.clone());
        let (fresh, place) = (self.lodging.beside(FRESH), self.lodging.beside(MARK));
        self.noted = Some((version.clone(), tally));
        let work = move || {
            disk.sync_file(&file, &path)?;
            mark.replace(&disk, &fresh, &place)
        };
        match self.lodging.aside {
            Aside::Threads => self.under_way = Some(tokio::task::spawn_blocking(work)),
            Aside::Here => self.settled(work())?,
        }
        Ok(())
    }

    fn settled(&mut self, result: io::Result<()>) -> Result<(), BlobError> {
        match result {
            Ok(()) => self.lodging.kept = true,
            Err(e) => {
                self.distrust();
                return Err(BlobError::io(CHECKPOINT, e));
            }
        }
        Ok(())
    }

    /// File, digests and disk may not agree any more: the file goes with its owner.
    fn distrust(&mut self) {
        self.failed = true;
        self.lodging.kept = false;
    }

    /// Waits for the checkpoint that is under way, if any.
    async fn settle(&mut self) -> Result<(), BlobError> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let done = under_way.await;
        self.settled(done.unwrap_or_else(|gone| Err(io::Error::other(gone))))
    }

    /// Leaves the file with all that was received for the next attempt, and gives up its lock.
    ///
    /// # Errors
    /// When its bytes cannot be put on stable storage; then the file is gone.
    pub async fn park(mut self, version: &Version, tally: Tally) -> Result<(), BlobError> {
        self.settle().await?;
        if self.failed || self.received.written == 0 {
            return self.discard().await;
        }
        let mark = self.received.mark(version.clone(), tally);
        self.lodging.kept = false;
        let Self { mut lodging, disk, .. } = self;
        let aside = lodging.aside;
        let work = move || {
            if let Some(file) = &lodging.file {
                disk.sync_file(file, &lodging.path)?;
            }
            mark.replace(&disk, &lodging.beside(FRESH), &lodging.beside(MARK))?;
            lodging.kept = true;
            drop(lodging);
            Ok(())
        };
        aside.run(CHECKPOINT, work).await
    }

    /// Removes the file and its checkpoint, and returns when they are gone.
    ///
    /// # Errors
    /// When the removal could not be run; the janitor does it then.
    pub async fn discard(mut self) -> Result<(), BlobError> {
        // Its result does not matter any more, but it must not write after the removal.
        drop(self.settle().await);
        let Self { mut lodging, .. } = self;
        lodging.kept = false;
        let file = lodging.file.take();
        let (path, aside) = (std::mem::take(&mut lodging.path), lodging.aside);
        let eviction = Eviction(Lodging { path, file, kept: true, aside });
        let work = move || {
            drop(eviction);
            Ok(())
        };
        aside.run("remove a staged file", work).await
    }

    /// Puts the file on stable storage. Syncing happens off the async threads. Where there is a
    /// checkpoint, it is brought up to the end, so that also the steps that follow can be repeated
    /// without the origin's bytes being fetched again.
    ///
    /// # Errors
    /// When syncing fails, the file is gone: after a failed sync nothing of it can be trusted.
    pub async fn finish(mut self) -> Result<Staged, BlobError> {
        const ACTION: &str = "put a staged file on stable storage";
        self.settle().await?;
        let written = self.received.written;
        let noted = self.noted.take().filter(|_| self.lodging.kept);
        let mark = noted.map(|(version, tally)| {
            self.received.mark(Version { total: Some(written), ..version }, tally)
        });
        self.lodging.kept = false;
        let Self { mut lodging, disk, syncs, received, failed, .. } = self;
        // Held by the work itself, which goes on when nobody waits for it any more.
        let place = syncs.acquire_owned().await.ok();
        let aside = lodging.aside;
        let work = move || {
            let _place = place;
            let Some(file) = lodging.file.as_ref().filter(|_| !failed) else {
                return Err(io::Error::other("a write to it failed"));
            };
            disk.sync_file(file, &lodging.path)?;
            let found = file.metadata()?.len();
            if let Some(mark) = mark.filter(|mark| mark.offset == found) {
                mark.replace(&disk, &lodging.beside(FRESH), &lodging.beside(MARK))?;
                lodging.kept = true;
            }
            Ok((lodging, found))
        };
        let (lodging, found) = aside.run(ACTION, work).await?;
        if found != written {
            return Err(BlobError::WrongSize { expected: written, found });
        }
        Ok(Staged { lodging, size: written, digests: received.digests.finish() })
    }
}

const CHECKPOINT: &str = "make a checkpoint";

impl fmt::Debug for StagedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedWriter({}, {} bytes)", self.lodging.path.display(), self.written())
    }
}

/// A whole file on stable storage, not yet published. Dropping it removes the file, unless there is
/// a checkpoint.
pub struct Staged {
    lodging: Lodging,
    size: u64,
    digests: Computed,
}

impl Staged {
    pub fn path(&self) -> &Path {
        &self.lodging.path
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256, lower-case hex, where it was computed.
    pub fn sha256(&self) -> Option<String> {
        self.digests.sha256.map(hex::encode)
    }

    /// CRC-64/XZ, the one that OSS computes.
    pub fn crc64(&self) -> u64 {
        self.digests.crc64
    }

    /// MD5, lower-case hex, where it was computed.
    pub fn md5(&self) -> Option<String> {
        self.digests.md5.map(hex::encode)
    }

    /// One of the digests; `None` when it was not asked for (see [`StagedWriter::carry`]).
    pub fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        self.digests.get(algorithm)
    }

    /// Whether bytes that have these digests are the staged ones, as far as digests can tell: CRC-64
    /// is known of both, and whatever else is must agree too.
    pub(super) fn agrees_with(&self, found: &Computed) -> bool {
        let agree = |algorithm| match (found.get(algorithm), self.digest(algorithm)) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (None, _) | (_, None) => algorithm != Algorithm::Crc64,
        };
        Algorithm::ALL.into_iter().all(agree)
    }

    /// The bytes lie elsewhere now: the file goes, and its checkpoint.
    pub(super) fn remove(mut self) {
        self.lodging.kept = false;
    }

    /// The file has been moved to a place of its own and is no longer ours to remove.
    pub(super) fn give_away(mut self) {
        if self.lodging.kept {
            drop(mark::remove_if_there(&self.lodging.beside(MARK)));
        }
        self.lodging.file = None;
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Staged({}, {} bytes)", self.lodging.path.display(), self.size)
    }
}

/// Waits until a file is gone: removal runs beside the executor.
#[cfg(test)]
pub(super) async fn until_gone(path: &Path) {
    let gone = async {
        while path.exists() {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, gone).await.expect("the file goes");
}

#[cfg(test)]
mod tests;
