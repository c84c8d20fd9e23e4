//! The few system calls that durability rests on, in one place.
//!
//! Their order is a promise (design: write, sync the file, rename without replacing, sync the
//! directory), and no test can see a missing sync from outside. So in tests each call is noted,
//! and any of them can be told to fail.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// Directories of ours: the owner may write, the group may read.
const DIRECTORY_MODE: u32 = 0o750;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) trace: tracing_for_tests::Trace,
}

impl Disk {
    /// Puts a file's bytes and size on stable storage. After a failure nothing of the file may be
    /// trusted, and trying again proves nothing (the kernel may have dropped the pages).
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.note("sync-file", path)?;
        file.sync_all()
    }

    /// Puts the names in a directory on stable storage.
    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.note("sync-directory", path)?;
        File::open(path)?.sync_all()
    }

    /// Moves a file to a name that must be free; [`io::ErrorKind::AlreadyExists`] when it is not.
    pub(super) fn rename_to_free(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename", to)?;
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems (NFS, old FUSE) cannot; a hard link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            done => Ok(done?),
        }
    }

    /// Puts a file in the place of another in one step: whoever looks sees the one or the other.
    pub(super) fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename-over", to)?;
        Ok(rustix::fs::rename(from, to)?)
    }

    /// Makes `path` and what is missing above it, each durable in its parent.
    pub(super) fn make_directories(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.make_directories(parent)?;
        self.make_directory(path, parent)
    }

    /// Makes one directory durable in its parent, whether or not it is there already: another
    /// thread may have made it a moment ago and not yet synced the parent.
    pub(super) fn make_directory(&self, path: &Path, parent: &Path) -> io::Result<()> {
        self.note("make-directory", path)?;
        match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.sync_directory(parent)
    }

    #[cfg(not(test))]
    fn note(&self, _step: &'static str, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn note(&self, step: &'static str, path: &Path) -> io::Result<()> {
        self.trace.note(step, path)
    }
}

/// Bytes that an unprivileged user can still write to the file system of `path`.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
pub(super) mod tracing_for_tests {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use rustix::io::Errno;

    /// What was done, in order, and what shall fail.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Trace(Arc<Mutex<Steps>>);

    #[derive(Debug, Default)]
    struct Steps {
        done: Vec<(&'static str, PathBuf)>,
        failing: Option<(&'static str, Errno)>,
        held: Option<(&'static str, Held)>,
    }

    /// A step that waits for the test.
    #[derive(Clone, Debug)]
    pub(crate) struct Held {
        met: Arc<Notify>,
        gate: Arc<Mutex<Option<std::sync::mpsc::Receiver<()>>>>,
        key: std::sync::mpsc::Sender<()>,
    }

    impl Held {
        /// Ready when a thread waits at the step.
        pub(crate) async fn met(&self) {
            self.met.notified().await;
        }

        /// Lets the thread go on, and all after it.
        pub(crate) fn let_go(&self) {
            self.key.send(()).unwrap();
        }

        fn wait(&self) {
            let gate = self.gate.lock().unwrap().take();
            if let Some(gate) = gate {
                self.met.notify_one();
                gate.recv().unwrap();
            }
        }
    }

    impl Trace {
        pub(super) fn note(&self, step: &'static str, path: &Path) -> io::Result<()> {
            let mut inner = self.0.lock().unwrap();
            inner.done.push((step, path.to_owned()));
            if let Some((held, at)) = inner.held.clone()
                && held == step
            {
                drop(inner);
                at.wait();
                inner = self.0.lock().unwrap();
            }
            match inner.failing {
                Some((failing, errno)) if failing == step => Err(errno.into()),
                _ => Ok(()),
            }
        }

        /// Makes every later `step` fail.
        pub(crate) fn fail(&self, step: &'static str, errno: Errno) {
            self.0.lock().unwrap().failing = Some((step, errno));
        }

        /// Makes the next `step` wait.
        pub(crate) fn hold(&self, step: &'static str) -> Held {
            let (key, gate) = std::sync::mpsc::channel();
            let gate = Arc::new(Mutex::new(Some(gate)));
            let held = Held { met: Arc::default(), gate, key };
            self.0.lock().unwrap().held = Some((step, held.clone()));
            held
        }

        /// The steps since the last call, with paths below `root`.
        pub(crate) fn take(&self, root: &Path) -> Vec<String> {
            let steps = std::mem::take(&mut self.0.lock().unwrap().done);
            let shown = |path: &Path| match path.strip_prefix(root) {
                Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
                Ok(below) => below.display().to_string(),
                Err(_) => "(outside)".to_owned(),
            };
            steps.into_iter().map(|(step, path)| format!("{step} {}", shown(&path))).collect()
        }
    }
}
