//! The real binary as a process of its own, for what only a process can show: kills, signals,
//! output.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{Client, KEY_ID, SECRET};

pub const BINARY: &str = env!("CARGO_BIN_EXE_haulage");

#[derive(Debug)]
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

/// The command, with the environment of a test and nothing of the caller's configuration.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAULAGE_") {
            command.env_remove(name);
        }
    }
    command
        .env("HAULAGE_DATA_DIR", data_dir)
        .env("HAULAGE_LISTEN", "127.0.0.1:0")
        .env("HAULAGE_ACCESS_KEY_ID", KEY_ID)
        .env("HAULAGE_ACCESS_KEY_SECRET", SECRET)
        .env("HAULAGE_EGRESS_ALLOW", "127.0.0.0/8")
        .env("HAULAGE_MIN_FREE", "0")
        .env("HAULAGE_BACKOFF", "50ms");
    command
}

/// What a command sets in its environment.
pub fn environment(command: Command) -> Vec<(OsString, OsString)> {
    let set = command.get_envs();
    set.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

impl Process {
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, |_| {})
    }

    /// Starts `haulage serve` and waits for its ready line.
    pub fn start_with(data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        Self::start_as(data_dir, data_dir, |mut command| {
            command.arg("serve");
            adjust(&mut command);
            command
        })
    }

    /// As [`Process::start_with`], with the log elsewhere than the data, and a command of the
    /// test's own making that becomes the server.
    pub fn start_as(
        log_dir: &Path,
        data_dir: &Path,
        make: impl FnOnce(Command) -> Command,
    ) -> Self {
        Self::try_start_as(log_dir, data_dir, make).unwrap_or_else(|said| panic!("{said}"))
    }

    /// As [`Process::start_as`]; what a server that did not start said at last.
    pub fn try_start_as(
        log_dir: &Path,
        data_dir: &Path,
        make: impl FnOnce(Command) -> Command,
    ) -> Result<Self, String> {
        let log = log_dir.join("stderr.log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = make(command(data_dir));
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("haulage ready on http://") else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("no ready line but {line:?}; {}", tail(&log)));
        };
        let address = address.parse().unwrap();
        Ok(Self { child, address, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn client(&self) -> Client {
        Client::new(self.address, KEY_ID, SECRET)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end; returns the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Everything written to stderr so far, by all processes on this data directory.
    pub fn log(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
