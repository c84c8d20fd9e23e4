//! What an operator's desk asks of the store: the histories, queues and tallies that the console
//! shows, and the sessions of those who look at it.
//!
//! No job depends on anything here. That is the line between [`Desk`] and [`super::Store`] (ADR
//! 0013): whoever moves jobs needs to know none of these verbs.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreResult;
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::time::Timestamp;

/// Attempts of one job that are kept, the newest.
pub const ATTEMPTS_KEPT: usize = 50;
/// Most accounts that [`Desk::queues`] tells.
pub const QUEUES_LIMIT: usize = 1_000;
/// Most tallies that [`Desk::tallies`] tells, the newest.
pub const TALLIES_LIMIT: usize = 100_000;
/// How long tallies are kept.
pub const TALLIES_KEPT: Duration = Duration::from_secs(48 * 3_600);
/// Console sessions of one access key that can be open at once; one more closes the oldest.
pub const SESSIONS_KEPT: usize = 64;

/// What an account has in its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountQueue {
    pub account: AccountId,
    pub pending: u64,
    pub running: u64,
    pub waiting: u64,
    /// Jobs that wait for another URL.
    pub awaiting: u64,
    /// When the job that has been ready longest became so; in the future when all that is left
    /// waits for its time; `None` when all that is left runs.
    pub oldest_ready: Option<Timestamp>,
}

/// Most jobs before another that [`Desk::queue_places`] counts: it bounds what a place costs.
pub const PLACES_LIMIT: u64 = 1_000;

/// Where a pending job stands in its account's line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuePlace {
    /// Jobs of its account that are ready and go before it, whatever places their hosts have; at
    /// most [`PLACES_LIMIT`].
    pub ahead: u64,
    /// Whether these are all.
    pub is_exact: bool,
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Counted {
    Accepted,
    Succeeded,
    /// With the fault's code.
    Failed(String),
    Canceled,
    /// Put off after a transient fault, with its code.
    PutOff(String),
}

impl Counted {
    /// As the store keeps it: a number, and the code or nothing.
    pub(super) fn parts(&self) -> (i64, &str) {
        match self {
            Self::Accepted => (0, ""),
            Self::Succeeded => (1, ""),
            Self::Failed(code) => (2, code),
            Self::Canceled => (3, ""),
            Self::PutOff(code) => (4, code),
        }
    }

    pub(super) fn from_parts(what: i64, code: String) -> Option<Self> {
        match what {
            0 => Some(Self::Accepted),
            1 => Some(Self::Succeeded),
            2 => Some(Self::Failed(code)),
            3 => Some(Self::Canceled),
            4 => Some(Self::PutOff(code)),
            _ => None,
        }
    }
}

const MINUTE_MS: i64 = 60_000;

/// The start of the minute that `at` lies in.
pub(super) fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS))
}

/// How often something happened to an account's jobs within one minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Start of the minute.
    pub minute: Timestamp,
    pub account: AccountId,
    pub what: Counted,
    pub jobs: u64,
    /// Bytes received in the attempts that ended so, summed; the sizes of successes.
    pub bytes: u64,
    /// Milliseconds from acceptance to the end, summed; 0 for what is no end.
    pub millis: u64,
}

/// Somebody is signed in to the console.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsoleSession {
    /// SHA-256 of the token in the browser's cookie.
    pub hash: [u8; 32],
    /// The key that signed in; the session ends with it.
    pub access_key_id: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}

impl fmt::Debug for ConsoleSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleSession({}, until {:?})", self.access_key_id, self.expires)
    }
}

/// How long a node that says nothing any more is remembered.
pub const NODES_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Most nodes that [`Desk::nodes`] tells.
pub const NODES_LIMIT: usize = 1_000;

/// A node, as it last said of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRecord {
    /// New with each start.
    pub id: String,
    /// `HOST:PORT` where it listens.
    pub address: String,
    /// What it does, separated by commas.
    pub roles: String,
    pub version: String,
    pub started: Timestamp,
    pub seen: Timestamp,
    /// Whether it takes nothing new any more.
    pub draining: bool,
    /// Under way on it.
    pub transfers: u64,
}

/// The verbs that no job depends on; see the module.
#[async_trait]
pub trait Desk: Send + Sync + fmt::Debug + 'static {
    /// The attempts of each job that are over, oldest first, at most [`ATTEMPTS_KEPT`]; each job at
    /// most once, in the order of `keys`, jobs without any left out.
    async fn job_attempts(&self, keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>>;

    /// The queues of the accounts that have something in them, the largest first, at most
    /// [`QUEUES_LIMIT`].
    async fn queues(&self) -> StoreResult<Vec<AccountQueue>>;

    /// The places in line of the pending jobs among `keys`, in their order; other jobs are left
    /// out.
    async fn queue_places(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> StoreResult<Vec<(Key, QueuePlace)>>;

    /// What happened to the jobs of one account, or of all, in the minutes that begin at or after
    /// `since`; oldest first, then by account and by what is counted. Of more than
    /// [`TALLIES_LIMIT`] the oldest are left out.
    async fn tallies(
        &self,
        account: Option<AccountId>,
        since: Timestamp,
    ) -> StoreResult<Vec<Tally>>;

    /// Opens a session of a key that exists; of more than [`SESSIONS_KEPT`] of one key the oldest
    /// end.
    async fn session_open(&self, session: ConsoleSession) -> StoreResult<()>;

    /// The session with this hash, unless it has expired by `now`.
    async fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>>;

    /// Ends a session; `false` when there is none.
    async fn session_close(&self, hash: &[u8; 32]) -> StoreResult<bool>;

    /// A node says that it is there. A store of one node alone keeps no list.
    async fn node_beat(&self, _node: &NodeRecord) -> StoreResult<()> {
        Ok(())
    }

    /// A node says that it goes.
    async fn node_leave(&self, _id: &str) -> StoreResult<()> {
        Ok(())
    }

    /// The nodes that were seen at or after `since`, those that started first at first, at most
    /// [`NODES_LIMIT`].
    async fn nodes(&self, _since: Timestamp) -> StoreResult<Vec<NodeRecord>> {
        Ok(Vec::new())
    }
}
