//! The real binary, configured for measuring, and signed requests to it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use haulage::domain::id::{IdCodec, Key};
use haulage::domain::job::JobRequest;
use haulage::domain::source_url::SourceUrl;
use haulage::domain::time::Timestamp;
use haulage::door::{Clock, random, vault::Vault};
use haulage::store::sqlite::SqliteStore;
use haulage::store::{NewJob, Store, Submission, SubmitLimits, Submitted};
use serde_json::Value;
use wire::sign::client::{Moment, Signer};

const KEY_ID: &str = "benchkeyid";
const SECRET: &str = "benchsecret";

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(data_dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_haulage"))
            .arg("serve")
            .env("HAULAGE_DATA_DIR", data_dir)
            .env("HAULAGE_LISTEN", "127.0.0.1:0")
            .env("HAULAGE_ACCESS_KEY_ID", KEY_ID)
            .env("HAULAGE_ACCESS_KEY_SECRET", SECRET)
            .env("HAULAGE_EGRESS_ALLOW", "127.0.0.0/8")
            .env("HAULAGE_LOG", "warn")
            .env("HAULAGE_CALLS_PER_DAY", "0")
            .env(
                "HAULAGE_QPS",
                "UploadMediaByURL=0,CancelUrlUploadJobs=0,GetURLUploadInfos=0,GetPlayInfo=0",
            )
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bytes of a signed request on a connection that is kept.
    pub fn request(&self, action: &str, params: &[(&str, &str)]) -> Vec<u8> {
        let signer =
            Signer { access_key_id: KEY_ID, access_key_secret: SECRET, security_token: None };
        let params: Vec<(String, String)> =
            params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let nonce = random::alphanumeric(24);
        let at = Moment { unix_seconds: Clock::System.now().seconds(), nonce: &nonce };
        let signed = signer.v3(&self.address.to_string(), action, &params, at);
        let mut head = format!("{} {} HTTP/1.1\r\n", signed.method, signed.path_and_query);
        let mut has_host = false;
        for (name, value) in &signed.headers {
            has_host |= name.eq_ignore_ascii_case("host");
            head += &format!("{name}: {value}\r\n");
        }
        if !has_host {
            head += &format!("host: {}\r\n", self.address);
        }
        head += &format!("content-length: {}\r\n\r\n", signed.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&signed.body);
        bytes
    }

    /// One call, answered.
    pub fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        stream.write_all(&self.request(action, params)).unwrap();
        let mut all = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        loop {
            let n = stream.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..n]);
            if let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n")
                && let Ok(value) = serde_json::from_slice(&all[end + 4..])
            {
                return value;
            }
            assert!(n > 0, "no answer");
        }
    }

    /// The page of metrics.
    pub fn metrics(&self) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Submits one URL and returns its job's id.
    pub fn submit(&self, url: &str) -> String {
        let reply = self.call("UploadMediaByURL", &[("UploadURLs", url)]);
        reply["UploadJobs"][0]["JobId"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Waits for a job's success.
    pub fn wait_success(&self, id: &str) {
        self.wait_success_of(id, "");
    }

    /// Waits for the success of a job of another account; empty means one's own.
    pub fn wait_success_of(&self, id: &str, account: &str) {
        let limit = Instant::now() + Duration::from_secs(300);
        loop {
            let reply = self.call("GetURLUploadInfos", &[("JobIds", id), ("Account", account)]);
            let info = &reply["URLUploadInfoList"][0];
            match info["Status"].as_str() {
                Some("SUCCESS") => return,
                Some(s) if s.ends_with("FAIL") => panic!("{info}"),
                _ => {}
            }
            assert!(Instant::now() < limit, "the job does not end: {info}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills a data directory with pending jobs and returns their ids.
pub async fn fill(data_dir: &Path, jobs: usize) -> Vec<String> {
    // The first start makes the account.
    drop(Server::start(data_dir, &[("HAULAGE_TRANSFERS", "0")]));
    let key = Vault::open(data_dir).unwrap().derive("public ids");
    let codec = IdCodec::new(key[..16].try_into().unwrap());
    let store = SqliteStore::open(&data_dir.join("haulage.db")).await.unwrap();
    let account = store.account_list().await.unwrap()[0].id;
    let mut ids = Vec::with_capacity(jobs);
    while ids.len() < jobs {
        let now = Clock::System.now();
        let batch = (0..1_000.min(jobs - ids.len()))
            .map(|i| NewJob {
                url: SourceUrl::new(format!("http://m.example/{}.mp4", ids.len() + i)),
                request: JobRequest { title: "bench".into(), ..JobRequest::default() },
            })
            .collect();
        let submission = Submission {
            account,
            jobs: batch,
            session: None,
            now,
            deadline: now + Duration::from_secs(86_400),
            limits: SubmitLimits { calls_per_day: 0, pending: 0 },
        };
        match store.job_submit(submission).await.unwrap() {
            Submitted::Accepted(keys) => ids.extend(keys.into_iter().map(|k: Key| codec.job_id(k))),
            other => panic!("{other:?}"),
        }
    }
    store.close().await.unwrap();
    ids
}

/// Makes accounts beside the first, and fills a data directory with pending jobs that are spread
/// over all of them, without going through the verbs. URLs are `prefix` and a number, keys the one
/// returned and those that follow it.
pub async fn fill_pending(data_dir: &Path, more: &[&str], jobs: usize, prefix: &str) -> Key {
    let file = data_dir.join("haulage.db");
    if !file.exists() {
        // The first start makes the first account, an operator.
        drop(Server::start(data_dir, &[("HAULAGE_TRANSFERS", "0")]));
    }
    let store = SqliteStore::open(&file).await.unwrap();
    let now = Clock::System.now();
    for name in more {
        store.account_create(name, false, now).await.unwrap().unwrap();
    }
    let accounts = if more.is_empty() { 1 } else { store.account_list().await.unwrap().len() };
    store.close().await.unwrap();
    let db = rusqlite::Connection::open(&file).unwrap();
    db.pragma_update(None, "synchronous", "OFF").unwrap();
    db.pragma_update(None, "cache_size", -(2 << 20)).unwrap();
    let first = first_key(now);
    let hashes = 2_654_435_761_i64;
    db.execute(
        "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, bytes, created,
            deadline, url_hash, url, request)
        WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
        SELECT ?2 + i, 1 + i % ?3, 0, 0, 0, 0, ?4 + i % 1000, 0, 0, ?4, ?4 + 86400000, i * ?5,
            ?6 || i || '.mp4', '{\"title\":\"bench\",\"extension\":\"mp4\"}'
        FROM n WHERE ?1 > 0",
        rusqlite::params![
            i64::try_from(jobs).unwrap(),
            first.0,
            i64::try_from(accounts).unwrap(),
            now.0 - 3_600_000,
            hashes,
            prefix
        ],
    )
    .unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize").unwrap();
    // So that no measured write has to wait for these.
    std::fs::File::open(file).unwrap().sync_all().unwrap();
    first
}

/// A key as the store would have made it an hour ago.
pub fn first_key(now: Timestamp) -> Key {
    Key((now.0 - 3_600_000 - 1_577_836_800_000) << 21)
}

/// Fills a data directory with jobs of every state but running, of `accounts` accounts and of the
/// last thirty days. Quicker than [`fill`], because it does not go through the verbs.
pub async fn fill_with_history(data_dir: &Path, accounts: usize, jobs: usize) {
    // The first start makes the first account, an operator.
    drop(Server::start(data_dir, &[("HAULAGE_TRANSFERS", "0")]));
    let file = data_dir.join("haulage.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let now = Clock::System.now();
    for n in 1..accounts {
        store.account_create(&format!("account-{n}"), false, now).await.unwrap().unwrap();
    }
    store.close().await.unwrap();
    let db = rusqlite::Connection::open(file).unwrap();
    // Nothing here has to outlive a power cut.
    db.pragma_update(None, "synchronous", "OFF").unwrap();
    db.pragma_update(None, "cache_size", -(256 << 10)).unwrap();
    db.execute_batch("BEGIN; CREATE TEMP TABLE fill (jobs INTEGER, first INTEGER, step INTEGER)")
        .unwrap();
    let month = 30 * 86_400_000;
    let step = (month / i64::try_from(jobs).unwrap()).max(1);
    let first = now.0 - step * i64::try_from(jobs).unwrap();
    let jobs = i64::try_from(jobs).unwrap();
    db.execute("INSERT INTO fill VALUES (?1, ?2, ?3)", [jobs, first, step]).unwrap();
    db.execute_batch(include_str!("million.sql")).unwrap();
    db.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize").unwrap();
}
