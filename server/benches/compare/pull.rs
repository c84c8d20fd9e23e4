//! One large pull beside curl and aria2.

use crate::ROUNDS;
use crate::origin::Origin;
use crate::peers::{Cost, Side, compare};
use crate::server::Server;

const BYTES: usize = 1 << 30;

/// Haulage hashes, syncs, probes and commits; the peers write and are done.
pub async fn large() {
    let origin = Origin::start(&["--origin", &BYTES.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    let server = |name: &str, sha256_max: &str| {
        Server::start(&dir.path().join(name), &[("HAULAGE_SHA256_MAX", sha256_max)])
    };
    let servers = [server("crc", "0"), server("sha", "1TiB")];
    println!("\none pull of 1 GiB from memory on loopback, {ROUNDS} rounds in turns");
    let mut sides = vec![
        Side::new("haulage (CRC-64, fsync, probe, commit)"),
        Side::new("haulage (SHA-256 too)"),
        Side::new("curl -o (no fsync)"),
        Side::new("aria2c -x1 (no fsync)"),
    ];
    for round in 0..ROUNDS {
        let url = format!("http://{}/{round}.mp4", origin.address);
        // A new directory each round: a name that was just deleted is slow to make again.
        let out = dir.path().join(format!("peers-{round}"));
        std::fs::create_dir(&out).unwrap();
        for turn in 0..sides.len() {
            // Nobody is always first.
            match (turn + round) % sides.len() {
                ours @ (0 | 1) => {
                    let server = &servers[ours];
                    let cost = Cost::of(server.pid(), || server.wait_success(&server.submit(&url)));
                    sides[ours].costs.push(cost);
                }
                2 => {
                    let file = out.join("curl").display().to_string();
                    let arguments = ["-sS", "--noproxy", "*", "-o", &file, &url];
                    sides[2].run("curl", &arguments.map(str::to_owned));
                    let _ = std::fs::remove_file(file);
                }
                _ => {
                    let dir = format!("--dir={}", out.display());
                    let arguments = ["-q", "-x1", "--file-allocation=none", &dir, &url];
                    sides[3].run("aria2c", &arguments.map(str::to_owned));
                    let _ = std::fs::remove_file(out.join(format!("{round}.mp4")));
                }
            }
        }
    }
    compare(&sides, 1.0, "GiB", 2);
}
