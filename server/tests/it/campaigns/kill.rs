//! Campaign K6: kill -9, again and again, under load. Nothing acknowledged is lost, no job is stuck or
//! runs beyond its attempts, nothing half-done is visible, and nothing of a cancelled job was asked for.

use std::time::Duration;

use tokio::time::Instant;

use super::history::History;
use super::load::{self, Home};
use crate::harness::seeded::Seeded;
use crate::harness::{count_from, ledger};

/// The longest life of a server, and what it lives at least.
const LIFE: Duration = Duration::from_millis(450);
const LEAST: Duration = Duration::from_millis(50);
/// More steps of a client than fit into a life.
const STEPS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_over_kills_under_load() {
    let kills = count_from("HAULAGE_TEST_KILLS", 12);
    let mut choices = Seeded::from_environment();
    let seed = choices.seed();
    let dir = tempfile::tempdir().unwrap();
    let history = History::new(&dir.path().join("history"));
    let home = Home::at(&dir.path().join("data"));
    let origin = history.witness("origin").origin().await;
    let mut slowest = Duration::ZERO;
    for cycle in 0..kills {
        let began = Instant::now();
        let server = home.start();
        slowest = slowest.max(began.elapsed());
        let lanes =
            load::begin(&server, &history, &origin, &cycle.to_string(), STEPS, &mut choices);
        // The moment of the kill is what is varied; nothing is awaited by it.
        tokio::time::sleep(LEAST + LIFE.mul_f64(choices.fraction())).await;
        server.kill();
        for lane in lanes {
            lane.await.unwrap();
        }
    }
    let verdict = load::judge(&home, &history, None).await;
    ledger::enter(
        "K6",
        Some(seed),
        &[
            ("kills", kills),
            ("acknowledged", verdict.acknowledged),
            ("cancelled", verdict.cancelled),
            ("stored", verdict.successes),
            ("unanswered and done", verdict.unanswered.0),
            ("unanswered and not", verdict.unanswered.1),
            ("violations", verdict.violations.values().map(Vec::len).sum()),
        ],
    );
    println!("K6: the slowest start of {kills} took {} ms", slowest.as_millis());
    verdict.sound(&format!("seed {seed}"));
    assert!(verdict.acknowledged > 0 && verdict.cancelled > 0, "{verdict:?}");
}
