//! Memory of many slow transfers, and what they do to the API.

use std::time::{Duration, Instant};

use crate::origin::Origin;
use crate::server::Server;
use crate::{load, machine, median, p99};

const TRANSFERS: usize = 1_000;

pub async fn many() {
    let origin = Origin::start(&["--dripping-origin"]);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(
        dir.path(),
        &[
            ("HAULAGE_TRANSFERS", "1000"),
            ("HAULAGE_RESERVE", "0"),
            ("HAULAGE_PER_HOST", "1000"),
            ("HAULAGE_MIN_SPEED", "0"),
        ],
    );
    let before = machine::rss_kib(server.pid());
    let quiet = latency(&server).await;
    for batch in 0..TRANSFERS / 20 {
        let urls: Vec<String> =
            (0..20).map(|i| format!("http://{}/{batch}-{i}.mp4", origin.address)).collect();
        server.call("UploadMediaByURL", &[("UploadURLs", &urls.join(","))]);
    }
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let page = metrics(&server);
        if page.contains(&format!("haulage_transfers {TRANSFERS}")) {
            break;
        }
        assert!(Instant::now() < limit, "not all transfers run");
        std::thread::sleep(Duration::from_millis(100));
    }
    // All have received their first pieces.
    std::thread::sleep(Duration::from_secs(5));
    let (cpu, started) = (machine::cpu_seconds(server.pid()), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let cores = (machine::cpu_seconds(server.pid()) - cpu) / started.elapsed().as_secs_f64();
    let during = latency(&server).await;
    let after = machine::rss_kib(server.pid());
    println!("\n{TRANSFERS} transfers at about 2 KiB/s in one process");
    println!(
        "  memory: {before:.0} KiB idle, {after:.0} KiB with them: {:.1} KiB each",
        (after - before) / TRANSFERS as f64
    );
    println!("  CPU: {cores:.2} cores");
    println!(
        "  a signed query's p99: {:.2} ms before, {:.2} ms during (p50 {:.2}, {:.2})",
        p99(quiet.clone()),
        p99(during.clone()),
        median(quiet),
        median(during)
    );
}

async fn latency(server: &Server) -> Vec<f64> {
    let unknown = [("JobIds", "0123456789abcdef0123456789abcdef")];
    let requests = (0..2_000).map(|_| server.request("GetURLUploadInfos", &unknown)).collect();
    load::run(server.address, requests, 4).await.latencies
}

fn metrics(server: &Server) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
