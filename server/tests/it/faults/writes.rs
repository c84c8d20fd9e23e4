//! Campaign K9 for the one call that cannot be chosen by its kind: `write`. A server writes to its
//! log, to wake its own threads, to the programs it starts; here only the writes to staged files
//! fail. Their names are known once the transfers are half-way, which is when the tracer comes.

use std::fmt;

use tokio::sync::watch;

use super::origin::{FaultOrigin, Script, Speech, Step, send};
use super::rows::{film, length};
use super::{compare, files, settled};
use crate::harness::process::Process;
use crate::harness::strace::{self, Tracer};
use crate::harness::{SOON, count_from, skip, until};

/// Transfers of one server, all of which meet the fault.
const TRANSFERS: usize = 4;
/// Faults of the short form.
const SHORT: usize = 6;

/// One fault of each staged file.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// An error; or a number of bytes of which the kernel says that it took them, and did not.
    result: &'static str,
    first: usize,
    lasting: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting = if self.lasting { "+" } else { "" };
        write!(f, "inject=write:{}:when={}{lasting}", self.result, self.first)
    }
}

fn faults(count: usize) -> impl Iterator<Item = Fault> {
    const RESULTS: [&str; 6] =
        ["error=EIO", "retval=100", "error=ENOSPC", "error=EINTR", "error=EDQUOT", "retval=1"];
    (0..count).map(|n| Fault {
        result: RESULTS[n % RESULTS.len()],
        first: 1 + n * 5 % 7,
        // An interrupted call that is repeated for ever would be, for ever.
        lasting: n % 4 == 2 && !RESULTS[n % RESULTS.len()].ends_with("EINTR"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_to_a_staged_file_fails_or_lies_the_stored_bytes_are_the_origins() {
    let name = "whatever_write_to_a_staged_file_fails_or_lies_the_stored_bytes_are_the_origins";
    if !strace::is_there() {
        return skip(name, "strace is missing");
    }
    let runs = count_from("HAULAGE_TEST_WRITE_FAULTS", SHORT);
    let object = film(&[7; 3_000_000]);
    let (mut injected, mut retried) = (0, 0);
    for fault in faults(runs) {
        let (gate, shut) = watch::channel(false);
        let (first, rest) = object.split_at(object.len() / 4);
        let (first, rest) = (first.to_vec(), rest.to_vec());
        let all = object.len();
        let script: Script = std::sync::Arc::new(move |_, _| {
            vec![length(all), send(first.clone()), Step::Gate(shut.clone()), send(rest.clone())]
        });
        let origin = FaultOrigin::start(Speech::Http, script).await;
        let dir = tempfile::tempdir().unwrap();
        let server = Process::start(dir.path());
        let client = server.client();
        let urls: Vec<String> =
            (0..TRANSFERS).map(|n| format!("http://{}/{n}/v.mp4", origin.at)).collect();
        let jobs = client.submit(&urls).await;
        let staged = until("all transfers are half-way", SOON, || async {
            let long = |m: std::fs::Metadata| m.len() >= all as u64 / 4;
            let mut staged = files(&dir.path().join("spool"));
            staged.retain(|file| file.metadata().is_ok_and(long));
            (staged.len() == TRANSFERS).then_some(staged)
        })
        .await;
        let inject = fault.to_string();
        let mut args = vec!["-e", "trace=write", "-e", &inject];
        for file in &staged {
            args.extend(["-P", file.to_str().unwrap()]);
        }
        let tracer = Tracer::attach(&server, &dir.path().join("strace.log"), &args).await;
        gate.send_replace(true);
        for job in &jobs {
            let info = settled(&client, job).await.unwrap();
            assert_eq!(info["Status"], "SUCCESS", "{fault}: {info}");
            assert_eq!(compare(&client, &info, &object).await, Vec::<String>::new(), "{fault}");
        }
        until("nothing staged is left", SOON, || async {
            files(&dir.path().join("spool")).is_empty().then_some(())
        })
        .await;
        assert_eq!(files(&dir.path().join("objects")).len(), TRANSFERS, "{fault}");
        injected += tracer.lines().iter().filter(|line| line.contains("(INJECTED)")).count();
        retried += origin.asked() - TRANSFERS;
    }
    println!(
        "{runs} faults of staged files: {injected} writes failed, {retried} attempts repeated"
    );
    assert!(injected > 0 && retried > 0, "{injected} writes failed, {retried} attempts");
}
