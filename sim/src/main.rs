//! `cargo run --release --manifest-path sim/Cargo.toml -- --seeds 100000`

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use sim::{Options, Outcome, Plant, run};

/// As the product has it; half of what a seed costs is small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
sim --seeds N [--from N] [--jobs N] [--minutes N] [--plant NAME] [--progress FILE]
                                   runs seeds, and names those that find something
sim --seed N [--plant NAME]        runs one seed and shows what happened
";

/// Seeds between two writings of the progress.
const PROGRESS: u64 = 500;
/// One in so many seeds is run again, and must be the same to the last event.
const TWICE: u64 = 100;

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
    let Some(count) = number("seeds") else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let many = Many {
        from: number("from").unwrap_or(0),
        count,
        limit: number("minutes").map(|minutes| Duration::from_secs(60 * minutes)),
        progress: asked.get("progress").map(PathBuf::from),
        options: Options { plant, readable: false },
    };
    many.run(number("jobs").unwrap_or(1).max(1))
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

/// A run of many seeds.
#[derive(Debug)]
struct Many {
    from: u64,
    count: u64,
    limit: Option<Duration>,
    /// Where the sum is kept meanwhile.
    progress: Option<PathBuf>,
    options: Options,
}

#[derive(Default, Debug)]
struct Sum {
    seeds: u64,
    events: u64,
    jobs: u64,
    virtual_seconds: u64,
    /// Seeds that were run again and were the same.
    same: u64,
    failed: Vec<u64>,
    coverage: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.events += outcome.events;
        self.jobs += outcome.jobs as u64;
        self.virtual_seconds += outcome.took.as_secs();
        for (what, times) in outcome.coverage {
            *self.coverage.entry(what).or_default() += times;
        }
        if let Some(first) = outcome.violations.first() {
            self.fail(outcome.seed, &format!("invariant {}: {}", first.invariant, first.what));
        }
    }

    fn fail(&mut self, seed: u64, why: &str) {
        self.failed.push(seed);
        println!("seed {seed}: {why}");
        println!("    cargo run --release --manifest-path sim/Cargo.toml -- --seed {seed}");
    }

    /// As docs/campaigns.jsonl counts.
    fn counts(&self, from: u64) -> serde_json::Value {
        json!({
            "from": from,
            "seeds": self.seeds,
            "events": self.events,
            "jobs": self.jobs,
            "run twice": self.same,
            "virtual hours": self.virtual_seconds / 3_600,
            "violations": self.failed.len(),
            "failed": self.failed,
        })
    }
}

impl Many {
    /// Runs the seeds on so many threads; each seed runs on one.
    fn run(&self, threads: u64) -> ExitCode {
        let began = tokio::time::Instant::now();
        let (next, sum) = (AtomicU64::new(self.from), Mutex::new(Sum::default()));
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let is_late = self.limit.is_some_and(|limit| began.elapsed() > limit);
                if seed >= self.from + self.count || is_late {
                    return;
                }
                let once =
                    || std::panic::catch_unwind(AssertUnwindSafe(|| run(seed, self.options)));
                let (outcome, again) = (once(), (seed % TWICE == 0).then(once));
                let mut sum = sum.lock().expect("no thread panics while it adds up");
                sum.seeds += 1;
                match (&outcome, &again) {
                    (Ok(one), Some(Ok(other))) if one.hash == other.hash => sum.same += 1,
                    (_, Some(_)) => sum.fail(seed, "invariant 32: it ran otherwise again"),
                    (_, None) => {}
                }
                match outcome {
                    Ok(outcome) => sum.add(outcome),
                    Err(_) => sum.fail(seed, "the simulator panicked"),
                }
                if sum.seeds % PROGRESS == 0 {
                    self.keep(&sum);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        let sum = sum.into_inner().expect("no thread panicked");
        self.keep(&sum);
        for (what, times) in &sum.coverage {
            println!("{times:>9} {what}");
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{}", sum.counts(self.from));
        println!("{seconds:.0} s: {:.1} seeds/s", sum.seeds as f64 / seconds);
        println!("{} passed, {} failed", sum.seeds - sum.failed.len() as u64, sum.failed.len());
        if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// A run that is cut short has its sum up to then in the file.
    fn keep(&self, sum: &Sum) {
        if let Some(path) = &self.progress
            && let Err(error) = std::fs::write(path, format!("{}\n", sum.counts(self.from)))
        {
            eprintln!("cannot write {}: {error}", path.display());
        }
    }
}
