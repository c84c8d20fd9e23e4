//! The machine a figure was measured on, and what the kernel says of a process.

use std::io::Write;
use std::time::Instant;

/// Prints the machine and its fsync rate.
pub fn describe() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = cpu.lines().filter(|l| l.starts_with("processor")).count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "machine   {cores} x{}, Linux {}",
        model.trim_start_matches([':', '\t']),
        kernel.trim()
    );
    println!("commit    {}", commit());
    println!(
        "settings  synchronous=FULL, WAL, nonces checked and durable, limits lifted, log=warn"
    );
    println!("fsync     {:.0} appends of 4 KiB a second, one after the other", fsyncs_per_second());
}

/// What was measured; `+` where the sources are not those of the commit.
fn commit() -> String {
    let git =
        std::process::Command::new("git").args(["describe", "--always", "--dirty=+"]).output();
    let text = git.ok().filter(|done| done.status.success()).map(|done| done.stdout);
    text.map_or("unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

/// Appends of 4 KiB, each made durable before the next.
pub fn fsyncs_per_second() -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(dir.path().join("f")).unwrap();
    let started = Instant::now();
    let n = 1_000;
    for _ in 0..n {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(n) / started.elapsed().as_secs_f64()
}

fn stat_fields(pid: &str) -> Vec<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect()
}

/// Kernel clock ticks are hundredths of a second on Linux.
const TICKS: f64 = 100.0;

/// CPU seconds of a process.
pub fn cpu_seconds(pid: u32) -> f64 {
    let fields = stat_fields(&pid.to_string());
    (fields[11] + fields[12]) as f64 / TICKS
}

/// CPU seconds of this process's children that have ended.
pub fn cpu_seconds_of_children() -> f64 {
    let fields = stat_fields("self");
    (fields[13] + fields[14]) as f64 / TICKS
}

/// Resident memory of a process, in KiB.
pub fn rss_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}
