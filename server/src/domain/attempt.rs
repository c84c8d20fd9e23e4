//! What came of each attempt at a job: the history behind its last word.

use super::fault::JobFault;
use super::job::Token;
use super::time::Timestamp;

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ending {
    /// Its node stopped and gave the job back at no cost.
    HandedBack = 0,
    /// A transient fault, after which the job waits for the next attempt; or a refusal of the URL,
    /// after which it waits for another URL.
    PutOff = 1,
    Succeeded = 2,
    /// The fault that the job ended with.
    Failed = 3,
    /// Its worker went silent and its lease ended.
    Expired = 4,
}

impl Ending {
    pub const ALL: [Self; 5] =
        [Self::HandedBack, Self::PutOff, Self::Succeeded, Self::Failed, Self::Expired];
}

/// An attempt that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The attempt as charged to the job, from 1. One that was handed back or expired is not
    /// charged: the next has its number again.
    pub number: u32,
    /// Of its lease; unique and growing within a job.
    pub token: Token,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub ending: Ending,
    /// Of an attempt that was put off or failed.
    pub fault: Option<JobFault>,
    /// Bytes received, as the worker last wrote them; the size for a success.
    pub bytes: u64,
}
