//! Whose job goes next: what an account with a long queue costs another one.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::server::{Server, fill_pending};
use crate::{median, p99};

/// Jobs that one account has waiting while another submits its first.
const PENDING: usize = 100_000;
/// First jobs of the other account, without the load and with it.
const FIRST_JOBS: usize = 200;

/// How long a slow origin thinks: then all slots are taken, and the processor is not.
const SLOW: Duration = Duration::from_millis(200);

const SAMPLE: &[u8] = include_bytes!("../../tests/media/sample.mp4");

/// An origin in this process, which knows when each path was asked for first.
#[derive(Clone, Debug)]
struct Witness {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Witness {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let witness = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = witness.asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, asked) = (stream.unwrap(), asked.clone());
                std::thread::spawn(move || answer(stream, &asked));
            }
        });
        witness
    }

    /// When the path was asked for.
    fn arrival(&self, path: &str) -> Instant {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.asked.lock().unwrap().get(path) {
                return *at;
            }
            assert!(Instant::now() < limit, "{path} is not asked for");
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn answer(mut stream: TcpStream, asked: &Mutex<HashMap<String, Instant>>) {
    let mut head = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(n) if n > 0 => head.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        }
        let text = String::from_utf8_lossy(&head);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        if path.starts_with("/first/") {
            asked.lock().unwrap().entry(path).or_insert_with(Instant::now);
        } else if path.starts_with("/slow/") {
            std::thread::sleep(SLOW);
        }
        head.clear();
        let length = SAMPLE.len();
        let fields = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n\r\n"
        );
        if stream.write_all(fields.as_bytes()).and_then(|()| stream.write_all(SAMPLE)).is_err() {
            return;
        }
    }
}

/// Milliseconds from a submission sent to its request at the origin, for jobs of another account
/// that has nothing else.
fn first_jobs(server: &Server, witness: &Witness, name: &str) -> Vec<f64> {
    (0..FIRST_JOBS)
        .map(|n| {
            let path = format!("/first/{name}{n}.mp4");
            let url = format!("http://{}{path}", witness.address);
            let sent = Instant::now();
            let reply =
                server.call("UploadMediaByURL", &[("UploadURLs", &url), ("Account", "other")]);
            let id = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
            let started = witness.arrival(&path).duration_since(sent);
            server.wait_success_of(&id, "other");
            started.as_secs_f64() * 1_000.0
        })
        .collect()
}

/// How long an account's first job waits alone, and beside another account's long queue: of jobs that
/// are done at once, so that the processor has no time left, and of jobs that take a while, so that no
/// slot is free.
pub async fn fair() {
    let witness = Witness::start();
    println!("\nfrom submission to request, an account's first job, {FIRST_JOBS} times");
    let alone = beside(&witness, "idle", 0).await;
    for (load, what) in [("many", "quick"), ("slow", "slow")] {
        let times = beside(&witness, load, PENDING).await;
        let ratio = median(times.clone()) / median(alone.clone());
        show(&format!("beside {PENDING} {what} ones of another"), &times);
        println!("    ratio of the medians: {ratio:.2}");
    }
    show("on an idle node", &alone);
}

fn show(name: &str, times: &[f64]) {
    let (p50, p99) = (median(times.to_vec()), p99(times.to_vec()));
    println!("  {name:40} p50 {p50:6.2} ms, p99 {p99:6.2} ms");
}

/// On a node of its own, beside so many jobs of another account.
async fn beside(witness: &Witness, load: &str, pending: usize) -> Vec<f64> {
    let environment = [("HAULAGE_PER_HOST", "1000")];
    let prefix = format!("http://{}/{load}/", witness.address);
    let dir = tempfile::tempdir().unwrap();
    fill_pending(dir.path(), &["other"], 0, &prefix).await;
    let server = Server::start(dir.path(), &environment);
    first_jobs(&server, witness, &format!("{load}-warm"));
    drop(server);
    fill_pending(dir.path(), &[], pending, &prefix).await;
    let server = Server::start(dir.path(), &environment);
    let times = first_jobs(&server, witness, load);
    let left = server.call("GetUploadStatistics", &[]);
    let left = left["Queue"]["Pending"].as_u64().unwrap();
    assert!(pending == 0 || left > 0, "the queue was long to the end");
    times
}
