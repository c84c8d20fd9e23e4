//! http_faults.md through the whole product: API, worker, the real fetcher, store, query, play.
//!
//! Every row has an origin of its own; the rows run at once against three servers that differ in
//! their timers alone. `rows` has the scripts and outcomes, `later` the rows that cannot be played
//! yet. After each row, and at the end for all of them, the corpus's rules G1 to G8 are checked as
//! far as they concern what exists: callbacks (G3) do not.

mod black_hole;
mod chains;
mod circumstances;
mod coded;
mod h2;
mod later;
mod names;
mod netns;
pub mod origin;
mod our_side;
mod rows;
mod singles;
mod sizes;
mod stores;
mod writes;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::flow::play_path;
use crate::harness::process::Process;
use crate::harness::{Client, SOON, spawn, until};
use later::{IN_PART, LATER};
use origin::{FaultOrigin, tls_file};
use rows::{ATTEMPTS, DEADLINE, HASTE, HASTY_ATTEMPTS, MAX_BYTES, On, Outcome, Row};

const CORPUS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/http_faults.md"));
/// In the query of every source; must appear nowhere.
const CANARY: &str = "CANARY0123456789";
/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(250);

/// A server and what is watched about it.
struct Bed {
    process: Process,
    dir: TempDir,
    /// Largest file seen in the staging area, and whether an object was ever seen empty.
    largest_staged: Arc<AtomicU64>,
    empty_object: Arc<AtomicBool>,
}

impl Bed {
    fn start(on: On, trap: SocketAddr, resolver: Option<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        let process = Process::start_with(dir.path(), |c| {
            c.env("HAULAGE_EXTRA_CA", tls_file("root.pem"))
                .env("HAULAGE_EGRESS_ALLOW", "127.0.0.0/8,::1")
                .env("HAULAGE_MAX_BYTES", MAX_BYTES.to_string())
                .env("HAULAGE_ATTEMPTS", ATTEMPTS.to_string())
                .env("HAULAGE_BACKOFF", "20ms")
                .env("HAULAGE_BACKOFF_MAX", "100ms")
                .env("HAULAGE_PER_HOST", "1000")
                .env("HAULAGE_TRANSFERS", "200")
                .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0,GetPlayInfo=0");
            // A proxy would resolve names itself; the fetcher never looks at these.
            for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
                c.env(name, format!("http://{trap}"));
            }
            if let Some(resolver) = resolver {
                c.env("HAULAGE_RESOLVERS", resolver.to_string());
            }
            match on {
                On::Patient => {}
                On::Hasty => {
                    c.env("HAULAGE_ATTEMPTS", HASTY_ATTEMPTS.to_string());
                    for name in ["CONNECT_TIMEOUT", "HEADER_TIMEOUT", "STALL_TIMEOUT"] {
                        c.env(format!("HAULAGE_{name}"), ms(HASTE));
                    }
                }
                On::Brief => {
                    c.env("HAULAGE_JOB_DEADLINE", ms(DEADLINE));
                }
            }
        });
        let (largest_staged, empty_object) = (Arc::default(), Arc::default());
        watch(dir.path(), &largest_staged, &empty_object);
        Self { process, dir, largest_staged, empty_object }
    }

    fn client(&self) -> Client {
        self.process.client()
    }

    fn objects(&self) -> Vec<PathBuf> {
        files(&self.dir.path().join("objects"))
    }

    fn staged(&self) -> Vec<PathBuf> {
        files(&self.dir.path().join("spool"))
    }
}

/// Looks at the server's disk for as long as the test runs.
fn watch(dir: &Path, largest: &Arc<AtomicU64>, empty: &Arc<AtomicBool>) {
    let (dir, largest, empty) = (dir.to_owned(), largest.clone(), empty.clone());
    spawn(async move {
        while dir.exists() {
            let size = |path: &PathBuf| path.metadata().map(|m| m.len()).ok();
            for path in files(&dir.join("spool")) {
                largest.fetch_max(size(&path).unwrap_or(0), Ordering::Relaxed);
            }
            if files(&dir.join("objects")).iter().any(|path| size(path) == Some(0)) {
                empty.store(true, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
    found
}

/// A listener that must never hear anything.
async fn trap() -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let (at, sprung) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let witness = sprung.clone();
    spawn(async move {
        let _ = listener.accept().await;
        witness.store(true, Ordering::Relaxed);
    });
    (at, sprung)
}

/// Submits one source; returns its job.
async fn submit(client: &Client, url: &str, file_size: Option<usize>) -> String {
    let mut metadata = json!({"SourceURL": url, "Title": "a row"});
    if let Some(size) = file_size {
        metadata["FileSize"] = json!(size.to_string());
    }
    let metadata = json!([metadata]).to_string();
    let list = wire::percent::encode(url);
    let params = [("UploadURLs", list.as_str()), ("UploadMetadatas", &metadata)];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned()
}

/// As `Client::terminal`, for many jobs at once: looks less often.
async fn settled(client: &Client, job: &str) -> Option<Value> {
    let end = Instant::now() + 2 * SOON;
    while Instant::now() < end {
        let info = client.info(job).await;
        let status = info["Status"].as_str().unwrap_or_default();
        if ["SUCCESS", "CANCELED", "DOWNLOAD_FAIL", "UPLOAD_FAIL"].contains(&status) {
            return Some(info);
        }
        tokio::time::sleep(LOOK).await;
    }
    None
}

/// What came of a row.
struct Played {
    number: u32,
    what: String,
    on: On,
    job: String,
    path: String,
    info: Value,
    problems: Vec<String>,
}

async fn play(index: usize, row: Row, client: Client) -> Played {
    let origin = FaultOrigin::start(row.speech.clone(), row.script.clone()).await;
    let scheme = if row.https { "https" } else { "http" };
    let path = format!("/row-{}-{index}/{}", row.number, row.file);
    let port = origin.at.port();
    let url = format!("{scheme}://{}:{port}{path}?Signature={CANARY}", row.host);
    let job = submit(&client, &url, row.file_size).await;
    let info = settled(&client, &job).await.unwrap_or_default();
    let mut problems = judge(&row, &info, &origin);
    if let Outcome::Stored(bytes) = &row.outcome
        && info["Status"] == "SUCCESS"
    {
        problems.extend(compare(&client, &info, bytes).await);
    }
    Played { number: row.number, what: row.what, on: row.on, job, path, info, problems }
}

/// Outcome, class, requests; and of the rules G6, G7 and what a request may say.
fn judge(row: &Row, info: &Value, origin: &FaultOrigin) -> Vec<String> {
    let mut problems = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            problems.push(what);
        }
    };
    let message = info["ErrorMessage"].as_str().unwrap_or_default();
    match &row.outcome {
        Outcome::Stored(bytes) => {
            must(info["Status"] == "SUCCESS", format!("not stored: {info}"));
            must(info["FileSize"] == json!(bytes.len().to_string()), format!("size: {info}"));
        }
        Outcome::Failed(code) => {
            must(info["Status"] == "DOWNLOAD_FAIL", format!("status: {info}"));
            must(info["ErrorCode"] == *code, format!("{code} expected: {info}"));
            must(info.get("MediaId").is_none(), format!("a medium of a failed job: {info}"));
            must(message.ends_with('.') && message.contains(row.says), format!("{info}"));
        }
    }
    let tells = [CANARY, "secret words", "Sign in", "tail of"];
    must(!tells.iter().any(|t| message.contains(t)), format!("the message tells {message}"));
    let seen = origin.seen.lock().unwrap();
    must(row.asked.contains(&seen.asked()), format!("{} requests", seen.asked()));
    if let [(_, first), (_, second), ..] = seen.heads.as_slice() {
        must(*second - *first >= row.gap, format!("asked again after {:?}", *second - *first));
    }
    for (head, _) in &seen.heads {
        let head = head.to_ascii_lowercase();
        let said = ["\r\nauthorization:", "\r\ncookie:", "\r\nreferer:"];
        must(!said.iter().any(|name| head.contains(name)), format!("a request said {head}"));
        must(head.contains("\r\naccept-encoding: identity\r\n"), format!("it did not say {head}"));
        // A rest is asked for under a strong condition alone.
        let strong = head.contains("\r\nif-range: \"");
        must(head.contains("\r\nrange: bytes=") == strong, format!("half a condition: {head}"));
    }
    let asks = |n: usize| seen.heads.get(n).and_then(|(head, _)| range_of(head));
    must(asks(0).is_none(), "the first request asked for a rest".to_owned());
    // Rows 49 and 50: what has no strong validator is never continued.
    must(![49, 50].contains(&row.number) || asks(1).is_none(), "asked for a rest".to_owned());
    if let Some(rest) = row.rest {
        must(asks(1) == Some(rest), format!("asked for the rest from {:?}", asks(1)));
    }
    problems
}

/// The first byte that a request asks for, if it asks for a rest.
fn range_of(head: &str) -> Option<usize> {
    let value = head.split("\r\nrange: bytes=").nth(1)?;
    value.split('-').next()?.parse().ok()
}

/// G2: the stored bytes are the origin's; and they are never served as a page.
async fn compare(client: &Client, info: &Value, bytes: &[u8]) -> Vec<String> {
    let mut problems = Vec::new();
    let media = info["MediaId"].as_str().unwrap_or_default();
    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await;
    if play.status != 200 {
        return vec![format!("no play info: {}", play.text())];
    }
    let url = play.json()["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    let stored = client.get(&play_path(&url), &[]).await;
    if stored.status != 200 || stored.body != bytes {
        problems.push(format!("{}: {} bytes, others", stored.status, stored.body.len()));
    }
    let kind = stored.header("content-type").unwrap_or_default().to_owned();
    if kind.contains("html") || stored.header("x-content-type-options") != Some("nosniff") {
        problems.push(format!("served as {kind}, or without nosniff"));
    }
    problems
}

/// Rules that concern a whole server once all its rows have ended.
async fn check_server(bed: &Bed, played: &mut [&mut Played]) {
    let client = bed.client();
    // G5: every slot is free again, and every timer of a transfer gone.
    until("the transfers are off the board", SOON, || async {
        let metrics = client.get("/metrics", &[]).await.text().to_owned();
        metrics.lines().any(|line| line == "haulage_transfers 0").then_some(())
    })
    .await;
    // G4: nothing staged is left.
    assert_eq!(bed.staged(), Vec::<PathBuf>::new());
    // G1: as many objects as successes; none of them was ever seen empty.
    let stored = played.iter().filter(|p| p.info["Status"] == "SUCCESS").count();
    assert_eq!(bed.objects().len(), stored, "objects: {:?}", bed.objects());
    assert!(!bed.empty_object.load(Ordering::Relaxed), "an empty placeholder was visible");
    // Rows 38 to 40: never more on the disk than the limit.
    let largest = bed.largest_staged.load(Ordering::Relaxed);
    assert!(largest <= MAX_BYTES as u64, "{largest} bytes were staged");
    let log = bed.process.log();
    assert!(!log.contains(CANARY), "G6: a query is in the log");
    for row in played {
        // G3: a final state stays.
        let now = client.info(&row.job).await;
        if now != row.info {
            row.problems.push(format!("G3: {} became {now}", row.info));
        }
        // G6: the log says of which source, and why.
        let code = match row.info["Status"].as_str() {
            Some("SUCCESS") => "stored",
            _ => row.info["ErrorCode"].as_str().unwrap_or_default(),
        };
        if !log.lines().any(|line| line.contains(&row.path) && line.contains(code)) {
            row.problems.push(format!("G6: no log line has {} and {code}", row.path));
        }
    }
}

/// The numbers of the corpus's table.
fn numbers() -> BTreeSet<u32> {
    let first_cell = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    CORPUS.lines().filter_map(first_cell).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_corpus_ends_its_job_as_the_corpus_says() {
    let (trap, sprung) = trap().await;
    let [patient, hasty, brief] =
        [On::Patient, On::Hasty, On::Brief].map(|on| Bed::start(on, trap, None));
    let bed = |on| match on {
        On::Patient => &patient,
        On::Hasty => &hasty,
        On::Brief => &brief,
    };
    let tasks: Vec<_> = rows::all(trap)
        .into_iter()
        .enumerate()
        .map(|(index, row)| {
            let client = bed(row.on).client();
            spawn(play(index, row, client))
        })
        .collect();
    let mut played = Vec::new();
    for task in tasks {
        played.push(task.await.unwrap());
    }
    for on in [On::Patient, On::Hasty, On::Brief] {
        let mut of_it: Vec<_> = played.iter_mut().filter(|p| p.on == on).collect();
        check_server(bed(on), &mut of_it).await;
    }
    assert!(!sprung.load(Ordering::Relaxed), "G8: something connected where nobody sent it");
    report(&played);
}

/// The rows that are tests of their own, in other files.
fn of_their_own() -> impl Iterator<Item = u32> {
    let here = [&singles::NUMBERS[..], &sizes::NUMBERS, &h2::NUMBERS, &black_hole::NUMBERS];
    let ours = [&coded::NUMBERS[..], &our_side::NUMBERS, &stores::NUMBERS, &crate::disk::NUMBERS];
    here.into_iter().chain(ours).flatten().copied()
}

fn report(played: &[Played]) {
    let mut by_number: BTreeMap<u32, bool> = of_their_own().map(|number| (number, true)).collect();
    let mut wrong = Vec::new();
    for row in played {
        *by_number.entry(row.number).or_insert(true) &= row.problems.is_empty();
        for problem in &row.problems {
            wrong.push(format!("row {} ({}): {problem}", row.number, row.what));
        }
    }
    println!(
        "http_faults: {} rows: {} passed ({} variants), {} failed, {} not applicable yet",
        numbers().len(),
        by_number.values().filter(|passed| **passed).count(),
        played.len() + of_their_own().count(),
        by_number.values().filter(|passed| !**passed).count(),
        LATER.len(),
    );
    for (number, why) in LATER {
        println!("  row {number} later: {why}");
    }
    for (number, what) in IN_PART {
        println!("  row {number} in part, without: {what}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let later: BTreeSet<u32> = LATER.iter().map(|(number, _)| *number).collect();
    let played: BTreeSet<u32> = by_number.into_keys().collect();
    assert!(later.is_disjoint(&played), "a row that is played is not for later");
    assert_eq!(&later | &played, numbers(), "each row is played or listed with its reason");
}
