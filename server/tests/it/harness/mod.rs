//! What the tests stand on: a server in this process or as a process of its own, an origin, and a
//! signing client that can also be made to misbehave.

pub mod ledger;
pub mod mounts;
pub mod origin;
#[path = "../../../src/store/postgres/tests/cluster.rs"]
pub mod postgres;
pub mod process;
#[expect(dead_code, reason = "the unit tests of blob::s3 use the rest")]
pub mod s3;
pub mod seeded;
pub mod strace;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use haulage::config::Config;
use haulage::door::random;
use haulage::run::serve::{self, Node};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::envelope::Format;
use wire::sign::client::{Moment, Signed, Signer};

/// The key every test server starts with.
pub const KEY_ID: &str = "testkeyid";
pub const SECRET: &str = "testsecret";

#[expect(clippy::disallowed_methods, reason = "tests own their tasks")]
pub fn spawn<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}

/// Waits until `condition` holds; fails after `limit`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < end, "waited {limit:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port on loopback for a server that goes away and comes back: none that the kernel gives to
/// others in between (it gives those from 32768 up), and given to one caller of this process.
pub fn lasting_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = 16_000 + u16::from_be_bytes(random::bytes()) % 16_000;
        let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free && GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// A limit for conditions that normally hold within a second.
pub const SOON: Duration = Duration::from_secs(30);

/// A server in this process.
#[derive(Debug)]
pub struct Server {
    node: Node,
    dir: TempDir,
    config: Config,
}

/// A configuration for tests on loopback.
pub fn config(dir: &std::path::Path) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: dir.to_owned(),
        access_key_id: Some(KEY_ID.to_owned()),
        access_key_secret: Some(SECRET.to_owned()),
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        backoff: Duration::from_millis(50),
        min_free: 0,
        ..Config::default()
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        adjust(&mut config);
        let node = serve::start_as(config.clone(), process::BINARY.into()).await.unwrap();
        Self { node, dir, config }
    }

    /// Stops in order and starts again on the same data.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    pub async fn restart_with(mut self, adjust: impl FnOnce(&mut Config)) -> Self {
        self.node.stop().drain();
        self.node.wait().await;
        adjust(&mut self.config);
        let node = serve::start_as(self.config.clone(), process::BINARY.into()).await.unwrap();
        Self { node, dir: self.dir, config: self.config }
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn client(&self) -> Client {
        Client::new(self.node.address(), KEY_ID, SECRET)
    }

    /// A client of another account, made for it.
    pub async fn other_account(&self, name: &str) -> Client {
        let vault = haulage::door::vault::Vault::open(self.dir()).unwrap();
        let store = self.node.store();
        let now = haulage::door::Clock::System.now();
        let account = store.account_create(name, false, now).await.unwrap().unwrap();
        let key = haulage::run::first_key::generate();
        let added = haulage::run::first_key::add(store.as_ref(), &vault, &account, &key, now).await;
        assert!(added.unwrap());
        Client::new(self.node.address(), &key.access_key_id, &key.access_key_secret)
    }
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn code(&self) -> String {
        self.json()["Code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}

/// Signs and sends requests.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    pub key_id: String,
    pub secret: String,
}

impl Client {
    pub fn new(address: SocketAddr, key_id: &str, secret: &str) -> Self {
        Self { address, key_id: key_id.to_owned(), secret: secret.to_owned() }
    }

    pub fn signer(&self) -> Signer<'_> {
        Signer {
            access_key_id: &self.key_id,
            access_key_secret: &self.secret,
            security_token: None,
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A V3 request, signed now.
    pub fn signed(&self, action: &str, params: &[(&str, &str)]) -> Signed {
        let nonce = random::alphanumeric(24);
        let at = Moment { unix_seconds: now(), nonce: &nonce };
        self.signer().v3(&self.host(), action, &owned(params), at)
    }

    /// A V1 request, signed now.
    pub fn signed_v1(
        &self,
        method: &'static str,
        action: &str,
        params: &[(&str, &str)],
        format: Format,
    ) -> Signed {
        let nonce = random::alphanumeric(24);
        let at = Moment { unix_seconds: now(), nonce: &nonce };
        self.signer().v1(method, action, &owned(params), format, at)
    }

    pub async fn call(&self, action: &str, params: &[(&str, &str)]) -> Answer {
        self.send(&self.signed(action, params)).await
    }

    pub async fn send(&self, signed: &Signed) -> Answer {
        self.try_send(signed).await.expect("the server answers")
    }

    /// `None` when there is no server, or it goes without an answer.
    pub async fn try_send(&self, signed: &Signed) -> Option<Answer> {
        let mut head = format!("{} {} HTTP/1.1\r\n", signed.method, signed.path_and_query);
        let mut has_host = false;
        for (name, value) in &signed.headers {
            has_host |= name.eq_ignore_ascii_case("host");
            head += &format!("{name}: {value}\r\n");
        }
        if !has_host {
            head += &format!("host: {}\r\n", self.address);
        }
        head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", signed.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&signed.body);
        raw(self.address, &bytes).await
    }

    /// A plain GET.
    pub async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", target, headers).await
    }

    pub async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "connection: close\r\n\r\n";
        raw(self.address, head.as_bytes()).await.expect("the server answers")
    }

    /// Submits URLs and returns the job ids.
    pub async fn submit(&self, urls: &[String]) -> Vec<String> {
        let list = url_list(urls);
        let reply = self.call("UploadMediaByURL", &[("UploadURLs", &list)]).await.ok();
        reply["UploadJobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["JobId"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What GetURLUploadInfos says of one job.
    pub async fn info(&self, job_id: &str) -> Value {
        let reply = self.call("GetURLUploadInfos", &[("JobIds", job_id)]).await.ok();
        reply["URLUploadInfoList"][0].clone()
    }

    pub async fn status(&self, job_id: &str) -> String {
        self.info(job_id).await["Status"].as_str().unwrap_or("(none)").to_owned()
    }

    /// Waits until a job is final and returns its record.
    pub async fn terminal(&self, job_id: &str) -> Value {
        until("the job is final", SOON * 2, || async {
            let info = self.info(job_id).await;
            let status = info["Status"].as_str().unwrap_or_default().to_owned();
            let is_final = status == "SUCCESS"
                || status == "CANCELED"
                || status == "DOWNLOAD_FAIL"
                || status == "UPLOAD_FAIL";
            is_final.then_some(info)
        })
        .await
    }
}

/// Sends raw bytes on a connection of their own and reads the answer; `None` when the server
/// closed without one.
#[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut all = Vec::new();
    // A reset after the answer is the server's way to refuse a body it did not read.
    let mut buffer = vec![0u8; 64 * 1024];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..n]);
    }
    parse(&all)
}

fn parse(all: &[u8]) -> Option<Answer> {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    let body = &all[end + 4..];
    let body = if chunked { dechunk(body) } else { body.to_vec() };
    Some(Answer { status, headers, body })
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        if size == 0 {
            break;
        }
        body = &body[end + 2 + size + 2..];
    }
    out
}

/// URLs as a list parameter: each percent-encoded, joined by commas.
pub fn url_list(urls: &[String]) -> String {
    urls.iter().map(|url| wire::percent::encode(url)).collect::<Vec<_>>().join(",")
}

pub fn owned(params: &[(&str, &str)]) -> Vec<(String, String)> {
    params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

pub fn now() -> i64 {
    haulage::door::Clock::System.now().seconds()
}

/// Whether a test may be left out here because the machine lacks something. In CI nothing may.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the product")]
pub fn must_run_all() -> bool {
    std::env::var("HAULAGE_TEST_REQUIRE_ALL").is_ok_and(|v| v == "1")
}

/// A number that a long campaign overrides.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the product")]
pub fn count_from(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Says loudly that a test does not run here; fails where nothing may be left out.
pub fn skip(test: &str, why: &str) {
    assert!(!must_run_all(), "{test} must run here, but {why}");
    say_skipped(&format!("{test}: {why}"));
}

/// Writes past the capture of the test runner, which hides what a passing test prints.
pub fn say_skipped(what: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
}
