//! A slice of the simulation. The long form is the program itself; see
//! `README.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use haulage::door::Clock;
use sim::{Options, Outcome, Plant, run};

/// Seeds that every run of the slice has, and as many that no other run had.
const SEEDS: u64 = 200;

/// Where the seeds begin that no other run had; `SIM_FROM` chooses.
fn fresh() -> u64 {
    let chosen = std::env::var_os("SIM_FROM");
    chosen.map_or_else(
        || 1_000 * u64::try_from(Clock::System.now().seconds()).unwrap(),
        |text| text.to_str().and_then(|text| text.parse().ok()).expect("SIM_FROM is a number"),
    )
}

/// Runs seeds on two threads until `enough` says so; what came of them, in no order.
fn many(
    seeds: std::ops::Range<u64>,
    options: Options,
    enough: fn(&Outcome) -> bool,
) -> Vec<Outcome> {
    let (next, done) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run(seed, options);
            if enough(&outcome) {
                next.store(seeds.end, Ordering::Relaxed);
            }
            done.lock().unwrap().push(outcome);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    done.into_inner().unwrap()
}

/// Invariant 32, without which no other finding could be looked at again.
#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_other_ones() {
    let mut hashes = BTreeMap::new();
    for seed in 0..8 {
        let (one, other) = (run(seed, Options::default()), run(seed, Options::default()));
        assert_eq!((one.hash, one.events), (other.hash, other.events), "seed {seed}");
        assert_eq!(one.took, other.took, "seed {seed}");
        assert!(one.events > 20, "seed {seed} is a run");
        assert!(hashes.insert(one.hash, seed).is_none(), "seed {seed} is like another");
    }
}

/// The transitions of `docs/state-machine.md`, by the verbs that make them.
const TRANSITIONS: [&str; 15] = [
    "Pending claim Running",
    "Pending cancel Canceled",
    "Waiting claim Running",
    "Running beat Running",
    "Running hand_back Waiting",
    "Running retry_later Waiting",
    "Running expire Waiting",
    "Running finish Succeeded",
    "Running finish Failed",
    "Running halt AwaitingUrl",
    "AwaitingUrl replace_url Waiting",
    "failed: InternalError",
    "node: clock stepped",
    "account: queue paused",
    "origin: rest",
];

/// The verbs that most depends on: each must have failed, lost its reply, and lost its caller before and
/// after its effect.
const VERBS: [&str; 5] =
    ["job_submit", "job_claim", "job_finish", "job_expire", "job_cancel_pending"];

#[test]
fn no_seed_of_the_slice_breaks_an_invariant_and_everything_is_come_by() {
    let from = fresh();
    println!("seeds from 0 and from {from}, {SEEDS} each (SIM_FROM={from})");
    let mut outcomes = many(0..SEEDS, Options::default(), |_| false);
    outcomes.extend(many(from..from + SEEDS, Options::default(), |_| false));
    let seeds = outcomes.len();
    let mut coverage: BTreeMap<String, u64> = BTreeMap::new();
    let (mut events, mut jobs, mut failed) = (0, 0, Vec::new());
    for outcome in outcomes {
        events += outcome.events;
        jobs += outcome.jobs;
        for (what, times) in outcome.coverage {
            *coverage.entry(what).or_default() += times;
        }
        for violation in &outcome.violations {
            println!(
                "seed {}: invariant {}: {}\n    cargo run --release --manifest-path sim/Cargo.toml -- --seed {}",
                outcome.seed, violation.invariant, violation.what, outcome.seed
            );
            failed.push(outcome.seed);
        }
    }
    println!("{seeds} seeds, {events} events, {jobs} jobs");
    assert!(failed.is_empty(), "seeds {failed:?} broke invariants; the commands are above");

    let mut wanted: Vec<String> = TRANSITIONS.iter().map(|what| (*what).to_owned()).collect();
    for verb in VERBS {
        for point in ["error before", "lost reply of", "crash before", "crash after"] {
            wanted.push(format!("{point} {verb}"));
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|what| !coverage.contains_key(*what)).collect();
    assert!(missing.is_empty(), "never come by: {missing:?}");
}

/// Within how many seeds each planted bug must be found.
const TEETH: [(Plant, u64); 20] = [
    (Plant::RescueWritesByIdOnly, 2_000),
    (Plant::FinishWithoutGeneration, 2_000),
    (Plant::CancelReadsThenWrites, 2_000),
    (Plant::ClaimWithoutState, 500),
    (Plant::NonceOfEachNode, 500),
    (Plant::RescueByLocalClock, 500),
    (Plant::BeatWithoutToken, 2_000),
    (Plant::StopIsCharged, 500),
    (Plant::AcknowledgedAndLost, 100),
    (Plant::HalfASubmission, 100),
    (Plant::ObjectsGrowVisibly, 500),
    (Plant::PublishedBeforeStored, 100),
    (Plant::RescuesAreNotCounted, 500),
    (Plant::LoneNodeGoesByTheWallClock, 500),
    (Plant::SlotsAreNotCounted, 500),
    (Plant::HostsAreNotCounted, 500),
    (Plant::PriorityIsIgnored, 500),
    (Plant::WeightsAreIgnored, 500),
    (Plant::OneAccountGoesFirst, 500),
    (Plant::PausedQueuesStart, 500),
];

#[test]
fn every_planted_bug_is_found_within_its_seeds() {
    let mut unfound = Vec::new();
    for (plant, within) in TEETH {
        let options = Options { plant: Some(plant), readable: false };
        let found = many(0..within, options, |outcome| !outcome.violations.is_empty());
        let first = found.iter().filter(|outcome| !outcome.violations.is_empty());
        match first.min_by_key(|outcome| outcome.seed) {
            Some(outcome) => {
                let violation = &outcome.violations[0];
                println!(
                    "{plant:?}: seed {}, {}: {}",
                    outcome.seed, violation.invariant, violation.what
                );
            }
            None => unfound.push(plant),
        }
    }
    assert!(unfound.is_empty(), "not found: {unfound:?}");
}
