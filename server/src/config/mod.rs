//! The configuration in force. Loading it (flag, environment, file, default) is in `load`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::blob::Place;
use crate::blob::place::BucketKey;
use crate::domain::digest::Md5Rule;
use crate::fetch::guard::EgressAllow;

pub mod document;
pub mod load;
pub mod settings;
mod values;

pub use values::{duration_text, parse_duration, size_text};

/// Every setting, with its default. Names, environment spellings and meanings are in
/// `docs/configuration.md`, which is generated.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Base of play URLs and Recommend links; from `listen` when `None`.
    pub public_url: Option<String>,
    pub data_dir: PathBuf,
    pub database_url: Option<String>,
    /// Where objects are kept when a call names no location; below `data_dir` when `None`.
    pub storage_url: Option<Place>,
    /// Further storage locations by name.
    pub storage_locations: BTreeMap<String, Place>,
    /// Keys of buckets, by location.
    pub storage_keys: BTreeMap<String, BucketKey>,
    /// Bytes of one part of an upload to a bucket.
    pub storage_part_bytes: u64,
    /// Parts that this node holds in memory at once.
    pub storage_parts: usize,
    /// Longest wait for a bucket's answer.
    pub storage_timeout: Duration,
    /// First account's key, when the operator chooses it.
    pub access_key_id: Option<String>,
    pub access_key_secret: Option<String>,
    pub egress_allow: Vec<EgressAllow>,
    /// Concurrent transfers of this node.
    pub transfers: usize,
    pub log: String,
    pub log_json: bool,
    /// Calls a second by operation, overriding the documented ones; 0 = no limit.
    pub qps: BTreeMap<String, u32>,
    /// DNS servers; the system's when empty.
    pub resolvers: Vec<SocketAddr>,
    pub extra_ca: Option<PathBuf>,
    /// Whether origins may be spoken to in HTTP/2.
    pub http2: bool,
    /// Bytes.
    pub max_bytes: u64,
    pub attempts: u32,
    pub backoff: Duration,
    pub backoff_max: Duration,
    pub connect_timeout: Duration,
    pub header_timeout: Duration,
    pub stall_timeout: Duration,
    /// Bytes a second, over `min_speed_window`.
    pub min_speed: u64,
    pub min_speed_window: Duration,
    pub job_deadline: Duration,
    pub lease: Duration,
    /// Concurrent connections to one source host.
    pub per_host: usize,
    /// Concurrent transfers of one account; 0 = no limit.
    pub per_account: usize,
    /// Transfers kept for accounts that have few; `None` follows from `transfers`.
    pub reserve: Option<usize>,
    /// Bytes a second that all transfers of this node may receive; 0 = no limit.
    pub bandwidth: u64,
    /// Bytes a second that the transfers of one account may receive; 0 = no limit.
    pub account_bandwidth: u64,
    /// Redirects followed for one source.
    pub redirects: usize,
    /// Leases of one job that may end without a word of their worker.
    pub rescues: u32,
    /// `UploadMediaByURL` calls of one account in one UTC day; 0 = no limit.
    pub calls_per_day: u32,
    /// Jobs of one account that may wait at once; 0 = no limit.
    pub pending_jobs: u64,
    /// Bytes and time between two checkpoints of a transfer.
    pub checkpoint_bytes: u64,
    pub checkpoint_interval: Duration,
    /// Bytes and age of unfinished files kept for waiting jobs.
    pub partial_bytes: u64,
    pub partial_age: Duration,
    /// How long a failed or cancelled job's record is kept.
    pub retention: Duration,
    /// How long a sign-in to the console lasts.
    pub console_session: Duration,
    /// How long running transfers may go on after SIGTERM.
    pub drain: Duration,
    /// Validity of play URLs whose caller did not say.
    pub auth_timeout: Duration,
    /// Bytes that must stay free on the disks of the store and the objects; below it submissions
    /// are refused.
    pub min_free: u64,
    /// When MD5 is computed.
    pub md5: Md5Rule,
    /// Bytes of the largest file whose SHA-256 is computed unasked; 0 = of none.
    pub sha256_max: u64,
    /// `ffprobe` program; looked up in PATH when `None`.
    pub ffprobe: Option<PathBuf>,
    /// Concurrent connections the API accepts.
    pub connections: usize,
}

/// Unless told otherwise, one of so many transfers is kept for accounts that have few.
const RESERVE_FRACTION: usize = 8;

impl Config {
    /// Transfers kept for accounts that have few. The only one there is is not kept.
    pub fn reserved(&self) -> usize {
        let most = self.transfers.saturating_sub(1);
        self.reserve.unwrap_or((self.transfers / RESERVE_FRACTION).max(1)).min(most)
    }
}

impl Default for Config {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8710)),
            public_url: None,
            data_dir: PathBuf::from("./haulage-data"),
            database_url: None,
            storage_url: None,
            storage_locations: BTreeMap::new(),
            storage_keys: BTreeMap::new(),
            storage_part_bytes: 16 * MIB,
            storage_parts: 16,
            storage_timeout: Duration::from_secs(60),
            access_key_id: None,
            access_key_secret: None,
            egress_allow: Vec::new(),
            transfers: 64,
            log: "info".to_owned(),
            log_json: false,
            qps: BTreeMap::new(),
            resolvers: Vec::new(),
            extra_ca: None,
            max_bytes: 20 * GIB,
            attempts: 5,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            http2: false,
            connect_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            min_speed: 1 << 10,
            min_speed_window: Duration::from_secs(60),
            job_deadline: DAY,
            lease: Duration::from_secs(30),
            per_host: 8,
            per_account: 0,
            reserve: None,
            bandwidth: 0,
            account_bandwidth: 0,
            redirects: 10,
            rescues: 20,
            calls_per_day: 200_000,
            pending_jobs: 0,
            checkpoint_bytes: 64 * MIB,
            checkpoint_interval: Duration::from_secs(10),
            partial_bytes: 64 * GIB,
            partial_age: DAY,
            retention: DAY * 366,
            console_session: Duration::from_secs(12 * 3_600),
            drain: Duration::from_secs(25),
            auth_timeout: Duration::from_secs(3_600),
            min_free: 64 * MIB,
            md5: Md5Rule::Asked,
            sha256_max: 256 * MIB,
            ffprobe: None,
            connections: 4_096,
        }
    }
}

/// Most edits at which a name still counts as a misspelling of another.
const NEAR: usize = 3;

/// The known name nearest to `name`, when it is near enough to be meant.
fn nearest<N: AsRef<str>>(name: &str, known: impl IntoIterator<Item = N>) -> Option<String> {
    let distances = known.into_iter().map(|near| (edits(name, near.as_ref()), near));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    let near = near.as_ref();
    (distance <= NEAR && distance * 2 < near.len()).then(|| near.to_owned())
}

/// How many insertions, deletions and replacements make `b` of `a` (Levenshtein), case ignored.
fn edits(a: &str, b: &str) -> usize {
    let b = b.to_lowercase();
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_by_hand() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
            ("ab", "BA", 2),
        ] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
            assert_eq!(edits(b, a), distance, "{b} {a}");
        }
    }
}
