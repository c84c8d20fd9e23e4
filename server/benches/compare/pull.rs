//! One large pull beside curl.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::origin::Origin;
use crate::server::Server;
use crate::{ROUNDS, machine, median};

const BYTES: usize = 1 << 30;
const GIB: f64 = (1u64 << 30) as f64;

/// Haulage hashes (SHA-256 and CRC-64), syncs, probes and commits; curl writes and is done.
pub async fn large() {
    let origin = Origin::start(&["--origin", &BYTES.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    println!("\none pull of 1 GiB from memory on loopback, median of {ROUNDS} rounds in turns");
    let (mut ours, mut peer) = ((vec![], vec![]), (vec![], vec![]));
    for round in 0..ROUNDS {
        let url = format!("http://{}/{round}.mp4", origin.address);
        let (cpu, started) = (machine::cpu_seconds(server.pid()), Instant::now());
        let id = server.submit(&url);
        server.wait_success(&id);
        ours.0.push(BYTES as f64 / 1e6 / started.elapsed().as_secs_f64());
        ours.1.push((machine::cpu_seconds(server.pid()) - cpu) / (BYTES as f64 / GIB));

        let (cpu, started) = (machine::cpu_seconds_of_children(), Instant::now());
        let out = dir.path().join("curl.out");
        let curl = Command::new("curl")
            .args(["-sS", "--noproxy", "*", "-o"])
            .arg(&out)
            .arg(&url)
            .stdout(Stdio::null())
            .status();
        match curl {
            Ok(status) if status.success() => {
                peer.0.push(BYTES as f64 / 1e6 / started.elapsed().as_secs_f64());
                let cpu = machine::cpu_seconds_of_children() - cpu;
                peer.1.push(cpu / (BYTES as f64 / GIB));
            }
            _ => println!("  curl did not run"),
        }
        let _ = std::fs::remove_file(&out);
    }
    let (mb, cpu) = (median(ours.0), median(ours.1));
    let (curl_mb, curl_cpu) = (median(peer.0), median(peer.1));
    println!("  haulage (hashed, fsynced, probed, committed): {mb:.0} MB/s, {cpu:.2} CPU s/GiB");
    println!(
        "  curl -o (no fsync):                           {curl_mb:.0} MB/s, {curl_cpu:.2} CPU s/GiB"
    );
    println!("  ratio: {:.2} x the speed, {:.2} x the CPU", mb / curl_mb, cpu / curl_cpu);
}
