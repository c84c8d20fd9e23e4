//! Transfers that outlive their attempt: what was received survives a dying origin, a killed or
//! stopped server and a restart, is never mixed with bytes of another object, and does not pile up.

pub mod origin;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use haulage::door::random;
use serde_json::Value;

use crate::flow::play_path;
use crate::harness::process::Process;
use crate::harness::{Client, SOON, Server, count_from, until};
use origin::{Answer, Asked, Ranged, object, size};

const MIB: usize = 1 << 20;
/// An object of these tests, and where its first transfer is interrupted.
pub const SIZE: usize = 700_000;
pub const HALF: usize = 400_000;

/// Transfers at once in the campaign.
const AT_ONCE: usize = 8;

/// Between two attempts, for good.
const LATER: &str =
    "HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

pub fn start(dir: &Path, adjust: impl FnOnce(&mut Command)) -> Process {
    Process::start_with(dir, |command| {
        command
            .env("HAULAGE_CHECKPOINT_BYTES", "64KiB")
            .env("HAULAGE_BACKOFF", "20ms")
            .env("HAULAGE_BACKOFF_MAX", "100ms")
            .env("HAULAGE_RESCUES", "1000")
            .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0,GetPlayInfo=0")
            // Without ffprobe, whose start takes longer than all else in a job of this size.
            .env("PATH", "");
        adjust(command);
    })
}

pub fn spool(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("spool")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub fn marks(dir: &Path) -> usize {
    spool(dir).iter().filter(|path| path.extension().is_some_and(|e| e == "mark")).count()
}

pub async fn until_empty(dir: &Path) {
    until("the spool is empty", SOON, || async { spool(dir).is_empty().then_some(()) }).await;
}

pub async fn progress(client: &Client, job: &str) -> (u64, u64) {
    let params = [("JobIds", job), ("IncludeProgress", "true")];
    let reply = client.call("GetURLUploadInfos", &params).await.ok();
    let progress = &reply["URLUploadInfoList"][0]["Progress"];
    let number = |name: &str| match &progress[name] {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_u64().unwrap_or(0),
    };
    (number("BytesReceived"), number("BytesTotal"))
}

pub async fn metric(client: &Client, name: &str) -> u64 {
    let page = client.get("/metrics", &[]).await.text().to_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("haulage_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

/// The stored bytes of a job that succeeded.
pub async fn stored(client: &Client, info: &Value) -> Vec<u8> {
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    let media = info["MediaId"].as_str().unwrap();
    let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    client.get(&play_path(&url), &[]).await.body
}

/// Cut off at `HALF` first, then whole.
fn once_cut(asked: &Asked) -> Answer {
    let cut = if asked.nth == 0 { HALF } else { usize::MAX };
    Answer { cut, ..Answer::whole() }
}

/// Cut off at `HALF` first, then busy for an hour, then whole.
fn waiting(asked: &Asked) -> Answer {
    Answer { instead: (asked.nth == 1).then_some(LATER), ..once_cut(asked) }
}

/// A job that waits for its next attempt with `HALF` bytes received.
async fn parked(dir: &Path, origin: &Ranged) -> (Process, String) {
    let server = start(dir, |_| {});
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    until("the job waits", SOON, || async {
        let waits = metric(&client, "jobs_waiting").await == 1;
        (waits && origin.asked().len() == 2).then_some(())
    })
    .await;
    (server, jobs.into_iter().next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_dies_in_the_middle_is_asked_for_the_rest_alone() {
    let origin = Ranged::start(once_cut).await;
    let server = Server::start().await;
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    let info = client.terminal(&jobs[0]).await;
    let asked = origin.asked();
    let whole = object(&asked[0].path, 1);
    assert!(stored(&client, &info).await == whole, "the stored bytes are the origin's");
    let from: Vec<_> = asked.iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(HALF)]);
    assert_eq!(origin.sent(), whole.len() as u64, "no byte was sent twice");
    assert_eq!(metric(&client, "resumed_transfers_total").await, 1);
    assert_eq!(metric(&client, "resumed_bytes_total").await, HALF as u64);
    assert_eq!(metric(&client, "received_bytes_total").await, whole.len() as u64);
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_goes_on_from_where_a_killed_server_had_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let gate = |asked: &Asked| if asked.nth == 0 { HALF } else { HALF + 100_000 };
    let origin = Ranged::start(move |asked| Answer { gate: gate(asked), ..Answer::whole() }).await;
    let server = start(dir.path(), |_| {});
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    until("all that was sent has come", SOON, || async {
        (progress(&client, &jobs[0]).await.0 == HALF as u64 && marks(dir.path()) == 1).then_some(())
    })
    .await;
    server.kill();

    let server = start(dir.path(), |_| {});
    let client = server.client();
    let total = size(&origin.asked()[0].path) as u64;
    until("progress shows old and new bytes", SOON, || async {
        (progress(&client, &jobs[0]).await == (HALF as u64 + 100_000, total)).then_some(())
    })
    .await;
    let from = origin.asked()[1].from.unwrap();
    assert!((64 << 10..=HALF).contains(&from), "{from}");
    origin.open_gate();
    let info = client.terminal(&jobs[0]).await;
    assert!(stored(&client, &info).await == object(&origin.asked()[0].path, 1));
    until_empty(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_stop_keeps_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let gate = |asked: &Asked| if asked.nth == 0 { HALF } else { usize::MAX };
    let origin = Ranged::start(move |asked| Answer { gate: gate(asked), ..Answer::whole() }).await;
    let server = start(dir.path(), |c| {
        c.env("HAULAGE_DRAIN", "50ms").env("HAULAGE_CHECKPOINT_BYTES", "1GiB");
    });
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    until("all that was sent has come", SOON, || async {
        (progress(&client, &jobs[0]).await.0 == HALF as u64).then_some(())
    })
    .await;
    assert_eq!(server.terminate(), Some(0));
    let server = start(dir.path(), |_| {});
    let info = server.client().terminal(&jobs[0]).await;
    assert!(stored(&server.client(), &info).await == object(&origin.asked()[0].path, 1));
    assert_eq!(origin.asked()[1].from, Some(HALF));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changed_between_two_attempts_is_fetched_anew() {
    let origin = Ranged::start(|asked| {
        let version = if asked.nth == 0 { 1 } else { 2 };
        Answer { version, ..once_cut(asked) }
    })
    .await;
    let server = Server::start().await;
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    let info = client.terminal(&jobs[0]).await;
    let asked = origin.asked();
    assert!(stored(&client, &info).await == object(&asked[0].path, 2), "version 2, and no mix");
    assert_eq!(asked.len(), 2, "the whole answer to the request for the rest is used");
    assert_eq!(asked[1].from, Some(HALF));
    assert_eq!(metric(&client, "resumed_transfers_total").await, 0);
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_move_on_do_not_use_up_the_budget_of_attempts() {
    let step = MIB + 100_000;
    let origin = Ranged::start(move |asked| {
        let cut = asked.from.unwrap_or(0) + step;
        Answer { cut, ..Answer::whole() }
    })
    .await;
    let server = Server::start_with(|c| {
        c.attempts = 2;
        c.backoff = Duration::from_millis(10);
    })
    .await;
    let client = server.client();
    let jobs = client.submit(&[origin.url(5 * MIB, "v")]).await;
    let info = client.terminal(&jobs[0]).await;
    let whole = object(&origin.asked()[0].path, 1);
    assert!(stored(&client, &info).await == whole);
    assert_eq!(origin.asked().len(), whole.len().div_ceil(step));
    assert_eq!(origin.sent(), whole.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_gives_a_little_each_time_does_not_get_more_attempts() {
    let origin = Ranged::start(|asked| {
        let cut = asked.from.unwrap_or(0) + 20_000;
        Answer { cut, ..Answer::whole() }
    })
    .await;
    let server = Server::start_with(|c| {
        c.attempts = 3;
        c.backoff = Duration::from_millis(10);
    })
    .await;
    let client = server.client();
    let jobs = client.submit(&[origin.url(SIZE, "v")]).await;
    let info = client.terminal(&jobs[0]).await;
    assert_eq!(info["ErrorCode"], "URLInvalidError.Truncated", "{info}");
    let from: Vec<_> = origin.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(20_000), Some(40_000)]);
    until_empty(server.dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_costs_bytes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Ranged::start(|asked| {
        let first = asked.nth == 0;
        Answer { gate: if first { HALF } else { usize::MAX }, ..Answer::whole() }
    })
    .await;
    let server = start(dir.path(), |_| {});
    let jobs = server.client().submit(&[origin.url(SIZE, "v")]).await;
    until("there is a checkpoint", SOON, || async { (marks(dir.path()) == 1).then_some(()) }).await;
    server.kill();
    for path in spool(dir.path()) {
        if path.extension().is_some_and(|e| e == "mark") {
            let text = std::fs::read(&path).unwrap();
            std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        }
    }
    let server = start(dir.path(), |_| {});
    let client = server.client();
    let info = client.terminal(&jobs[0]).await;
    assert!(stored(&client, &info).await == object(&origin.asked()[0].path, 1));
    assert_eq!(origin.asked()[1].from, None);
    let log = server.log();
    assert!(log.contains("a checkpoint is of no use") && !log.contains("panicked"), "{log}");
    until_empty(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_bytes_of_waiting_jobs_and_sweeps_those_of_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Ranged::start(waiting).await;
    let (server, _) = parked(dir.path(), &origin).await;
    assert_eq!(server.terminate(), Some(0));
    let kept = spool(dir.path());
    assert_eq!(kept.len(), 2, "a file and its checkpoint: {kept:?}");
    // An unknown job's file, a live job's file without a checkpoint, a checkpoint without a file,
    // one that was being written, and a file that is not ours.
    let live = kept[0].file_stem().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
    let names = [
        "0000000000000001-1.part".to_owned(),
        format!("{live}-77.part"),
        format!("{live}-78.mark"),
    ];
    for name in names.iter().map(String::as_str).chain(["x.mark-new", "README"]) {
        std::fs::write(dir.path().join("spool").join(name), b"x").unwrap();
    }
    let server = start(dir.path(), |_| {});
    let mut left = spool(dir.path());
    left.retain(|path| !path.ends_with("README"));
    left.sort();
    let mut expected = kept;
    expected.sort();
    assert_eq!(left, expected);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_the_bytes_of_waiting_jobs_are_dropped_and_the_jobs_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Ranged::start(waiting).await;
    let (server, job) = parked(dir.path(), &origin).await;
    assert_eq!(server.terminate(), Some(0));
    let server = start(dir.path(), |c| {
        c.env("HAULAGE_PARTIAL_BYTES", "1KiB");
    });
    assert_eq!(spool(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(server.client().status(&job).await, "PROCESSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_several_connections_is_whole_and_goes_on_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let large = 40 * MIB;
    // The last pieces wait, so that the kill comes in the middle.
    let origin = Ranged::start(move |asked| {
        // The first answer is slow, as one connection of a limited origin is.
        let pause = Duration::from_millis(if asked.nth == 0 { 2 } else { 0 });
        Answer { gate: 30 * MIB, pause, ..Answer::whole() }
    })
    .await;
    let serve = || {
        start(dir.path(), |c| {
            c.env("HAULAGE_PARALLEL_RANGES", "4")
                .env("HAULAGE_PARALLEL_FROM", "1MiB")
                .env("HAULAGE_CHECKPOINT_BYTES", "1MiB");
        })
    };
    let server = serve();
    let client = server.client();
    let jobs = client.submit(&[origin.url(large, "v")]).await;
    until("most of it has come", SOON, || async {
        (progress(&client, &jobs[0]).await.0 >= (24 * MIB) as u64 && marks(dir.path()) == 1)
            .then_some(())
    })
    .await;
    server.kill();
    let before = origin.asked().len();
    let server = serve();
    origin.open_gate();
    let client = server.client();
    let info = client.terminal(&jobs[0]).await;
    let asked = origin.asked();
    let whole = object(&asked[0].path, 1);
    assert!(stored(&client, &info).await == whole, "the stored bytes are the origin's");
    let pieces = asked[..before].iter().filter(|asked| asked.last.is_some()).count();
    assert!(pieces >= 4, "{pieces} pieces were asked for");
    let from = asked[before].from.expect("it goes on");
    assert!(from >= 20 * MIB, "{from}: the pieces in order were kept");
    until_empty(dir.path()).await;
}

/// Many transfers at once, from an origin that dies at random places, by a server that is killed at
/// random moments. At the end every one of them has its bytes, hardly any of them fetched twice.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_outlive_random_kills_of_worker_and_origin() {
    let wanted = count_from("HAULAGE_TEST_TRANSFERS", 30);
    let queue = Duration::from_secs(wanted as u64);
    // About one for each transfer: so many run at once.
    let kills = wanted / AT_ONCE + 1;
    let dir = tempfile::tempdir().unwrap();
    let origin = Ranged::start(|asked| {
        let dies = random::fraction() < 0.3;
        #[expect(clippy::cast_possible_truncation, reason = "a place within the object")]
        let cut = (random::fraction() * size(&asked.path) as f64) as usize;
        let cut = if dies { asked.from.unwrap_or(0) + cut } else { usize::MAX };
        Answer { cut, pause: Duration::from_millis(2), ..Answer::whole() }
    })
    .await;
    let serve = || {
        start(dir.path(), |c| {
            c.env("HAULAGE_TRANSFERS", AT_ONCE.to_string())
                .env("HAULAGE_PER_HOST", AT_ONCE.to_string())
                .env("HAULAGE_ATTEMPTS", "50")
                .env("HAULAGE_LOG", "warn");
        })
    };
    let (mut server, mut killed) = (serve(), 0);
    let mut jobs = Vec::new();
    let urls: Vec<String> = (0..wanted)
        .map(|n| origin.url(MIB + (n * 79_190) % (2 * MIB), &format!("film-{n}")))
        .collect();
    for batch in urls.chunks(20) {
        jobs.extend(server.client().submit(batch).await);
    }
    for _ in 0..kills {
        if !until_under_way(&server.client()).await {
            break;
        }
        // The moment of the kill is what is varied; the time itself is not awaited for anything.
        tokio::time::sleep(Duration::from_millis(300).mul_f64(random::fraction())).await;
        server.kill();
        server = serve();
        killed += 1;
    }
    let client = server.client();
    let paths: Vec<String> = urls
        .iter()
        .map(|url| url.split_once(&origin.at.to_string()).unwrap().1.to_owned())
        .collect();
    for (job, path) in jobs.iter().zip(&paths) {
        // Whoever was interrupted goes to the end of the queue.
        let info = until("the job is final", SOON * 4 + queue, || async {
            let info = client.info(job).await;
            let status = info["Status"].as_str().unwrap();
            (status == "SUCCESS" || status.ends_with("FAIL")).then_some(info.clone())
        })
        .await;
        assert!(stored(&client, &info).await == object(path, 1), "{path} has other bytes");
    }
    let (sent, all) = (origin.sent(), paths.iter().map(|path| size(path) as u64).sum::<u64>());
    let resumed = origin.asked().iter().filter(|asked| asked.from.is_some()).count();
    #[expect(clippy::cast_precision_loss, reason = "a ratio to print")]
    let ratio = sent as f64 / all as f64;
    eprintln!(
        "{wanted} transfers, {killed} kills, {} requests, {resumed} for a rest: {sent} bytes sent for {all} ({ratio:.3})",
        origin.asked().len()
    );
    assert!(ratio < 1.2, "{ratio} times the bytes");
    assert!(killed > 0 && resumed > killed, "{killed} kills, and {resumed} transfers went on");
    server.kill();
    let server = serve();
    until("nothing is orphaned", SOON, || async {
        let objects = objects(&dir.path().join("objects"));
        (spool(dir.path()).is_empty() && objects == wanted).then_some(())
    })
    .await;
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Waits until this server has received so much that its transfers stand in the middle of their
/// files; `false` when all have ended.
async fn until_under_way(client: &Client) -> bool {
    until("transfers are under way", SOON, || async {
        if metric(client, "received_bytes_total").await >= (AT_ONCE * MIB / 4) as u64 {
            return Some(true);
        }
        let mut left = 0;
        for state in ["pending", "running", "waiting", "awaiting_url"] {
            left += metric(client, &format!("jobs_{state}")).await;
        }
        (left == 0).then_some(false)
    })
    .await
}

fn objects(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => objects(&entry.path()),
            Ok(_) => 1,
            Err(_) => 0,
        })
        .sum()
}
