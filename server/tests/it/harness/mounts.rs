//! Mounts that only a test's own programs see: in a mount namespace, which a process keeps alive and
//! which goes with the test, however that ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount namespace.
#[derive(Debug)]
pub struct Mounts {
    /// Ends when the pipe to it does, and the last mounts with it.
    keeper: Child,
}

impl Mounts {
    /// Runs a shell script of mounts in a namespace of its own.
    ///
    /// # Errors
    /// What was said where this machine does not let a process do so.
    pub fn make(script: &str) -> Result<Self, String> {
        let mut unshare = Command::new("unshare");
        // Whoever is not root is so in a namespace, which is enough for a file system in memory.
        unshare.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-rm"] });
        let script = format!("{script} && echo mounted && exec cat");
        unshare.args(["sh", "-c", &script]);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = unshare.spawn().map_err(|e| format!("there is no unshare: {e}"))?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line != "mounted\n" {
            let said = keeper.wait_with_output().unwrap();
            return Err(String::from_utf8_lossy(&said.stderr).into_owned());
        }
        Ok(Self { keeper })
    }

    /// The command that runs `program` inside. It becomes that program: the process is the same.
    pub fn inside(&self, program: &str) -> Command {
        let mut enter = Command::new("nsenter");
        if !rustix::process::geteuid().is_root() {
            enter.args(["-U", "--preserve-credentials"]);
        }
        enter.args(["-m", "-t", &self.keeper.id().to_string(), program]);
        enter
    }

    /// A place inside as seen from here.
    pub fn path(&self, place: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), place.display()))
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
