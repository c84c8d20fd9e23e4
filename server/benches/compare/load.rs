//! A load generator: prepared requests over connections that are kept, one at a time on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a run measured.
#[derive(Debug)]
pub struct Load {
    pub per_second: f64,
    /// Milliseconds, one for each request.
    pub latencies: Vec<f64>,
}

/// Sends all requests over `connections`; every answer must have status 200.
pub async fn run(address: SocketAddr, requests: Vec<Vec<u8>>, connections: usize) -> Load {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let lanes: Vec<_> = (0..connections)
        .map(|_| {
            let (requests, next) = (requests.clone(), next.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut latencies = Vec::new();
                let mut buffer = vec![0u8; 64 * 1024];
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    stream.write_all(request).await.unwrap();
                    answer(&mut stream, &mut buffer).await;
                    latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for lane in lanes {
        latencies.extend(lane.await.unwrap());
    }
    let per_second = latencies.len() as f64 / started.elapsed().as_secs_f64();
    Load { per_second, latencies }
}

/// Lanes of [`run_at`]: enough that a request waits for its time and not for a lane.
const LANES: usize = 64;

/// Sends `per_second` requests a second whatever becomes of them; milliseconds from the moment each
/// was due, so that an answer that is late makes none of the others look early.
pub async fn run_at(address: SocketAddr, requests: Vec<Vec<u8>>, per_second: f64) -> Vec<f64> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now() + Duration::from_millis(200);
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (requests, next) = (requests.clone(), next.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut latencies = Vec::new();
                let mut buffer = vec![0u8; 64 * 1024];
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(n) else { return latencies };
                    let due = begin + Duration::from_secs_f64(n as f64 / per_second);
                    tokio::time::sleep_until(due.into()).await;
                    stream.write_all(request).await.unwrap();
                    answer(&mut stream, &mut buffer).await;
                    latencies.push(due.elapsed().as_secs_f64() * 1_000.0);
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for lane in lanes {
        latencies.extend(lane.await.unwrap());
    }
    latencies
}

async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(n > 0, "the server closed a connection");
        filled += n;
        let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).unwrap().to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        if filled >= end + 4 + length {
            let text = String::from_utf8_lossy(&buffer[..filled]);
            assert!(head.starts_with("http/1.1 200"), "{text}");
            return;
        }
    }
}
