//! Memory of many slow transfers, and what they do to the API.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::origin::Origin;
use crate::server::Server;
use crate::{load, machine, median, p99};

const TRANSFERS: usize = 5_000;
/// Signed queries of one measurement of the API, and how many arrive in a second whatever the
/// answers are like.
const QUERIES: usize = 4_000;
const RATE: f64 = 400.0;

/// The origin and the queries take their share of the cores, so the API is measured three times:
/// alone; while a bare reader in this process takes the same bytes from the same origin; and while
/// Haulage does.
pub async fn many() {
    let origin = Origin::start(&["--dripping-origin"]);
    let dir = tempfile::tempdir().unwrap();
    let count = TRANSFERS.to_string();
    let environment = [
        ("HAULAGE_TRANSFERS", &*count),
        ("HAULAGE_RESERVE", "0"),
        ("HAULAGE_PER_HOST", &count),
        ("HAULAGE_MIN_SPEED", "0"),
    ];
    let server = Server::start(dir.path(), &environment);
    println!("\n{TRANSFERS} transfers at about 2 KiB/s in one process");
    let alone = latency(&server).await;
    let readers: Vec<_> =
        (0..TRANSFERS).map(|_| tokio::spawn(bare_reader(origin.address))).collect();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let read = latency(&server).await;
    for reader in readers {
        reader.abort();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    let before = machine::rss_kib(server.pid());
    for batch in 0..TRANSFERS / 20 {
        let urls: Vec<String> =
            (0..20).map(|i| format!("http://{}/{batch}-{i}.mp4", origin.address)).collect();
        server.call("UploadMediaByURL", &[("UploadURLs", &urls.join(","))]);
    }
    let limit = Instant::now() + Duration::from_secs(120);
    let running = format!("haulage_transfers {TRANSFERS}");
    while !server.metrics().lines().any(|line| line == running) {
        assert!(Instant::now() < limit, "not all transfers run");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // All have received their first pieces.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (cpu, started) = (machine::cpu_seconds(server.pid()), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let cores = (machine::cpu_seconds(server.pid()) - cpu) / started.elapsed().as_secs_f64();
    let after = machine::rss_kib(server.pid());
    let during = latency(&server).await;
    assert!(server.metrics().lines().any(|line| line == running), "all of them still run");
    println!(
        "  memory: {before:.0} KiB idle, {after:.0} KiB with them: {:.1} KiB each",
        (after - before) / TRANSFERS as f64
    );
    println!("  CPU: {cores:.2} cores");
    println!("  a signed query, {RATE} a second whatever comes of them:");
    for (when, latencies) in [
        ("alone", alone),
        ("while a bare reader takes the same", read),
        ("while Haulage takes them", during),
    ] {
        let (half, most) = (median(latencies.clone()), p99(latencies));
        println!("    {when:<36} p50 {half:.2} ms, p99 {most:.2} ms");
    }
}

/// Takes an answer and does nothing with it.
async fn bare_reader(address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut buffer = [0u8; 4_096];
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

async fn latency(server: &Server) -> Vec<f64> {
    let unknown = [("JobIds", "0123456789abcdef0123456789abcdef")];
    let requests = (0..QUERIES).map(|_| server.request("GetURLUploadInfos", &unknown)).collect();
    load::run_at(server.address, requests, RATE).await
}
