//! Syncs of directories that are shared: whoever moves a file into a directory while a sync of it
//! runs waits for the next one, together with all others who came meanwhile (group commit). Under
//! load a publish costs a fraction of a sync.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BlobError;
use super::disk::Disk;
use super::spool::blocking;

/// Directories under way before those that nobody syncs are forgotten.
const SWEEP_AT: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Together(Arc<Mutex<HashMap<PathBuf, Arc<Turns>>>>);

/// The syncs of one directory, one after the other.
#[derive(Debug, Default)]
struct Turns {
    /// How many have begun. A change that was made while this said n is covered by number n + 1,
    /// and not by n, which may have begun before the change.
    begun: AtomicU64,
    ended: tokio::sync::Mutex<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    /// The last sync that has ended.
    last: u64,
    /// The last one that failed, and how. One that succeeds later proves nothing about it: the
    /// kernel may have dropped what it could not write.
    failed: Option<(u64, Option<i32>)>,
}

impl Together {
    /// Puts the names that are in the directory now on stable storage.
    ///
    /// # Errors
    /// When the sync that would have covered them failed, or one after it.
    pub(super) async fn sync(&self, disk: &Disk, directory: &Path) -> Result<(), BlobError> {
        const ACTION: &str = "put a directory on stable storage";
        let turns = self.turns(directory);
        let mine = turns.begun.load(Ordering::SeqCst) + 1;
        let mut ended = turns.ended.lock().await;
        if ended.last < mine {
            let number = turns.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let (disk, directory) = (disk.clone(), directory.to_owned());
            let synced = blocking(ACTION, move || disk.sync_directory(&directory)).await;
            ended.last = number;
            if let Err(error) = synced {
                ended.failed = Some((number, errno(&error)));
                return Err(error);
            }
            return Ok(());
        }
        match ended.failed {
            Some((number, errno)) if number >= mine => {
                let cause = errno.map_or_else(
                    || io::Error::other("a sync that was shared failed"),
                    io::Error::from_raw_os_error,
                );
                Err(BlobError::io(ACTION, cause))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn turns(&self, directory: &Path) -> Arc<Turns> {
        let mut all = self.lock();
        if let Some(turns) = all.get(directory) {
            return Arc::clone(turns);
        }
        if all.len() >= SWEEP_AT {
            all.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(all.entry(directory.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Turns>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn errno(error: &BlobError) -> Option<i32> {
    match error {
        BlobError::Io { source, .. } => source.raw_os_error(),
        BlobError::Full
        | BlobError::NotThere { .. }
        | BlobError::Taken(_)
        | BlobError::BadName(_)
        | BlobError::WrongSize { .. }
        | BlobError::Refused { .. }
        | BlobError::Failed { .. }
        | BlobError::UnknownLocation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use rustix::io::Errno;

    use super::*;

    #[tokio::test]
    async fn who_comes_while_a_sync_runs_waits_for_the_next_and_all_of_them_share_its_end() {
        for fails in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (disk, together) = (Disk::default(), Together::default());
            let held = disk.trace.hold("sync-directory");
            let first = together.sync(&disk, dir.path());
            tokio::pin!(first);
            assert!(futures_util::poll!(&mut first).is_pending());
            held.met().await;
            // The first runs: it may have begun before the changes of those who come now.
            let others = join_all((0..20).map(|_| together.sync(&disk, dir.path())));
            tokio::pin!(others);
            assert!(futures_util::poll!(&mut others).is_pending());
            if fails {
                disk.trace.fail("sync-directory", Errno::IO);
            }
            held.let_go();
            assert_eq!(first.await.is_err(), fails);
            assert!(others.await.iter().all(|other| other.is_err() == fails));
            assert_eq!(disk.trace.take(dir.path()), ["sync-directory ."; 2]);
            assert_eq!(together.sync(&disk, dir.path()).await.is_err(), fails);
            assert_eq!(disk.trace.take(dir.path()), ["sync-directory ."], "a later one is new");
        }
    }

    #[tokio::test]
    async fn directories_that_nobody_syncs_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, together) = (Disk::default(), Together::default());
        for n in 0..3 * SWEEP_AT {
            let path = dir.path().join(n.to_string());
            std::fs::create_dir(&path).unwrap();
            together.sync(&disk, &path).await.unwrap();
        }
        assert!(together.lock().len() <= SWEEP_AT);
    }
}
