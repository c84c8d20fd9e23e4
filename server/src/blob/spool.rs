//! The spool: where the bytes of a transfer land first, always a local file of our own.
//!
//! A staged file has one owner. Dropping the owner removes the file, whatever the reason; what a
//! killed process leaves behind goes with [`Spool::sweep`] at the next start.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::BlobError;
use super::digests::{Computed, Running};
use super::disk::{self, Disk};
use crate::domain::digest::{Algorithm, Digest};

/// Bytes kept from the beginning of a transfer, for sniffing it before its end.
pub const HEAD_BYTES: usize = 4 * 1024;
/// Longest name of a staged file, in characters.
const NAME_LIMIT: usize = 128;
/// What a staged file's name ends with; the sweep touches no other file.
const SUFFIX: &str = ".part";
/// Published files keep this mode: the owner may write, the group may read.
const FILE_MODE: u32 = 0o640;

/// The directory of staged files.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
    disk: Disk,
}

impl Spool {
    /// Opens the spool and makes its directory if need be, durable in its parent.
    ///
    /// # Errors
    /// When the directory cannot be made or synced.
    pub async fn open(dir: PathBuf) -> Result<Self, BlobError> {
        let spool = Self { directory: dir, disk: Disk::default() };
        let opened = spool.clone();
        blocking("open the staging directory", move || {
            opened.disk.make_directories(&opened.directory)
        })
        .await?;
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
        let path = self.directory.join(format!("{name}{SUFFIX}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|e| BlobError::io("make a staged file", e))?;
        Ok(StagedWriter {
            lodging: Lodging { path, file: Some(file) },
            disk: self.disk.clone(),
            head: Vec::new(),
            written: 0,
            digests: Running::new(),
            failed: false,
        })
    }

    /// Removes every staged file whose name `keep` does not want, and returns how many; for the
    /// start of a node, before its first transfer.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not be removed.
    pub async fn sweep(&self, keep: &(dyn Fn(&str) -> bool + Sync)) -> Result<usize, BlobError> {
        const ACTION: &str = "sweep the staging directory";
        let directory = self.directory.clone();
        let mut names = blocking(ACTION, move || staged_names(&directory)).await?;
        names.retain(|name| !keep(name));
        let directory = self.directory.clone();
        blocking(ACTION, move || {
            for name in &names {
                fs::remove_file(directory.join(format!("{name}{SUFFIX}")))?;
            }
            Ok(names.len())
        })
        .await
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

fn staged_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
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

/// A file that goes when its owner goes.
struct Lodging {
    path: PathBuf,
    /// `None` once the file has been given away and is no longer ours to remove.
    file: Option<File>,
}

/// Removes the file when dropped. A closure that owns it removes the file also when the runtime
/// drops the closure instead of running it.
struct Eviction(PathBuf, Option<File>);

impl Drop for Eviction {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot remove a staged file; the next start sweeps it");
        }
        // The last handle to an unlinked file frees its blocks, which takes a while for a big one.
        drop(self.1.take());
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let eviction = Eviction(std::mem::take(&mut self.path), Some(file));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(eviction))),
            Err(_) => drop(eviction),
        }
    }
}

/// Takes the bytes of one transfer. Dropping it removes its file.
pub struct StagedWriter {
    lodging: Lodging,
    disk: Disk,
    head: Vec<u8>,
    written: u64,
    digests: Running,
    /// A write has failed half-way: file and digests no longer agree.
    failed: bool,
}

impl StagedWriter {
    /// Carries more digests on than SHA-256 and CRC-64. To be called before the first byte: once
    /// there are bytes, a digest that begins now would be wrong, and is left out.
    pub fn also(&mut self, algorithms: impl IntoIterator<Item = Algorithm>) {
        if self.written == 0 {
            algorithms.into_iter().for_each(|algorithm| self.digests.add(algorithm));
        }
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
            self.failed = true;
            return Err(BlobError::io(ACTION, e));
        }
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        self.digests.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The first bytes, at most [`HEAD_BYTES`].
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Puts the file on stable storage. Syncing happens off the async threads.
    ///
    /// # Errors
    /// When syncing fails, the file is gone: after a failed sync nothing of it can be trusted.
    pub async fn finish(self) -> Result<Staged, BlobError> {
        const ACTION: &str = "put a staged file on stable storage";
        let Self { lodging, disk, head: _, written, digests, failed } = self;
        let (lodging, found) = blocking(ACTION, move || {
            let Some(file) = lodging.file.as_ref().filter(|_| !failed) else {
                return Err(io::Error::other("a write to it failed"));
            };
            disk.sync_file(file, &lodging.path)?;
            let found = file.metadata()?.len();
            Ok((lodging, found))
        })
        .await?;
        if found != written {
            return Err(BlobError::WrongSize { expected: written, found });
        }
        Ok(Staged { lodging, size: written, digests: digests.finish() })
    }
}

impl fmt::Debug for StagedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedWriter({}, {} bytes)", self.lodging.path.display(), self.written)
    }
}

/// A whole file on stable storage, not yet published. Dropping it removes the file.
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

    /// SHA-256, lower-case hex.
    pub fn sha256(&self) -> String {
        hex::encode(self.digests.sha256)
    }

    /// CRC-64/XZ, the one that OSS computes.
    pub fn crc64(&self) -> u64 {
        self.digests.crc64
    }

    /// MD5, lower-case hex, where it was computed.
    pub fn md5(&self) -> Option<String> {
        self.digests.md5.map(hex::encode)
    }

    /// One of the digests; `None` when it was not asked for (see [`StagedWriter::also`]).
    pub fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        self.digests.get(algorithm)
    }

    /// The file has been moved to a place of its own and is no longer ours to remove.
    pub(super) fn give_away(mut self) {
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
mod tests {
    use super::*;

    async fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().join("a/staging")).await.unwrap();
        (dir, spool)
    }

    #[tokio::test]
    async fn a_staged_file_has_the_bytes_written_and_their_digests() {
        let (_dir, spool) = spool().await;
        let mut writer = spool.create("job-1", Some(9)).unwrap();
        writer.also([Algorithm::Crc32c]);
        writer.write(b"1234").unwrap();
        // Too late for this one: it would lack the first bytes.
        writer.also([Algorithm::Md5]);
        writer.write(b"56789").unwrap();
        assert_eq!((writer.written(), writer.head()), (9, &b"123456789"[..]));
        let staged = writer.finish().await.unwrap();
        assert_eq!(fs::read(staged.path()).unwrap(), b"123456789");
        assert_eq!(staged.size(), 9);
        assert_eq!(
            staged.sha256(),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        // The check value of CRC-64/XZ in the catalogue of parametrised CRC algorithms.
        assert_eq!(staged.crc64(), 0x995d_c9bb_df19_39fa);
        assert_eq!(staged.digest(Algorithm::Crc32c), Some(Digest::Crc32c(0xe306_9283)));
        assert_eq!((staged.digest(Algorithm::Md5), staged.md5()), (None, None));
    }

    #[tokio::test]
    async fn a_staged_file_is_synced_before_it_counts_as_finished() {
        let (_dir, spool) = spool().await;
        spool.trace().take(&spool.directory);
        let mut writer = spool.create("job-1", None).unwrap();
        writer.write(b"bytes").unwrap();
        assert!(spool.trace().take(&spool.directory).is_empty());
        let _staged = writer.finish().await.unwrap();
        assert_eq!(spool.trace().take(&spool.directory), ["sync-file job-1.part"]);
    }

    #[tokio::test]
    async fn after_a_failed_sync_the_file_is_gone() {
        let (_dir, spool) = spool().await;
        let mut writer = spool.create("job-1", None).unwrap();
        writer.write(b"bytes").unwrap();
        let path = writer.lodging.path.clone();
        spool.trace().fail("sync-file", rustix::io::Errno::IO);
        assert!(writer.finish().await.is_err());
        until_gone(&path).await;
    }

    #[tokio::test]
    async fn an_abandoned_transfer_leaves_no_file() {
        let (_dir, spool) = spool().await;
        let mut writer = spool.create("job-1", None).unwrap();
        writer.write(b"half of").unwrap();
        let unfinished = writer.lodging.path.clone();
        assert!(unfinished.exists());
        drop(writer);
        until_gone(&unfinished).await;

        let mut writer = spool.create("job-2", None).unwrap();
        writer.write(b"all of it").unwrap();
        let staged = writer.finish().await.unwrap();
        let finished = staged.path().to_owned();
        drop(staged);
        until_gone(&finished).await;
    }

    #[test]
    fn an_abandoned_transfer_leaves_no_file_even_without_a_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_dir, spool) = runtime.block_on(spool());
        let writer = spool.create("job-1", None).unwrap();
        let path = writer.lodging.path.clone();
        drop(runtime);
        drop(writer);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_sweep_removes_what_nobody_claims_and_no_foreign_file() {
        let (_dir, spool) = spool().await;
        for name in ["old-1", "old-2", "mine-3"] {
            fs::write(spool.directory.join(format!("{name}.part")), b"x").unwrap();
        }
        fs::write(spool.directory.join("README"), b"x").unwrap();
        assert_eq!(spool.sweep(&|name| name.starts_with("mine")).await.unwrap(), 2);
        assert_eq!(staged_names(&spool.directory).unwrap(), ["mine-3"]);
        assert!(spool.directory.join("README").exists());
    }

    #[tokio::test]
    async fn a_name_is_used_once_and_never_a_path() {
        let (_dir, spool) = spool().await;
        let _first = spool.create("job-1", None).unwrap();
        assert!(matches!(spool.create("job-1", None), Err(BlobError::Io { .. })));
        for bad in ["", "..", "a/b", "A", "a.b", "a b", &"a".repeat(NAME_LIMIT + 1)] {
            assert!(matches!(spool.create(bad, None), Err(BlobError::BadName(_))), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_transfer_that_cannot_fit_is_refused_before_its_first_byte() {
        let (_dir, spool) = spool().await;
        assert!(matches!(spool.create("job-1", Some(u64::MAX)), Err(BlobError::Full)));
        assert!(staged_names(&spool.directory).unwrap().is_empty());
        assert!(spool.create("job-1", Some(1)).is_ok());
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full_and_the_transfer_cannot_go_on() {
        // The device that is always full stands in for the staged file.
        let (_dir, spool) = spool().await;
        let mut writer = spool.create("job-1", None).unwrap();
        writer.lodging.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert!(matches!(writer.write(b"x"), Err(BlobError::Full)));
        assert_eq!(writer.written(), 0);
        // Space again: but what the failed write left behind, nobody knows.
        let path = writer.lodging.path.clone();
        writer.lodging.file = Some(OpenOptions::new().write(true).open(path).unwrap());
        assert!(writer.write(b"x").is_err());
        assert!(writer.finish().await.is_err());
    }
}
