//! Campaign K7: a scripted workload is killed before and after each of the calls by which data reach
//! the disk or get their place on it (fsync, rename). Whatever was told until then holds.
//!
//! `strace` makes each such call wait a moment before it is made and after it; the test reads its
//! output as it is written and kills the server when the call in question begins or has ended.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;

use super::history::{History, NoAnswer, Told};
use super::load::{self, Home};
use crate::harness::origin::Origin;
use crate::harness::process::{BINARY, Process, environment};
use crate::harness::{SOON, count_from, ledger, skip, strace};

const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2";
/// How long each call waits before and after; the kill falls into it.
const WAIT_US: u32 = 4_000;
/// Every so many points in the slice of each change.
const SLICE: usize = 10;

/// Where the server is killed: at the n-th call, counted from 1 over all threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Point {
    Never,
    Before(usize),
    After(usize),
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_sync_or_rename_loses_nothing_that_was_told() {
    let name = "a_kill_at_any_sync_or_rename_loses_nothing_that_was_told";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    let step = count_from("HAULAGE_TEST_SYNC_STEP", SLICE);
    let whole = run(Point::Never).await;
    assert!(whole.calls > 30, "the workload reaches the disk: {} calls", whole.calls);
    let (mut killed, mut not_reached, mut acknowledged) = (0, 0, whole.acknowledged);
    // Differs from slice to slice, so that many runs look at all of them.
    let first = usize::try_from(crate::harness::now()).unwrap() % step + 1;
    for n in (first..=whole.calls).step_by(step) {
        for point in [Point::Before(n), Point::After(n)] {
            let ran = run(point).await;
            if ran.killed {
                killed += 1
            } else {
                not_reached += 1
            }
            acknowledged += ran.acknowledged;
        }
    }
    ledger::enter(
        "K7",
        None,
        &[
            ("calls of the workload", whole.calls),
            ("kills", killed),
            ("points not reached", not_reached),
            ("acknowledged", acknowledged),
            ("violations", 0),
        ],
    );
    assert!(killed > not_reached, "most points are reached");
}

struct Ran {
    /// Calls that the tracer saw begin.
    calls: usize,
    killed: bool,
    acknowledged: usize,
}

/// The workload with a kill at a point, then a server on what is left, and the checker.
async fn run(point: Point) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let history = History::new(&dir.path().join("history"));
    let data = dir.path().join("data");
    let home = Home::at(&data);
    let origin = history.witness("origin").origin().await;
    let pipe = dir.path().join("calls");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let killer: JoinHandle<(usize, bool)> = {
        let pipe = pipe.clone();
        tokio::task::spawn_blocking(move || watch(&pipe, point))
    };
    // The server may die before it is ready; then nothing was told.
    let not_started = match start(&data, &pipe) {
        Ok(server) => {
            let told = Told::new(server.client(), history.witness("client"), &origin);
            if work(&told, &server, &origin).await.is_ok() {
                server.terminate();
            }
            None
        }
        Err(said) => Some(said),
    };
    let (calls, killed) = killer.await.unwrap();
    assert!(killed || not_started.is_none(), "{point:?}: {not_started:?}");
    let verdict = load::judge(&home, &history, None).await;
    verdict.sound(&format!("{point:?}"));
    Ran { calls, killed, acknowledged: verdict.acknowledged }
}

fn start(data: &Path, pipe: &Path) -> Result<Process, String> {
    let waits = format!("inject={CALLS}:delay_enter={WAIT_US}:delay_exit={WAIT_US}");
    Process::try_start_as(data, data, |command| {
        let mut traced = std::process::Command::new("strace");
        // The tracer stands aside (-D), so that the child is the server itself.
        traced.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o"]).arg(pipe);
        traced.args(["-e", &format!("trace={CALLS}"), "-e", &waits, "-E", "PATH="]);
        traced.arg(BINARY).arg("serve").envs(environment(command));
        // One transfer at a time, so that the calls come in the same order each time.
        traced.env("HAULAGE_TRANSFERS", "1").env("HAULAGE_LOG", "warn");
        traced.env("HAULAGE_CHECKPOINT_BYTES", "64KiB");
        traced
    })
}

/// Everything that writes: submissions, a cancel, transfers, one of them with checkpoints.
async fn work(told: &Told, server: &Process, origin: &Origin) -> Result<(), NoAnswer> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    told.submit(&names(&["a"])).await?;
    finished(server, 1).await?;
    let jobs = told.submit(&names(&["b", "c", "d"])).await?;
    told.cancel(&jobs[2..]).await?;
    // Not in the history, whose files are small: it is here for its checkpoints.
    let large = told.client.signed(
        "UploadMediaByURL",
        &[("UploadURLs", &wire::percent::encode(&origin.url("/blob/300000/large.mp4")))],
    );
    told.client.try_send(&large).await.ok_or(NoAnswer)?;
    finished(server, 4).await?;
    told.look(&jobs).await?;
    Ok(())
}

/// Waits for ends without a call of the API, whose nonces are synced: the number of calls must not
/// depend on how long something takes.
async fn finished(server: &Process, jobs: u64) -> Result<(), NoAnswer> {
    let end = tokio::time::Instant::now() + SOON;
    loop {
        let target = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = crate::harness::raw(server.address, target).await.ok_or(NoAnswer)?;
        let ended: f64 = answer
            .text()
            .lines()
            .filter(|line| line.starts_with("haulage_jobs_finished_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        if ended >= jobs as f64 {
            return Ok(());
        }
        assert!(tokio::time::Instant::now() < end, "jobs do not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads what strace writes, and kills at the point. How many calls began, and whether it killed.
fn watch(pipe: &Path, point: Point) -> (usize, bool) {
    let mut output = File::open(pipe).unwrap();
    let (mut text, mut calls) = (String::new(), 0);
    let mut killed = false;
    let mut buffer = [0; 4096];
    // The end comes with the end of the tracer.
    while let Ok(n @ 1..) = output.read(&mut buffer) {
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        let begun = text.lines().filter(|line| begins(line)).count();
        let ended = text.lines().filter(|line| line.contains(" = ")).count();
        calls = begun;
        let now = match point {
            Point::Never => false,
            Point::Before(n) => begun >= n,
            Point::After(n) => ended >= n,
        };
        if now && !killed {
            killed = true;
            // Any of its threads names the process.
            let id = text.split_whitespace().next().unwrap().parse().unwrap();
            // It may have ended by itself meanwhile.
            let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
        }
    }
    (calls, killed)
}

/// Whether a line shows the beginning of a call: `PID name(…`.
fn begins(line: &str) -> bool {
    let call = line.split_whitespace().nth(1).unwrap_or_default();
    call.split_once('(').is_some_and(|(name, _)| CALLS.split(',').any(|call| call == name))
}
