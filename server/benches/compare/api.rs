//! Signed operations beside a handler that does nothing.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::load::{self, Load};
use crate::server::{Server, fill};
use crate::{ROUNDS, median, p99};

/// Requests of one round of cancels; each cancels ten pending jobs.
const CANCELS: usize = 200;
/// Requests of one round of the trivial handler and of submissions.
const CALLS: usize = 5_000;

/// The peer: an axum handler that answers at once. Prints its address.
pub fn trivial_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(|| async { "ok" });
        axum::serve(listener, app).await.unwrap();
    });
}

#[derive(Debug)]
struct Trivial {
    child: Child,
    address: SocketAddr,
}

impl Trivial {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--trivial-server")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    async fn round(&self, like: &[u8], connections: usize) -> Load {
        load::run(self.address, vec![like.to_vec(); CALLS], connections).await
    }
}

impl Drop for Trivial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Durable cancels of ten ids, with ten thousand and a million jobs pending.
pub async fn cancel() {
    let trivial = Trivial::start();
    println!("\nsigned cancel of 10 pending ids, 16 connections, median of {ROUNDS} rounds");
    for pending in [10_000, 1_000_000] {
        let dir = tempfile::tempdir().unwrap();
        let ids = fill(dir.path(), pending).await;
        let server = Server::start(dir.path(), &[("HAULAGE_TRANSFERS", "0")]);
        // Spread over the whole queue, each id once.
        let stride = pending / (CANCELS * 10 * ROUNDS);
        let mut lists = (0..CANCELS * ROUNDS).map(|i| {
            (0..10).map(|k| ids[(i * 10 + k) * stride].clone()).collect::<Vec<_>>().join(",")
        });
        let (mut rates, mut ratios, mut latencies) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let requests: Vec<Vec<u8>> = lists
                .by_ref()
                .take(CANCELS)
                .map(|list| server.request("CancelUrlUploadJobs", &[("JobIds", &list)]))
                .collect();
            let like = requests[0].clone();
            let ours = load::run(server.address, requests, 16).await;
            let peer = trivial.round(&like, 16).await;
            rates.push(ours.per_second);
            ratios.push(ours.per_second / peer.per_second);
            latencies.extend(ours.latencies);
        }
        println!(
            "  {pending:>9} pending: {:>7.0} cancels/s, {:.2} of a trivial handler, p50 {:.2} ms, p99 {:.2} ms",
            median(rates),
            median(ratios),
            median(latencies.clone()),
            p99(latencies),
        );
    }
}

/// Durable submissions of one URL each.
pub async fn enqueue() {
    let trivial = Trivial::start();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("HAULAGE_TRANSFERS", "0")]);
    println!("\nsigned durable submit of 1 URL, 64 connections, median of {ROUNDS} rounds");
    let (mut rates, mut ratios, mut latencies) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let requests: Vec<Vec<u8>> = (0..CALLS)
            .map(|i| {
                let url = format!("http://m.example/{round}/{i}.mp4");
                server.request("UploadMediaByURL", &[("UploadURLs", &url)])
            })
            .collect();
        let like = requests[0].clone();
        let ours = load::run(server.address, requests, 64).await;
        let peer = trivial.round(&like, 64).await;
        rates.push(ours.per_second);
        ratios.push(ours.per_second / peer.per_second);
        latencies.extend(ours.latencies);
    }
    let fsyncs = crate::machine::fsyncs_per_second();
    println!(
        "  {:.0} submits/s, {:.2} of a trivial handler, {:.1} x the fsync rate, p50 {:.2} ms, p99 {:.2} ms",
        median(rates.clone()),
        median(ratios),
        median(rates) / fsyncs,
        median(latencies.clone()),
        p99(latencies),
    );
}
