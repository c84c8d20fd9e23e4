//! Many small pulls beside `curl --parallel` and aria2.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::ROUNDS;
use crate::origin::Origin;
use crate::peers::{Cost, Side, compare};
use crate::server::Server;

/// Files of a round, and their size.
const FILES: usize = 4_000;
const BYTES: usize = 64 << 10;
const AT_ONCE: &str = "256";

/// Haulage syncs, probes and commits each file; the peers write and are done.
pub async fn many() {
    let origin = Origin::start(&["--origin", &BYTES.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    let environment = [("HAULAGE_TRANSFERS", AT_ONCE), ("HAULAGE_PER_HOST", AT_ONCE)];
    let server = Server::start(&dir.path().join("haulage"), &environment);
    println!("\n{FILES} files of 64 KiB, {AT_ONCE} at once, {ROUNDS} rounds in turns");
    let mut sides = vec![
        Side::new("haulage (SHA-256, fsync, probe, commit)"),
        Side::new("curl --parallel (no fsync)"),
        Side::new("aria2c -j (no fsync)"),
    ];
    for round in 0..ROUNDS {
        let urls: Vec<String> =
            (0..FILES).map(|i| format!("http://{}/{round}/{i}.mp4", origin.address)).collect();
        let out = dir.path().join(format!("peers-{round}"));
        std::fs::create_dir_all(out.join("curl")).unwrap();
        std::fs::create_dir_all(out.join("aria2")).unwrap();
        for turn in 0..sides.len() {
            match (turn + round) % sides.len() {
                0 => {
                    let done = (round + 1) * FILES;
                    let cost = Cost::of(server.pid(), || pull(&server, &urls, done));
                    sides[0].costs.push(cost);
                }
                1 => {
                    let list = out.join("curl.txt");
                    let mut text = String::from("silent\nnoproxy = \"*\"\n");
                    for (i, url) in urls.iter().enumerate() {
                        let file = out.join(format!("curl/{i}.mp4"));
                        let _ = writeln!(text, "url = \"{url}\"\noutput = \"{}\"", file.display());
                    }
                    std::fs::write(&list, text).unwrap();
                    let list = list.display().to_string();
                    let arguments = ["--parallel", "--parallel-max", AT_ONCE, "-K", &list];
                    sides[1].run("curl", &arguments.map(str::to_owned));
                }
                _ => {
                    let list = out.join("aria2.txt");
                    std::fs::write(&list, urls.join("\n")).unwrap();
                    let input = format!("--input-file={}", list.display());
                    let dir = format!("--dir={}", out.join("aria2").display());
                    let at_once = format!("-j{AT_ONCE}");
                    let arguments = ["-q", &at_once, "--file-allocation=none", &dir, &input];
                    sides[2].run("aria2c", &arguments.map(str::to_owned));
                }
            }
        }
    }
    compare(&sides, FILES as f64, "file", 1);
}

/// Submits all and waits until `done` have succeeded since the start.
fn pull(server: &Server, urls: &[String], done: usize) {
    for batch in urls.chunks(20) {
        server.call("UploadMediaByURL", &[("UploadURLs", &batch.join(","))]);
    }
    let finished = format!("haulage_jobs_finished_total{{outcome=\"success\"}} {done}");
    let limit = Instant::now() + Duration::from_secs(300);
    while !server.metrics().lines().any(|line| line == finished) {
        assert!(Instant::now() < limit, "not all files come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
