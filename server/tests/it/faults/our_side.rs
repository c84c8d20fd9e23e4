//! Rows in which it is our own side that fails: the disk refuses, the process dies between two
//! commits, is told to stop, or gets no memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::sync::watch;

use super::origin::{FaultOrigin, Script, Speech, Step, send};
use super::rows::{length, whole};
use super::sizes::memory_kib;
use super::{compare, files, range_of, settled, submit};
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::{BINARY, Process, environment};
use crate::harness::strace::{self, Tracer};
use crate::harness::{Client, SOON, count_from, skip, until};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 4] = [116, 120, 121, 124];

/// The file of the only transfer under way, once it has `bytes`.
async fn staged(dir: &Path, bytes: usize) -> PathBuf {
    until("the bytes are staged", SOON, || async {
        let long = |file: &PathBuf| file.metadata().is_ok_and(|m| m.len() >= bytes as u64);
        files(&dir.join("spool")).into_iter().find(long)
    })
    .await
}

/// Sends half, waits, and sends the rest; later requests get all at once.
fn halved(gate: watch::Receiver<bool>) -> Script {
    let (first, rest) = SAMPLE.split_at(SAMPLE.len() / 2);
    Arc::new(move |n, _| match n {
        0 => vec![length(SAMPLE.len()), send(first), Step::Gate(gate.clone()), send(rest)],
        _ => whole(),
    })
}

/// One call on the staged file fails once; whoever asked again would be told that all is well, as
/// kernels do after a failed fsync.
async fn spoilt(call: &str) -> (Vec<String>, FaultOrigin) {
    let dir = tempfile::tempdir().unwrap();
    let (gate, shut) = watch::channel(false);
    let origin = FaultOrigin::start(Speech::Http, halved(shut)).await;
    let server = Process::start(dir.path());
    let client = server.client();
    let job = submit(&client, &format!("http://{}/v.mp4", origin.at), None).await;
    let file = staged(dir.path(), SAMPLE.len() / 2).await;
    let inject = format!("inject={call}:error=EIO:when=1");
    let seen =
        "trace=write,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,unlink";
    let log = dir.path().join("strace.log");
    let args = ["-e", seen, "-e", &inject, "-P", file.to_str().unwrap()];
    let tracer = Tracer::attach(&server, &log, &args).await;
    gate.send_replace(true);
    let info = settled(&client, &job).await.unwrap();
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(compare(&client, &info, SAMPLE).await, Vec::<String>::new());
    assert_eq!(files(&dir.path().join("objects")).len(), 1);
    until("the spoilt file is gone", SOON, || async { (!file.exists()).then_some(()) }).await;
    assert!(server.log().contains("will try again"), "the log says nothing of it");
    (tracer.lines(), origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_116_what_a_failed_write_or_sync_leaves_is_discarded_and_never_trusted() {
    let name = "row_116_what_a_failed_write_or_sync_leaves_is_discarded_and_never_trusted";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    for call in ["fsync", "write"] {
        let (lines, origin) = spoilt(call).await;
        let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        assert_eq!(count("(INJECTED)"), 1, "{call}: {lines:#?}");
        // After the failure the file is removed; it is not synced again, and gets no other name.
        let failed = lines.iter().position(|line| line.contains("(INJECTED)")).unwrap();
        let after = &lines[failed + 1..];
        let only_removed = after.iter().all(|line| line.contains("unlink("));
        assert!(only_removed && !after.is_empty(), "{call}: {after:#?}");
        // Nothing of it was gone on from: the whole file was asked for again.
        let seen = origin.seen.lock().unwrap();
        assert_eq!(seen.heads.len(), 2, "{call}");
        assert_eq!(range_of(&seen.heads[1].0), None, "{call}");
    }
}

/// A moment at which the process is killed.
#[derive(Clone, Debug)]
enum Moment {
    /// Before the n-th call of this kind that one of its threads makes.
    Before(&'static str, usize),
    /// When the object is visible, and nobody knows.
    AfterRename,
}

impl Moment {
    fn inject(&self) -> String {
        match self {
            Self::Before(call, n) => format!("inject={call}:signal=SIGKILL:when={n}"),
            // Longer than any test: the process never comes back from it.
            Self::AfterRename => "inject=renameat2:delay_exit=600000000:when=1".to_owned(),
        }
    }
}

/// Kinds of calls by which the end of a transfer reaches the disk.
const CALLS: [&str; 3] = ["renameat2", "fsync", "pwrite64"];

#[tokio::test(flavor = "multi_thread")]
async fn row_120_a_kill_at_any_call_between_publish_and_commit_leaves_one_object_and_a_success() {
    let name =
        "row_120_a_kill_at_any_call_between_publish_and_commit_leaves_one_object_and_a_success";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    // Of each kind; each costs two starts of the server.
    let most = count_from("HAULAGE_TEST_KILL_POINTS", 6);
    let dir = tempfile::tempdir().unwrap();
    let (mut jobs, mut kills) = (0, Vec::new());
    let visible = std::iter::once(vec![Moment::AfterRename]);
    let before = |call| (1..=most).map(|n| Moment::Before(call, n)).collect();
    for moments in visible.chain(CALLS.map(before)) {
        for moment in moments {
            jobs += 1;
            if !killed_at(dir.path(), &moment).await {
                break; // A transfer makes no more calls of this kind.
            }
            kills.push(moment);
        }
    }
    println!("row 120: killed at {} moments: {kills:?}", kills.len());
    assert!(kills.len() > 2 * CALLS.len(), "{kills:?}");
    // The sweep runs when a server starts.
    let server = Process::start(dir.path());
    let objects = || files(&dir.path().join("objects"));
    until("each job has its object and there is no other", SOON, || async {
        (objects().len() == jobs && files(&dir.path().join("spool")).is_empty()).then_some(())
    })
    .await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// One transfer to whose end this happens; whether it was killed. The next server ends the job.
async fn killed_at(dir: &Path, moment: &Moment) -> bool {
    let start = || {
        Process::start_with(dir, |c| {
            // Without ffprobe, whose start takes longer than all else.
            c.env("HAULAGE_LEASE", "1s").env("HAULAGE_RESCUES", "1000").env("PATH", "");
        })
    };
    let origin = Origin::start().await;
    let before = files(&dir.join("objects")).len();
    let mut server = start();
    let job = server.client().submit(&[origin.url("/held/v.mp4")]).await.remove(0);
    until("the transfer runs", SOON, || async { (origin.seen("/held/v.mp4") == 1).then_some(()) })
        .await;
    let log = dir.join("strace.log");
    let calls = format!("trace={}", CALLS.join(","));
    let tracer = Tracer::attach(&server, &log, &["-e", &calls, "-e", &moment.inject()]).await;
    origin.open_gate();
    let done = match moment {
        Moment::Before(..) => {
            let end = tokio::time::Instant::now() + SOON;
            loop {
                if server.ended().is_some() {
                    break false;
                }
                if status(&server.client(), &job).await.is_some_and(|status| status == "SUCCESS") {
                    break true;
                }
                assert!(tokio::time::Instant::now() < end, "{moment:?}: neither dead nor done");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        Moment::AfterRename => {
            until("the object is visible", SOON, || async {
                let objects = files(&dir.join("objects"));
                (objects.len() > before).then_some(())
            })
            .await;
            false
        }
    };
    // The signal first, or the call would come back; and the tracer's end before that of the server,
    // of which it holds a thread.
    if server.ended().is_none() {
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
    drop(tracer);
    server.kill();
    let server = start();
    let client = server.client();
    let info = settled(&client, &job).await.unwrap();
    assert_eq!(info["Status"], "SUCCESS", "{moment:?}: {info}");
    assert_eq!(compare(&client, &info, SAMPLE).await, Vec::<String>::new(), "{moment:?}");
    !done
}

/// `None` when the server is gone, or cannot say.
async fn status(client: &Client, job: &str) -> Option<String> {
    let signed = client.signed("GetURLUploadInfos", &[("JobIds", job)]);
    let answer = client.try_send(&signed).await.filter(|answer| answer.status == 200)?;
    let reply: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    reply["URLUploadInfoList"][0]["Status"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_121_sigterm_while_fifty_transfers_run_loses_none_and_charges_none() {
    const TRANSFERS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let start = || {
        Process::start_with(dir.path(), |c| {
            c.env("HAULAGE_DRAIN", "200ms")
                .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0")
                .env("HAULAGE_ATTEMPTS", "1")
                .env("HAULAGE_PER_HOST", "1000");
        })
    };
    let server = start();
    let client = server.client();
    let mut jobs = Vec::new();
    let urls: Vec<String> = (0..TRANSFERS).map(|n| origin.url(&format!("/held/{n}.mp4"))).collect();
    for some in urls.chunks(10) {
        jobs.extend(client.submit(some).await);
    }
    let running = || (0..TRANSFERS).all(|n| origin.seen(&format!("/held/{n}.mp4")) == 1);
    until("all of them run", SOON, || async { running().then_some(()) }).await;
    assert_eq!(server.terminate(), Some(0));

    let server = start();
    let client = server.client();
    origin.open_gate();
    for job in &jobs {
        let info = settled(&client, job).await.unwrap();
        assert_eq!(info["Status"], "SUCCESS", "{info}");
        let params = [("JobIds", job.as_str()), ("IncludeProgress", "true")];
        let reply = client.call("GetURLUploadInfos", &params).await.ok();
        let attempt = &reply["URLUploadInfoList"][0]["Progress"]["Attempt"];
        assert_eq!(attempt, 1, "our own stop was charged: {reply}");
    }
    assert_eq!(files(&dir.path().join("objects")).len(), TRANSFERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_124_at_its_limit_of_memory_a_server_goes_on_or_is_started_again_and_loses_nothing() {
    let name =
        "row_124_at_its_limit_of_memory_a_server_goes_on_or_is_started_again_and_loses_nothing";
    if !strace::is_there() {
        return skip(name, "strace, which sees that memory is refused, is missing");
    }
    const JOBS: usize = 40;
    let origin = Origin::start().await;
    let mut ends = Vec::new();
    // Bytes of address space beyond what it has when the load begins.
    for room in [8 << 20, 1 << 20, 0] {
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            Process::start_as(dir.path(), dir.path(), |inner| {
                // The allocator sets no great space aside that would hide the limit.
                let mut c = Command::new("prlimit");
                c.args([SPACE, BINARY, "serve"]).envs(environment(inner));
                c.env("HAULAGE_ATTEMPTS", "1000")
                    .env("HAULAGE_BACKOFF_MAX", "200ms")
                    .env("HAULAGE_LEASE", "1s")
                    .env("HAULAGE_RESCUES", "1000")
                    .env("HAULAGE_PER_HOST", "1000")
                    .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0,GetPlayInfo=0");
                c
            })
        };
        let mut server = start();
        let kept = server.client().submit(&[origin.url("/good/before.mp4")]).await;
        assert_eq!(settled(&server.client(), &kept[0]).await.unwrap()["Status"], "SUCCESS");
        let log = dir.path().join("strace.log");
        let tracer = Tracer::attach(&server, &log, &["-Z", "-e", "trace=mmap,mremap,brk"]).await;
        limit(&server, Some((memory_kib(server.pid(), "VmSize") << 10) + room));
        let (mut accepted, mut doubtful) = (kept, 0);
        for n in 0..JOBS {
            let url = wire::percent::encode(&origin.url(&format!("/blob/3000000/{n}.mp4")));
            let signed = server.client().signed("UploadMediaByURL", &[("UploadURLs", &url)]);
            let answer = tokio::time::timeout(SOON, server.client().try_send(&signed)).await;
            match answer.expect("no answer at all") {
                Some(answer) if answer.status == 200 => {
                    let id = answer.json()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
                    accepted.push(id);
                }
                // What is refused is no promise.
                Some(_) => {}
                None => doubtful += 1,
            }
        }
        // Until all is done, it has died, or no more of it gets done.
        let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
        while tokio::time::Instant::now() < patience && server.ended().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let died = server.ended();
        let refused = tracer.lines().iter().filter(|line| line.contains("ENOMEM")).count();
        drop(tracer);
        ends.push((room >> 20, accepted.len(), refused, died.map(|status| status.to_string())));
        match died {
            Some(status) => {
                assert!(!status.success(), "it ended as if all were well");
                server = start();
            }
            None => limit(&server, None),
        }
        for job in &accepted {
            let info = settled(&server.client(), job).await.unwrap();
            assert_eq!(info["Status"], "SUCCESS", "{room} bytes of room: {info}");
            assert!(compare_size(dir.path(), &info), "{info}");
        }
        // Whatever a death left goes when a server starts.
        drop(server);
        let _server = start();
        let expected = accepted.len()..=accepted.len() + doubtful;
        until("each job has its object and there is no other", SOON, || async {
            expected.contains(&files(&dir.path().join("objects")).len()).then_some(())
        })
        .await;
    }
    println!("row 124: MiB of room, jobs accepted, calls refused, how it ended: {ends:?}");
    assert!(ends.iter().any(|(_, _, refused, _)| *refused > 0), "no limit was met");
}

/// Less than the allocator would like to set aside at the start, 1 GiB; a server needs a third of it.
const SPACE: &str = "--as=900000000:unlimited";

/// Whether an object has the size that the job's record tells.
fn compare_size(dir: &Path, info: &serde_json::Value) -> bool {
    let size: u64 = info["FileSize"].as_str().unwrap().parse().unwrap();
    let objects = files(&dir.join("objects"));
    objects.iter().any(|object| object.metadata().unwrap().len() == size)
}

fn limit(server: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::As, Rlimit { current: bytes, maximum: None }).unwrap();
}
