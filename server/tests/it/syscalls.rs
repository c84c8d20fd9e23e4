//! Campaign K9: the n-th system call of a kind fails. Whatever fails, the server goes on or ends
//! with a clear word, and the next start finds everything that was acknowledged.
//!
//! The faults come from `strace`, from outside the program: what fails is what the kernel would
//! have failed. A count holds for each thread by itself, so one run can fail several calls.
//! `write` is not among them: most of a server's writes go elsewhere than to the disk. Those that
//! do fail in `faults/writes.rs`, chosen by their paths.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::process::{BINARY, Process, environment};
use crate::harness::{Answer, Client, SOON, count_from, ledger, skip, strace, until};

/// System calls by which data reach the disk, or places on it are made and taken. (SQLite as it is
/// built here syncs by fsync alone; nothing calls fdatasync.)
const CALLS: [&str; 7] =
    ["fsync", "pwrite64", "renameat2", "openat", "ftruncate", "mkdir", "unlink"];
const ERRORS: [&str; 4] = ["EIO", "ENOSPC", "EDQUOT", "EINTR"];

/// One fault.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: &'static str,
    error: &'static str,
    /// The first call of each thread that fails.
    first: usize,
    /// All calls after it fail as well.
    lasting: bool,
}

impl fmt::Display for Fault {
    /// As strace's `inject` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting = if self.lasting { "+" } else { "" };
        write!(f, "{}:error={}:when={}{lasting}", self.call, self.error, self.first)
    }
}

/// Faults in a fixed order that begins with a mixture of all kinds.
fn faults(count: usize) -> impl Iterator<Item = Fault> {
    (0..count).map(|n| Fault {
        call: CALLS[n % CALLS.len()],
        error: ERRORS[n / 3 % ERRORS.len()],
        first: 1 + n * 7 % 40,
        // A call that is interrupted for ever is made for ever.
        lasting: n % 5 == 4 && n / 3 % ERRORS.len() != 3,
    })
}

/// What the client was promised.
#[derive(Debug, Default)]
struct Promises {
    accepted: Vec<String>,
    cancelled: Vec<String>,
    /// Accepted, and their cancel failed or got no answer: it may have happened or not.
    doubtful: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_system_call_fails_nothing_acknowledged_is_lost() {
    let name = "whatever_system_call_fails_nothing_acknowledged_is_lost";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    let runs = count_from("HAULAGE_TEST_SYSCALL_FAULTS", 24);
    let origin = Origin::start().await;
    let (mut not_started, mut ended, mut promised) = (0, 0, 0);
    for fault in faults(runs) {
        let dir = tempfile::tempdir().unwrap();
        // Made before, so that a fault also meets a database that holds something.
        let before = Process::start(dir.path());
        let kept = before.client().submit(&[origin.url("/good/before.mp4")]).await;
        before.client().terminal(&kept[0]).await;
        before.kill();

        let mut promises = match start_failing(dir.path(), fault) {
            Ok(mut server) => {
                let promises = work(&server.client(), &origin).await;
                if let Some(status) = server.ended() {
                    ended += 1;
                    assert!(!status.success(), "{fault}: it ended as if all were well");
                    assert!(server.log().contains("ERROR"), "{fault}: {}", server.log());
                }
                server.kill();
                promises
            }
            Err(said) => {
                not_started += 1;
                // The loader's own words too, when its calls fail.
                assert!(said.contains("error"), "{fault}: no clear word: {said}");
                Promises::default()
            }
        };
        promised += promises.accepted.len() + promises.cancelled.len();
        promises.accepted.extend(kept);
        let server = Process::start(dir.path());
        check(fault, &server.client(), &promises).await;
        server.kill();
    }
    ledger::enter(
        "K9",
        None,
        &[
            ("faults", runs),
            ("promises kept", promised),
            ("did not start", not_started),
            ("ended", ended),
        ],
    );
    assert!(promised > 0, "no run promised anything");
}

/// Starts a server whose calls fail; the error is what it said when it did not start.
fn start_failing(dir: &Path, fault: Fault) -> Result<Process, String> {
    Process::try_start_as(dir, dir, |command| {
        let mut traced = Command::new("strace");
        // The tracer stands aside (-D), so that the child is the server itself.
        traced.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e"]);
        traced.arg(format!("trace={}", fault.call)).arg("-e").arg(format!("inject={fault}"));
        traced.arg(BINARY).arg("serve").envs(environment(command));
        traced
    })
}

/// Uses the server for a while, and writes down what it answered.
async fn work(client: &Client, origin: &Origin) -> Promises {
    let mut promises = Promises::default();
    for n in 0..6 {
        let url = origin.url(&format!("/good/{n}.mp4"));
        let list = wire::percent::encode(&url);
        let Some(answer) = ask(client, "UploadMediaByURL", &[("UploadURLs", &list)]).await else {
            break;
        };
        if answer.status != 200 {
            continue;
        }
        let id = answer.json()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
        let cancelled = ask(client, "CancelUrlUploadJobs", &[("JobIds", &id)]).await;
        match cancelled.filter(|answer| answer.status == 200) {
            Some(answer) if answer.json()["CanceledJobs"][0] == id => promises.cancelled.push(id),
            Some(_) => promises.accepted.push(id),
            None => promises.doubtful.push(id),
        }
    }
    // Until the work is done, or no more of it gets done.
    let patience = tokio::time::Instant::now() + std::time::Duration::from_millis(1_500);
    for id in &promises.accepted {
        while tokio::time::Instant::now() < patience {
            let Some(answer) = ask(client, "GetURLUploadInfos", &[("JobIds", id)]).await else {
                return promises;
            };
            let status = status(&answer);
            if status == "SUCCESS" || status.ends_with("_FAIL") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    promises
}

/// `None` when the server is gone.
async fn ask(client: &Client, action: &str, params: &[(&str, &str)]) -> Option<Answer> {
    let signed = client.signed(action, params);
    tokio::time::timeout(SOON, client.try_send(&signed)).await.expect("no answer at all")
}

fn status(answer: &Answer) -> String {
    let status = match answer.status {
        200 => answer.json()["URLUploadInfoList"][0]["Status"].clone(),
        _ => Value::Null,
    };
    status.as_str().unwrap_or_default().to_owned()
}

async fn check(fault: Fault, client: &Client, promises: &Promises) {
    for id in &promises.cancelled {
        assert_eq!(client.status(id).await, "CANCELED", "{fault}");
    }
    for id in promises.accepted.iter().chain(&promises.doubtful) {
        let may_be_cancelled = promises.doubtful.contains(id);
        let ends = until("the job is final", SOON, || async {
            let info = client.info(id).await;
            let status = info["Status"].as_str().map(str::to_owned);
            // A fault may use up a job's attempts; then it says so.
            let is_final = |s: &String| {
                s == "SUCCESS" || s.ends_with("_FAIL") || (may_be_cancelled && s == "CANCELED")
            };
            assert!(status.is_some(), "{fault}: the acknowledged job {id} is gone");
            status.filter(is_final).map(|_| info)
        });
        let info = ends.await;
        if info["Status"] != "SUCCESS" {
            continue;
        }
        let media = info["MediaId"].as_str().unwrap();
        let play = client.call("GetPlayInfo", &[("VideoId", media)]).await.ok();
        let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
        let path = url.splitn(4, '/').nth(3).unwrap();
        let played = client.get(&format!("/{path}"), &[]).await;
        assert!(played.status == 200 && played.body == SAMPLE, "{fault}: other bytes than sent");
    }
}
