//! Campaign K25: backups in the middle of load and kills, each brought to life again. A copy holds
//! everything that was acknowledged before it was begun, and its jobs go on to their ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::history::History;
use super::load::{self, Home};
use crate::harness::process::command;
use crate::harness::seeded::Seeded;
use crate::harness::{count_from, ledger};

/// The longest time of load before a backup.
const BEFORE: Duration = Duration::from_millis(300);
const STEPS: usize = 1_000;

/// A copy, and the time of the history when it was begun.
struct Copy {
    place: PathBuf,
    mark: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_what_was_acknowledged_before_it() {
    let backups = count_from("HAULAGE_TEST_BACKUPS", 3);
    let mut choices = Seeded::from_environment();
    let seed = choices.seed();
    let dir = tempfile::tempdir().unwrap();
    let history = History::new(&dir.path().join("history"));
    let data = dir.path().join("data");
    let home = Home::at(&data);
    let origin = history.witness("origin").origin().await;
    let mut copies = Vec::new();
    for n in 0..backups {
        let server = home.start();
        let lanes = load::begin(&server, &history, &origin, &n.to_string(), STEPS, &mut choices);
        tokio::time::sleep(BEFORE.mul_f64(choices.fraction())).await;
        let place = dir.path().join(format!("copy-{n}"));
        let mark = history.now();
        let ran = {
            let (from, to) = (data.clone(), place.clone());
            tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap()
        };
        ran.unwrap_or_else(|said| panic!("seed {seed}: backup {n}: {said}"));
        copies.push(Copy { place, mark });
        server.kill();
        for lane in lanes {
            lane.await.unwrap();
        }
    }
    let (mut acknowledged, mut cancelled, mut violations) = (0, 0, 0);
    for (n, Copy { place, mark }) in copies.iter().enumerate() {
        // What the copy says of itself is a history of its own, after the clients' one.
        let told = dir.path().join(format!("history-{n}"));
        std::fs::create_dir(&told).unwrap();
        for entry in std::fs::read_dir(dir.path().join("history")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            // The origin saw jobs that this copy does not know, or knows from before.
            if name != "origin.jsonl" {
                std::fs::copy(&path, told.join(name)).unwrap();
            }
        }
        let verdict = load::judge(&Home::at(place), &History::new(&told), Some(*mark)).await;
        acknowledged += verdict.acknowledged;
        cancelled += verdict.cancelled;
        violations += verdict.violations.values().map(Vec::len).sum::<usize>();
        verdict.sound(&format!("seed {seed}, copy {n}"));
    }
    ledger::enter(
        "K25",
        Some(seed),
        &[
            ("backups", backups),
            ("acknowledged before them", acknowledged),
            ("cancelled before them", cancelled),
            ("violations", violations),
        ],
    );
    assert!(acknowledged > 0, "a backup had something to hold");
}

fn backup(data: &Path, to: &Path) -> Result<(), String> {
    let ran = command(data).args(["backup", "--json"]).arg(to).output().unwrap();
    if ran.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).into_owned())
}
