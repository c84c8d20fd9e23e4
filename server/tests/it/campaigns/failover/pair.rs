//! Two PostgreSQL servers, one of which follows the other, and what befalls them: the first dies, or
//! hangs and wakes up as if nothing had happened; the second is promoted; the first comes back as
//! the one that follows (`pg_rewind`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::harness::lasting_port;
use crate::harness::postgres::NOBODY;

pub const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// A limit for what normally takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings that both servers share. `pg_rewind` copies the file from one to the other, so what
/// differs between them is on their command lines.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
hot_standby = on
wal_log_hints = on
wal_keep_size = 64MB
min_wal_size = 8MB
max_wal_size = 64MB
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
# Servers are killed in this campaign, not machines.
fsync = off
";

/// Whether a commit is answered only when the other server has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standby {
    Synchronous,
    /// May be behind when it takes over: what must not be sold as safe.
    Asynchronous,
}

/// One server of the pair.
#[derive(Debug)]
struct Postgres {
    name: &'static str,
    dir: PathBuf,
    port: u16,
    running: Option<Child>,
}

#[derive(Debug)]
pub struct Pair {
    servers: [Postgres; 2],
    primary: usize,
    standby: Standby,
}

/// Whether this machine has what a pair is made of.
pub fn is_there() -> bool {
    Path::new(PROGRAMS).join("pg_rewind").exists()
}

impl Pair {
    /// Makes a primary and a standby that follows it, in a directory of their own.
    pub fn start(dir: &Path, standby: Standby) -> Self {
        std::fs::create_dir(dir).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let server = |name: &'static str| Postgres {
            name,
            dir: dir.join(name),
            port: lasting_port(),
            running: None,
        };
        let mut pair = Self { servers: [server("a"), server("b")], primary: 0, standby };
        let [first, second] = &mut pair.servers;
        run("initdb", |c| {
            c.arg("-D").arg(&first.dir);
            c.args(["-U", "haulage", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
            // Small pieces of the log, because all of it is copied at each rewind.
            c.args(["--no-sync", "--wal-segsize=1"]);
        });
        // Whoever starts as the standby has the name by which the other waits for it.
        let names = match standby {
            Standby::Synchronous => "synchronous_standby_names = 'a, b'\n",
            Standby::Asynchronous => "",
        };
        std::fs::write(first.dir.join("postgresql.conf"), format!("{SETTINGS}{names}")).unwrap();
        first.start();
        let port = first.port.to_string();
        run("pg_basebackup", |c| {
            c.args(["-h", "127.0.0.1", "-p", &port, "-U", "haulage", "-R", "-X", "stream", "-D"]);
            c.arg(&second.dir).args(["--no-sync", "--checkpoint=fast"]);
        });
        second.start();
        pair.wait_until_followed();
        pair
    }

    /// For the nodes: both servers; they find out which one takes writes.
    pub fn url(&self) -> String {
        let [a, b] = self.servers.each_ref().map(|server| server.port);
        format!(
            "postgres://haulage@127.0.0.1:{a},127.0.0.1:{b}/postgres?target_session_attrs=read-write"
        )
    }

    /// Stops the sending of the primary's log: an asynchronous standby falls behind, for a
    /// synchronous one commits wait.
    pub fn hold_back(&self) {
        let sender = self.ask("SELECT pid FROM pg_stat_replication");
        let sender = Pid::from_raw(sender.parse().unwrap()).unwrap();
        kill_process(sender, Signal::STOP).unwrap();
    }

    /// Whether a commit waits for the standby now.
    pub fn has_waiting_commits(&self) -> bool {
        self.ask("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "t"
    }

    /// Ends the waits of commits for the standby, as an operator may who does not know better: the
    /// server answers them with success.
    pub fn cancel_waits(&self) {
        self.ask(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        );
    }

    /// Nodes that listen at the primary.
    pub fn listeners(&self) -> usize {
        let listeners = "SELECT count(*) FROM pg_stat_activity \
            WHERE application_name = 'haulage listener'";
        self.ask(listeners).parse().unwrap_or(0)
    }

    /// The standby is gone, and comes back.
    pub fn kill_standby(&mut self) {
        self.servers[1 - self.primary].kill();
    }

    pub fn restart_standby(&mut self) {
        self.servers[1 - self.primary].start();
        self.wait_until_followed();
    }

    /// SIGKILL for all processes of the primary.
    pub fn kill_primary(&mut self) {
        self.servers[self.primary].kill();
    }

    /// The primary and all its processes stop where they are: connections stay open, nothing is
    /// answered, and new ones are taken by the kernel alone.
    pub fn freeze_primary(&self) {
        self.servers[self.primary].signal(Signal::STOP);
    }

    /// Makes the standby the primary. Whatever the old one is, it is not asked.
    pub fn promote(&mut self) {
        self.primary = 1 - self.primary;
        let dir = &self.servers[self.primary].dir;
        run("pg_ctl", |c| {
            c.arg("-D").arg(dir).args(["-w", "promote"]);
        });
    }

    /// What was the primary before goes on as if it still were: nobody has fenced it.
    pub fn wake_old_primary(&self) {
        self.servers[1 - self.primary].signal(Signal::CONT);
    }

    /// The old primary ends, if it has not, and comes back as the standby. Returns when it follows.
    pub fn rejoin(&mut self) {
        let (old, new) = (1 - self.primary, self.primary);
        self.servers[old].kill();
        // What pg_rewind compares with is written by a checkpoint.
        self.ask("CHECKPOINT");
        let source =
            format!("host=127.0.0.1 port={} user=haulage dbname=postgres", self.servers[new].port);
        run("pg_rewind", |c| {
            c.arg("--target-pgdata").arg(&self.servers[old].dir);
            c.args(["--source-server", &source, "-R", "--no-sync"]);
        });
        self.servers[old].start();
        self.wait_until_followed();
    }

    fn wait_until_followed(&self) {
        let end = Instant::now() + PATIENCE;
        let wanted = match self.standby {
            Standby::Synchronous => "sync",
            Standby::Asynchronous => "async",
        };
        let query = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        while self.ask(query) != wanted {
            let said = || self.servers[1 - self.primary].said();
            assert!(Instant::now() < end, "the standby does not follow: {}", said());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// The one value that a statement gives on the primary; empty while there is none.
    fn ask(&self, statement: &str) -> String {
        let port = self.servers[self.primary].port.to_string();
        let mut psql = as_nobody("psql");
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "haulage", "-d", "postgres", "-qAt"]);
        let said = psql.args(["-c", statement]).output().unwrap();
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }
}

impl Postgres {
    fn start(&mut self) {
        let mut postgres = as_nobody("postgres");
        postgres.arg("-D").arg(&self.dir);
        for setting in [format!("port={}", self.port), format!("cluster_name={}", self.name)] {
            postgres.args(["-c", &setting]);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(postgres.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        let is_ready = || {
            let state = std::fs::read_to_string(self.dir.join("postmaster.pid"));
            state.is_ok_and(|state| state.lines().nth(7).is_some_and(|s| s.trim() == "ready"))
        };
        while !is_ready() {
            assert!(Instant::now() < end, "PostgreSQL does not start: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Sends a signal to all processes of the server.
    fn signal(&self, signal: Signal) {
        let Some(running) = &self.running else { return };
        let master = Pid::from_child(running);
        // Once it stands still it makes no more children.
        kill_process(master, Signal::STOP).unwrap();
        for child in children(master) {
            // One may have ended in between.
            let _ = kill_process(child, signal);
        }
        kill_process(master, signal).unwrap();
    }

    fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        kill_all(Pid::from_child(&running));
        running.wait().unwrap();
        // Whoever starts next must not take the dead one for alive.
        let _ = std::fs::remove_file(self.dir.join("postmaster.pid"));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// SIGKILL for a server and all its processes at once. Returns when the latter are gone: their shared
/// memory must be free before the server can start again.
pub fn kill_all(master: Pid) {
    // Once it stands still it makes no more of them. It may be dead already.
    if kill_process(master, Signal::STOP).is_err() {
        return;
    }
    let children = children(master);
    for child in &children {
        // One may have ended in between.
        let _ = kill_process(*child, Signal::KILL);
    }
    kill_process(master, Signal::KILL).unwrap();
    let end = Instant::now() + PATIENCE;
    while children.iter().any(|child| is_alive(*child)) {
        assert!(Instant::now() < end, "processes of PostgreSQL do not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The state and the parent of a process.
fn status(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before is in parentheses, and may have any character in it.
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn is_alive(pid: Pid) -> bool {
    status(pid.as_raw_nonzero().get()).is_some_and(|(state, _)| !"ZX".contains(state))
}

fn children(of: Pid) -> Vec<Pid> {
    let parent = of.as_raw_nonzero().get();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = all.filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent));
    own.filter_map(Pid::from_raw).collect()
}

/// A program of PostgreSQL's, which refuses to run as root.
fn as_nobody(program: &str) -> Command {
    nobody_runs(&Path::new(PROGRAMS).join(program))
}

/// A program that runs as nobody, when the tests run as root.
pub fn nobody_runs(program: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

fn run(program: &str, arguments: impl FnOnce(&mut Command)) {
    let mut command = as_nobody(program);
    arguments(&mut command);
    let said = command.output().unwrap();
    assert!(said.status.success(), "{program}: {}", String::from_utf8_lossy(&said.stderr));
}
