//! Programs that do the same work: run one after the other, and measured alike. One that is not
//! installed is left out, loudly: a missing column must not look like a good one.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::machine;

/// What a piece of work cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall clock.
    pub seconds: f64,
    /// User and system, of all processes that did it.
    pub cpu: f64,
}

impl Cost {
    /// Measures something that a running process does.
    pub fn of(pid: u32, work: impl FnOnce()) -> Self {
        let (cpu, started) = (machine::cpu_seconds(pid), Instant::now());
        work();
        let seconds = started.elapsed().as_secs_f64();
        Self { seconds, cpu: machine::cpu_seconds(pid) - cpu }
    }
}

/// One side of a comparison: its name and what it cost in each round.
#[derive(Debug)]
pub struct Side {
    pub name: &'static str,
    pub costs: Vec<Cost>,
}

impl Side {
    pub fn new(name: &'static str) -> Self {
        Self { name, costs: Vec::new() }
    }

    /// Runs a program to its end. When it cannot be run it is left out from then on.
    pub fn run(&mut self, program: &str, arguments: &[String]) {
        let (cpu, started) = (machine::cpu_seconds_of_children(), Instant::now());
        let ran = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let seconds = started.elapsed().as_secs_f64();
        match ran {
            Ok(status) if status.success() => {
                let cpu = machine::cpu_seconds_of_children() - cpu;
                self.costs.push(Cost { seconds, cpu });
            }
            Ok(status) => println!("  !!! {program} FAILED ({status}): it is LEFT OUT"),
            Err(error) => println!("  !!! {program} DID NOT RUN ({error}): it is LEFT OUT"),
        }
    }

    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        crate::median(self.costs.iter().map(of).collect())
    }
}

/// Prints each side's rate and CPU, and the first sides' ratios to all peers: of each round, then
/// the median. `units` of work were done in a round.
pub fn compare(sides: &[Side], units: f64, unit: &str, ours: usize) {
    for side in sides {
        if side.costs.is_empty() {
            println!("  {:<38} !!! LEFT OUT", side.name);
            continue;
        }
        let (rate, cpu) = (units / side.median(|c| c.seconds), side.median(|c| c.cpu) / units);
        println!("  {:<38} {rate:>9.1} {unit}/s {:>9.5} CPU s/{unit}", side.name, cpu);
    }
    for side in &sides[..ours] {
        for peer in &sides[ours..] {
            let rounds = || side.costs.iter().zip(&peer.costs);
            let speed: Vec<f64> = rounds().map(|(a, b)| b.seconds / a.seconds).collect();
            let cpu: Vec<f64> = rounds().map(|(a, b)| a.cpu / b.cpu).collect();
            if !speed.is_empty() {
                let range = |values: &[f64]| {
                    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                    let most = values.iter().copied().fold(0.0, f64::max);
                    format!("{:.2} [{least:.2}-{most:.2}]", crate::median(values.to_vec()))
                };
                println!(
                    "  {} : {} = {} x the speed, {} x the CPU",
                    side.name,
                    peer.name,
                    range(&speed),
                    range(&cpu)
                );
            }
        }
    }
}
