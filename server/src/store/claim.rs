//! Jobs in the hands of workers: what they ask for, what they get, and what they say of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::fault::JobFault;
use crate::domain::id::Key;
use crate::domain::job::{Job, Phase, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Most jobs to hand out.
    pub slots: usize,
    /// Slots that the node has free beside these.
    pub spare: usize,
    /// What one account may have of them, the jobs it runs already included.
    pub shares: Shares,
    pub hosts: HostPlaces,
    pub now: Timestamp,
    /// Length of the lease.
    pub lease: Duration,
}

/// The places that the asking node has at the hosts of sources.
#[derive(Clone, Default, Debug)]
pub struct HostPlaces {
    /// Jobs of one host that may run on the node at once; 0 means no limit.
    pub per_host: usize,
    /// Places in use, where there are any.
    pub used: BTreeMap<HostId, usize>,
}

impl HostPlaces {
    /// Whether no place is free. Nothing is known of the hosts of jobs of older databases.
    pub(super) fn is_full(&self, host: HostId) -> bool {
        let used = self.used.get(&host).copied().unwrap_or(0);
        self.per_host != 0 && host != UNKNOWN_HOST && used >= self.per_host
    }

    pub(super) fn take(&mut self, host: HostId) {
        *self.used.entry(host).or_default() += 1;
    }
}

/// Of jobs that were accepted before version 4 of the schema.
const UNKNOWN_HOST: HostId = HostId(0);

/// A job in the hands of one worker. Made only by [`super::Store::job_claim`]; used up by the verb
/// that ends it, so that no two endings can be written for one claim.
#[derive(Debug)]
pub struct Claim {
    job: Job,
    token: Token,
}

impl Claim {
    pub(in crate::store) fn new(job: Job, token: Token) -> Self {
        Self { job, token }
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    pub fn token(&self) -> Token {
        self.token
    }

    /// What the beat writes for this claim.
    pub fn beat(&self, phase: Phase, bytes: u64) -> Beat {
        Beat { key: self.job.key, token: self.token, phase, bytes }
    }
}

/// A sign of life of one running job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    pub key: Key,
    pub token: Token,
    pub phase: Phase,
    /// Bytes received so far.
    pub bytes: u64,
}

/// Whether a worker's last word on a job was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    Recorded,
    /// Somebody else holds the job now, or it has ended: stop, tidy up, say so in the log.
    Superseded,
}

/// How a claim ended.
#[expect(clippy::large_enum_variant, reason = "made once for each job's end and moved twice")]
#[derive(Clone, Debug)]
pub enum Outcome {
    Success { facts: MediaFacts, object: StoredObject },
    Failure(JobFault),
}
