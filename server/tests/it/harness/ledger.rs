//! The ledger of the campaigns: a line of JSON for each run, only ever appended, so that the counts
//! of many runs, on many machines, add up. `HAULAGE_TEST_LEDGER` names the file; without it a run
//! only prints.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use haulage::door::Clock;
use serde_json::{Value, json};

/// Writes one run down, and prints what it and all runs before it counted.
pub fn enter(campaign: &str, seed: Option<u64>, counts: &[(&str, usize)]) {
    let run: BTreeMap<&str, usize> = counts.iter().copied().collect();
    let seeded = seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
    println!("{campaign}{seeded}: {}", listed(&run));
    let Some(path) = path() else { return };
    let line = json!({
        "campaign": campaign,
        "at": wire::time::format_utc(Clock::System.now().seconds()),
        "commit": commit(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "seed": seed,
        "counts": run,
    });
    // One write, so that campaigns that run at the same time do not mix their lines.
    let line = format!("{line}\n");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
    let (runs, total) = totals(&std::fs::read_to_string(&path).unwrap(), campaign);
    println!("{campaign} in {}: {runs} runs: {}", Path::new(&path).display(), listed(&total));
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the product")]
fn path() -> Option<String> {
    std::env::var("HAULAGE_TEST_LEDGER").ok().filter(|path| !path.is_empty())
}

fn commit() -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let said = Command::new("git").args(["-C", root, "describe", "--always", "--dirty"]).output();
    let said = said.ok().filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// What all runs of a campaign counted.
fn totals(ledger: &str, campaign: &str) -> (usize, BTreeMap<String, usize>) {
    let mut runs = 0;
    let mut total: BTreeMap<String, usize> = BTreeMap::new();
    for line in ledger.lines() {
        let run: Value = serde_json::from_str(line).unwrap();
        if run["campaign"] != campaign {
            continue;
        }
        runs += 1;
        for (name, count) in run["counts"].as_object().unwrap() {
            let count = usize::try_from(count.as_u64().unwrap()).unwrap();
            *total.entry(name.clone()).or_default() += count;
        }
    }
    (runs, total)
}

fn listed<K: AsRef<str>>(counts: &BTreeMap<K, usize>) -> String {
    let each: Vec<_> = counts.iter().map(|(name, n)| format!("{} {n}", name.as_ref())).collect();
    each.join(", ")
}

#[test]
fn runs_of_a_campaign_add_up() {
    let ledger = "{\"campaign\":\"K8\",\"counts\":{\"images\":3,\"lost\":0}}\n\
                  {\"campaign\":\"K6\",\"counts\":{\"kills\":7}}\n\
                  {\"campaign\":\"K8\",\"counts\":{\"images\":4}}\n";
    let (runs, total) = totals(ledger, "K8");
    assert_eq!((runs, listed(&total).as_str()), (2, "images 7, lost 0"));
}
