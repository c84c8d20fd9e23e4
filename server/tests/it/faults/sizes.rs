//! Rows that are about much: a file beyond 32 bits, many slow origins, an origin that is faster than
//! the store.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::origin::{FaultOrigin, Script, Speech, Step, send};
use super::rows::{head, length, whole};
use super::{files, settled, submit};
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::Process;
use crate::harness::strace::{self, Tracer};
use crate::harness::{SOON, Server, count_from, skip, until};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 3] = [36, 82, 83];

const TWO_POW_32: usize = 1 << 32;

/// A size that is counted in 32 bits somewhere would be the sample's, and the sample would do.
#[tokio::test(flavor = "multi_thread")]
async fn row_36_a_size_beyond_32_bits_is_not_taken_for_its_low_half() {
    let announced = TWO_POW_32 + SAMPLE.len();
    let (gate, shut) = watch::channel(false);
    let fields = format!("Content-Type: video/mp4\r\nContent-Length: {announced}\r\n");
    let script: Script =
        Arc::new(move |_, _| vec![head(&fields), send(SAMPLE), Step::Gate(shut.clone())]);
    let origin = FaultOrigin::start(Speech::Http, script).await;
    let server = Server::start_with(|c| c.attempts = 2).await;
    let client = server.client();
    let job = submit(&client, &format!("http://{}/v.mp4", origin.at), None).await;
    let params = [("JobIds", job.as_str()), ("IncludeProgress", "true")];
    let progress = until("all that comes has come", SOON, || async {
        let reply = client.call("GetURLUploadInfos", &params).await.ok();
        let progress = reply["URLUploadInfoList"][0]["Progress"].clone();
        let text = progress.to_string();
        text.contains(&SAMPLE.len().to_string()).then_some(text)
    })
    .await;
    assert!(progress.contains(&announced.to_string()), "{progress}");
    gate.send_replace(true);
    let info = settled(&client, &job).await.unwrap();
    assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{info}");
    assert_eq!(info["ErrorCode"], "URLInvalidError.Truncated", "{info}");
}

/// The long form: all 4 GiB and one byte of it (`HAULAGE_TEST_HUGE=1`), 5 GiB of disk.
#[tokio::test(flavor = "multi_thread")]
async fn row_36_a_file_of_4_gib_and_a_byte_is_stored_whole() {
    if count_from("HAULAGE_TEST_HUGE", 0) == 0 {
        println!("4 GiB take minutes in a build without optimisation: HAULAGE_TEST_HUGE=1 runs it");
        return;
    }
    let size = TWO_POW_32 + 1;
    let filler = size - SAMPLE.len() - 8;
    let origin = Origin::start().await;
    let server = Server::start_with(|c| c.max_bytes = 5 << 30).await;
    let client = server.client();
    let job = client.submit(&[origin.url(&format!("/blob/{filler}/v.mp4"))]).await;
    let info = until("it is stored", Duration::from_secs(1_200), || async {
        let info = client.info(&job[0]).await;
        let status = info["Status"].as_str().unwrap_or_default().to_owned();
        (status == "SUCCESS" || status.ends_with("_FAIL")).then_some(info)
    })
    .await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(info["FileSize"], size.to_string(), "{info}");
    let objects = files(&server.dir().join("objects"));
    assert_eq!(objects.len(), 1);
    let mut object = std::fs::File::open(&objects[0]).unwrap();
    assert_eq!(object.metadata().unwrap().len(), size as u64);
    let mut start = vec![0; SAMPLE.len() + 8];
    object.read_exact(&mut start).unwrap();
    let free = [&u32::try_from(filler + 8).unwrap().to_be_bytes()[..], b"free"].concat();
    assert!(start.starts_with(SAMPLE) && start.ends_with(&free));
    let (mut piece, mut zeros) = (vec![0; 1 << 20], 0);
    loop {
        let n = object.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        assert!(piece[..n].iter().all(|b| *b == 0));
        zeros += n;
    }
    assert_eq!(zeros, filler);
}

/// Transfers that one account may have of the usual 64 in row 82: what is not kept for others.
const ACCOUNT: usize = 56;

#[tokio::test(flavor = "multi_thread")]
async fn row_82_two_hundred_slow_origins_of_one_account_do_not_hold_up_another_one() {
    let script: Script = Arc::new(|_, head| match head.contains("/slow/") {
        true => vec![length(SAMPLE.len()), Step::Dribble(SAMPLE.to_vec(), Duration::from_secs(1))],
        false => whole(),
    });
    // Reached by as many addresses as there are origins: one host is never asked so often.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let origin = FaultOrigin::start_on(listener, Speech::Http, script);
    let port = origin.at.port();
    let server = Server::start_with(|c| {
        c.qps.insert("UploadMediaByURL".into(), 0);
        c.qps.insert("GetURLUploadInfos".into(), 0);
    })
    .await;
    let slow = server.client();
    let other = server.other_account("other").await;
    let urls: Vec<String> =
        (1..=200).map(|n| format!("http://127.0.9.{n}:{port}/slow/v.mp4")).collect();
    let mut jobs = Vec::new();
    for some in urls.chunks(20) {
        jobs.extend(slow.submit(some).await);
    }
    until("as many run as may", SOON, || async { (origin.asked() >= ACCOUNT).then_some(()) }).await;

    for n in 1..=20 {
        let job = other.submit(&[format!("http://127.0.8.{n}:{port}/v.mp4")]).await;
        assert_eq!(other.terminal(&job[0]).await["Status"], "SUCCESS");
    }
    // All that while the slow ones had their share, no more, and none of them came to an end.
    assert_eq!(origin.asked(), ACCOUNT + 20);
    let mut running = 0;
    for job in &jobs {
        let info = slow.info(job).await;
        match info["Status"].as_str() {
            Some("PENDING") => {}
            Some("SUCCESS" | "CANCELED" | "DOWNLOAD_FAIL" | "UPLOAD_FAIL") => panic!("{info}"),
            _ => running += 1,
        }
    }
    assert_eq!(running, ACCOUNT);
}

/// What row 83's origin sends, and how long each write to the disk takes: enough to hold it up.
const FLOOD: usize = 160 << 20;
const SLOW_WRITE: Duration = Duration::from_millis(10);
/// What the row allows.
const MORE_MEMORY_KIB: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn row_83_an_origin_faster_than_the_store_fills_no_memory() {
    let name = "row_83_an_origin_faster_than_the_store_fills_no_memory";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Process::start(dir.path());
    let client = server.client();
    // Whatever a first transfer needs is there from now on.
    let warm = client.submit(&[origin.url("/blob/20000000/warm.mp4")]).await;
    assert_eq!(client.terminal(&warm[0]).await["Status"], "SUCCESS");

    let job = client.submit(&[origin.url(&format!("/blob/{FLOOD}/v.mp4"))]).await;
    let staged = until("the transfer has a file", SOON, || async {
        files(&dir.path().join("spool"))
            .into_iter()
            .find(|f| f.extension().is_some_and(|e| e == "part"))
    })
    .await;
    let delay = format!("inject=write:delay_enter={}", SLOW_WRITE.as_micros());
    let path = staged.to_str().unwrap();
    let log = dir.path().join("strace.log");
    let tracer =
        Tracer::attach(&server, &log, &["-e", "trace=write", "-e", &delay, "-P", path]).await;
    let before = memory_kib(server.pid(), "VmRSS");
    // Forgets the peak so far (proc(5)).
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let info = client.terminal(&job[0]).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    let writes = tracer.lines().len();
    let peak = memory_kib(server.pid(), "VmHWM");
    println!("row 83: {writes} slow writes; {before} KiB before, {peak} KiB at most");
    assert!(writes > 100, "only {writes} writes were slow");
    assert!(peak < before + MORE_MEMORY_KIB, "{before} KiB grew to {peak} KiB");
}

/// A line of /proc/PID/status, in KiB.
pub fn memory_kib(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
