//! What Haulage costs, beside peers, in one run on one machine.
//!
//! `cargo bench --bench compare -- [api] [claims] [console] [enqueue] [fair] [lists] [nodes] [pull]
//! [small] [slow]` (all by default). Figures beside peers are the median of [`ROUNDS`] rounds in which the
//! sides take turns; the ratio is what to quote. The load generator shares the cores with what it
//! measures. Traffic stays on loopback.

#![expect(unreachable_pub, reason = "a bench has no outside")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time and dials loopback")]

mod api;
mod console;
mod depths;
mod fair;
mod load;
mod machine;
mod nodes;
mod origin;
mod pages;
mod peers;
#[path = "../../src/store/postgres/tests/cluster.rs"]
#[expect(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod pull;
mod server;
mod slow;
mod small;

/// Counted rounds of every measurement.
pub const ROUNDS: usize = 5;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // This program is also the peers it measures against, as processes of their own.
    match args.first().map(String::as_str) {
        Some("--trivial-server") => return api::trivial_server(),
        Some("--origin") => return origin::serve(args[1].parse().unwrap()),
        Some("--dripping-origin") => return origin::drip(),
        _ => {}
    }
    let all = args.is_empty();
    let wanted = |name: &str| all || args.iter().any(|a| a == name);
    machine::describe();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if wanted("api") {
            api::cancel().await;
        }
        if wanted("claims") {
            depths::verbs().await;
        }
        if wanted("console") {
            console::pages().await;
        }
        if wanted("enqueue") {
            api::enqueue().await;
        }
        if wanted("fair") {
            fair::fair().await;
        }
        if wanted("lists") {
            pages::lists().await;
        }
        if wanted("nodes") {
            nodes::three().await;
        }
        if wanted("pull") {
            pull::large().await;
        }
        if wanted("small") {
            small::many().await;
        }
        if wanted("slow") {
            slow::many().await;
        }
    });
}

/// The middle of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that 99 of 100 stay below.
pub fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}
