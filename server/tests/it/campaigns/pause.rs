//! Campaign K12: the server stops for half a lease to ten leases (SIGSTOP) in the middle of transfers, and
//! goes on. However its own janitor and its transfers meet then, each job ends once, with one whole
//! object, and the origin was asked no more often than there were attempts.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::history::{History, Told};
use super::load::{self, Home};
use crate::harness::seeded::Seeded;
use crate::harness::{SOON, count_from, ledger};

/// The shortest lease that there is.
const LEASE: Duration = Duration::from_secs(1);
/// Lengths of pauses, in leases.
const PAUSES: [f64; 4] = [0.5, 1.5, 3.0, 10.0];
/// Transfers under way in a pause, and how long each takes.
const TRANSFERS: usize = 10;
const TRANSFER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_ends_each_job_once_and_asks_no_more_than_it_says() {
    let pauses = count_from("HAULAGE_TEST_PAUSES", PAUSES.len());
    let mut choices = Seeded::from_environment();
    let seed = choices.seed();
    let dir = tempfile::tempdir().unwrap();
    let history = History::new(&dir.path().join("history"));
    let home = Home::at(&dir.path().join("data")).with("HAULAGE_LEASE", "1s");
    let origin = history.witness("origin").origin().await;
    let server = home.start();
    let told = Told::new(server.client(), history.witness("client"), &origin).slowly(TRANSFER);
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    for n in 0..pauses {
        let tokens: Vec<String> = (0..TRANSFERS).map(|i| format!("{n}-{i}")).collect();
        let jobs = told.submit(&tokens).await.expect("it serves");
        // The moment of the pause is what is varied.
        tokio::time::sleep(TRANSFER.mul_f64(choices.fraction())).await;
        kill_process(pid, Signal::STOP).unwrap();
        tokio::time::sleep(LEASE.mul_f64(PAUSES[n % PAUSES.len()])).await;
        kill_process(pid, Signal::CONT).unwrap();
        let ended = tokio::time::timeout(SOON, told.wait(&jobs)).await;
        ended.expect("the jobs end").expect("it serves");
    }
    server.terminate();
    let verdict = load::judge(&home, &history, None).await;
    ledger::enter(
        "K12",
        Some(seed),
        &[
            ("pauses", pauses),
            ("transfers", verdict.acknowledged),
            ("stored", verdict.successes),
            ("attempts lost to a pause", verdict.rescues),
            ("violations", verdict.violations.values().map(Vec::len).sum()),
        ],
    );
    verdict.sound(&format!("seed {seed}"));
    assert_eq!(verdict.successes, pauses * TRANSFERS, "a pause is no failure of the source");
}
