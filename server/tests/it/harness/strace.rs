//! Holds a running server's system calls in the hand: from outside, as the kernel would make them
//! fail, wait or never come back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::Process;
use super::{SOON, until};

/// Whether this machine has `strace`.
pub fn is_there() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|ran| ran.status.success())
}

/// A tracer; the server goes on without it when it is dropped.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    log: PathBuf,
}

impl Tracer {
    /// Attaches to every thread of `server`, with further arguments for strace. What it sees goes
    /// to `log`, with the paths of files.
    pub async fn attach(server: &Process, log: &Path, args: &[&str]) -> Self {
        let pid = server.pid().to_string();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-o"]).arg(log).args(args).args(["-p", &pid]);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let tasks = format!("/proc/{pid}/task");
        until("every thread is traced", SOON, || async {
            let mut threads = std::fs::read_dir(&tasks).unwrap().flatten();
            let traced = |status: String| !status.contains("TracerPid:\t0\n");
            let read = |path: PathBuf| std::fs::read_to_string(path.join("status"));
            // A thread that ended meanwhile has no status.
            threads.all(|task| read(task.path()).map_or(true, traced)).then_some(())
        })
        .await;
        Self { child, log: log.to_owned() }
    }

    /// The lines written so far.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
