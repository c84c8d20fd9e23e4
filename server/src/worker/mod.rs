//! The worker: claims jobs, pulls them, and keeps the promises of a lease.
//!
//! [`claims`] hands jobs to slots, [`one_job`] is the story of one of them, [`beat`] keeps the
//! leases of all alive, `integrity` compares digests, [`janitor`] ends leases that nobody keeps and
//! removes what a crash left, [`partials`] what unfinished transfers left.
//! A worker may be paused or cut off at any moment: every write names its token, and objects carry
//! it in their name, so a worker that lost its lease changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::blob::Locations;
use crate::blob::spool::Spool;
use crate::domain::digest::Md5Rule;
use crate::domain::retry::Backoff;
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::door::Clock;
use crate::door::random::Chance;
use crate::door::vault::Vault;
use crate::fetch::Fetcher;
use crate::probe::Examine;
use crate::run::stop::Stop;
use crate::run::tasks::Tasks;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

pub mod beat;
pub mod board;
pub mod claims;
mod held;
mod integrity;
pub mod janitor;
pub mod one_job;
pub mod pace;
pub mod partials;
#[cfg(test)]
mod tests;

use board::Board;
pub use held::Rhythm;
use pace::Pace;
use partials::PartialLimits;

/// What the tasks of a worker share.
#[derive(Debug)]
pub struct Worker {
    pub store: Arc<dyn Store>,
    pub fetcher: Fetcher,
    pub spool: Spool,
    pub locations: Locations,
    pub probe: Arc<dyn Examine>,
    /// Opens the headers that callers confide for their sources.
    pub vault: Vault,
    /// The time that jobs go by.
    pub clock: Clock,
    /// The time of day, as files and nonces have it.
    pub wall: Clock,
    /// Spreads the pauses between attempts.
    pub chance: Chance,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    /// Told when there may be something to claim.
    pub wake: Arc<Notify>,
    /// One permit for each transfer this node may run.
    pub slots: Arc<Semaphore>,
    /// How fast the transfers may be, together.
    pub pace: Pace,
    pub rules: WorkRules,
    pub tasks: Tasks,
    pub stop: Stop,
}

impl Worker {
    /// What ends by this time is over by both clocks, and may be forgotten.
    fn past(&self) -> Timestamp {
        self.clock.now().min(self.wall.now())
    }
}

/// The configured numbers a worker goes by.
#[derive(Clone, Copy, Debug)]
pub struct WorkRules {
    pub backoff: Backoff,
    pub lease: Duration,
    /// What one account may have of the slots.
    pub shares: Shares,
    /// Leases of one job that may end without a word of their worker.
    pub rescues: u32,
    /// Bytes that must stay free for submissions; transfers leave half of them alone.
    pub min_free: u64,
    /// When MD5 is computed.
    pub md5: Md5Rule,
    /// Bytes of the largest file whose SHA-256 is computed unasked; 0 = of none.
    pub sha256_max: u64,
    /// How long failed and cancelled jobs are kept.
    pub retention: Duration,
    /// When a transfer makes checkpoints.
    pub rhythm: Rhythm,
    pub partials: PartialLimits,
}

impl WorkRules {
    /// Bytes up to which SHA-256 is computed of a file that is announced to have `length` bytes.
    /// What will be too large is not even begun.
    fn sha256_for(&self, length: Option<u64>) -> u64 {
        match length {
            Some(length) if length > self.sha256_max => 0,
            Some(_) | None => self.sha256_max,
        }
    }
}
