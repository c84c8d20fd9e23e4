//! `cargo run --release --manifest-path sim/Cargo.toml -- --seeds 100000`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sim::{Options, Plant, run};

const USAGE: &str = "\
sim --seeds N [--from N] [--jobs N] [--minutes N] [--plant NAME]   runs seeds, and stops at the first that finds something
sim --seed N [--plant NAME]                                        runs one seed and shows what happened
";

fn main() -> ExitCode {
    let mut asked = BTreeMap::new();
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next();
        match (name.strip_prefix("--"), value) {
            (Some(name), Some(value)) => asked.insert(name.to_owned(), value),
            _ => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        };
    }
    let number = |name: &str| asked.get(name).and_then(|value| value.parse::<u64>().ok());
    let plant = asked.get("plant").map(|name| {
        let found = Plant::ALL.into_iter().find(|plant| format!("{plant:?}") == *name);
        found.unwrap_or_else(|| panic!("no such plant; there are {:?}", Plant::ALL))
    });
    if let Some(seed) = number("seed") {
        return show(seed, Options { plant, readable: true });
    }
    let Some(seeds) = number("seeds") else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let limit = number("minutes").map(|minutes| Duration::from_secs(60 * minutes));
    let jobs = number("jobs").unwrap_or(1).max(1);
    many(number("from").unwrap_or(0), seeds, jobs, limit, Options { plant, readable: false })
}

fn show(seed: u64, options: Options) -> ExitCode {
    let outcome = run(seed, options);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("seed {seed}: {} events, hash {:016x}", outcome.events, outcome.hash);
    for violation in &outcome.violations {
        println!("invariant {}: {}", violation.invariant, violation.what);
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    events: u64,
    jobs: u64,
    virtual_seconds: u64,
    failed: Vec<u64>,
    coverage: BTreeMap<String, u64>,
}

/// Runs `seeds` seeds on so many threads; each seed runs on one.
fn many(from: u64, seeds: u64, jobs: u64, limit: Option<Duration>, options: Options) -> ExitCode {
    let began = tokio::time::Instant::now();
    let (next, sum) = (AtomicU64::new(from), Mutex::new(Sum::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_late = limit.is_some_and(|limit| began.elapsed() > limit);
            if seed >= from + seeds || is_late {
                return;
            }
            let outcome = run(seed, options);
            let mut sum = sum.lock().expect("no thread panics while it adds up");
            sum.seeds += 1;
            sum.events += outcome.events;
            sum.jobs += outcome.jobs as u64;
            sum.virtual_seconds += outcome.took.as_secs();
            for (what, times) in outcome.coverage {
                *sum.coverage.entry(what).or_default() += times;
            }
            if let Some(first) = outcome.violations.first() {
                sum.failed.push(seed);
                println!("seed {seed}: invariant {}: {}", first.invariant, first.what);
                println!("    cargo run --release --manifest-path sim/Cargo.toml -- --seed {seed}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let sum = sum.into_inner().expect("no thread panicked");
    for (what, times) in &sum.coverage {
        println!("{times:>9} {what}");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds from {from}, {} events, {} jobs, {} virtual hours in {seconds:.0} s: {:.1} seeds/s",
        sum.seeds,
        sum.events,
        sum.jobs,
        sum.virtual_seconds / 3_600,
        sum.seeds as f64 / seconds
    );
    println!("{} passed, {} failed", sum.seeds - sum.failed.len() as u64, sum.failed.len());
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
