//! What this process takes of its machine, and how fast it receives.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes this process has in memory; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    // proc(5): `VmRSS:    12345 kB`.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.unwrap_or(0_u64).saturating_mul(1_024)
}

/// Bytes a second, as last sampled.
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    pub fn set(&self, bytes_per_second: u64) {
        self.0.store(bytes_per_second, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_takes_memory() {
        let bytes = resident_bytes();
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
