//! The bytes of one job while an attempt works on them: what an earlier attempt left, when to make
//! a checkpoint, and what stays for the next attempt.
//!
//! The writer lives here and not in the transfer's own future, so that it outlives whatever ends
//! the transfer: a fault, a stop of the node, the loss of the lease.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::integrity;
use super::one_job::blob_fault;
use crate::blob::{Staged, StagedWriter, Tally, staged_name};
use crate::domain::fault::{FaultClass, JobFault, Retry};
use crate::domain::job::{Job, Token};
use crate::domain::version::Version;
use crate::fetch::{FetchError, Link, Restart, Resume, Source};

/// Fewest bytes between two checkpoints, whatever is configured.
const LEAST_BYTES: u64 = 64 * 1024;
/// Fewest bytes for which a checkpoint is made because time has passed. Thousands of slow
/// transfers would otherwise keep the disk busy with syncs; a kill costs each at most so much.
const LEAST_BYTES_BY_TIME: u64 = 1024 * 1024;
/// An attempt that continued and added so many bytes starts the count of attempts anew.
const PROGRESS_BYTES: u64 = 1024 * 1024;
/// An object that was found changed so often and still breaks off is given up (http_faults.md row
/// 47: restart three times, then fail).
const CHANGES: u32 = 3;

/// When checkpoints are made.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    bytes: u64,
    interval: Duration,
}

impl Rhythm {
    /// Each `bytes` (at least 64 KiB), and each `interval` in which at least 1 MiB came.
    pub fn new(bytes: u64, interval: Duration) -> Self {
        Self { bytes: bytes.max(LEAST_BYTES), interval }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Held {
    writer: Option<StagedWriter>,
    /// What the writer's bytes are of; without it they are of no use to another attempt.
    version: Option<Version>,
    /// As it was when this attempt began, changes found since included.
    tally: Tally,
    /// Whether the bytes came by the URL that the job has now.
    link: Link,
    attempt: u32,
    /// Whether this attempt went on where an earlier one had stopped.
    continued: bool,
    /// Whether something of the job may lie in the spool beside the writer's own file.
    left: bool,
    marked_bytes: u64,
    marked_at: Instant,
}

impl Held {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            writer: None,
            version: None,
            tally: Tally { renewal: job.progress.renewals, ..Tally::default() },
            link: Link::Same,
            attempt: job.progress.attempt,
            continued: false,
            left: false,
            marked_bytes: 0,
            marked_at: Instant::now(),
        }
    }

    /// Looks for what an earlier attempt left.
    pub(super) async fn take_up(&mut self, worker: &Worker, job: &Job, token: Token) {
        // The first claim of a job finds nothing, and most jobs are claimed once.
        if token <= Token(1) {
            return;
        }
        self.left = true;
        match worker.spool.take_up(job.key).await {
            Ok(Some((writer, mark))) => {
                self.writer = Some(writer);
                self.version = Some(mark.version);
                self.tally = mark.tally;
                if mark.tally.renewal != job.progress.renewals {
                    self.link = Link::Replaced;
                    // Attempts are counted anew with each URL.
                    self.tally.forgiven = 0;
                    self.tally.renewal = job.progress.renewals;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(job = job.key.0, %error, "cannot look for what an earlier attempt left");
            }
        }
    }

    /// Where to ask the origin to go on.
    pub(super) fn resume(&self) -> Option<Resume> {
        let (writer, version) = (self.writer.as_ref()?, self.version.clone()?);
        Some(Resume { offset: writer.written(), version, link: self.link, last: None })
    }

    /// The origin has answered: goes on with what is here, or begins a new file.
    pub(super) async fn begin(
        &mut self,
        worker: &Worker,
        job: &Job,
        token: Token,
        source: &Source,
    ) -> Result<(), FetchError> {
        self.version = source.version().cloned();
        let here = self.writer.as_ref().map_or(0, StagedWriter::written);
        if source.offset() > 0 && source.offset() == here {
            self.continued = true;
            worker.metrics.resumed_transfers.inc();
            worker.metrics.resumed_bytes.inc_by(here);
            tracing::info!(job = job.key.0, from = here, total = source.length(), "resumed");
        } else {
            if let Some(why) = source.restart() {
                let changed = why == Restart::Changed;
                self.tally.changes += u32::from(changed);
                tracing::info!(job = job.key.0, had = here, changed, "begins anew: not continued");
            }
            self.drop_bytes(job).await;
            let name = staged_name(job.key, token);
            let made = worker.spool.create(&name, source.length()).map_err(blob_fault)?;
            self.writer = Some(made);
        }
        if let Some(writer) = &mut self.writer {
            let asked = integrity::asked(&job.request.declared, source.digests(), worker.rules.md5);
            writer.carry(&asked, worker.rules.sha256_for(source.length()));
        }
        self.marked_bytes = self.written();
        self.marked_at = Instant::now();
        Ok(())
    }

    /// Bytes of the file so far.
    pub(super) fn written(&self) -> u64 {
        self.writer.as_ref().map_or(0, StagedWriter::written)
    }

    /// The first bytes of the file, as many as tell what it is.
    pub(super) fn head(&self) -> Result<Vec<u8>, FetchError> {
        let writer = self.writer.as_ref().ok_or_else(nothing_begun)?;
        writer.head().map_err(blob_fault)
    }

    /// Appends bytes, and begins a checkpoint when it is time for one.
    pub(super) fn write(&mut self, bytes: &[u8], rhythm: Rhythm) -> Result<(), FetchError> {
        let Some(writer) = &mut self.writer else { return Err(nothing_begun()) };
        writer.write(bytes).map_err(blob_fault)?;
        let since = writer.written() - self.marked_bytes;
        let due = since >= rhythm.bytes
            || (since >= LEAST_BYTES_BY_TIME && self.marked_at.elapsed() >= rhythm.interval);
        if due && let Some(version) = &self.version {
            let tally = tally_now(self.tally, self.continued, self.attempt, writer.written());
            writer.checkpoint(version, tally).map_err(blob_fault)?;
            self.left = true;
            self.marked_bytes = writer.written();
            self.marked_at = Instant::now();
        }
        Ok(())
    }

    /// Puts the whole file on stable storage.
    pub(super) async fn finish(&mut self) -> Result<Staged, FetchError> {
        let writer = self.writer.take().ok_or_else(nothing_begun)?;
        writer.finish().await.map_err(blob_fault)
    }

    /// What a fault comes to in the light of earlier attempts: an object that keeps changing is not
    /// tried for ever.
    pub(super) fn weigh(&self, fault: JobFault, retry: Retry) -> (JobFault, Retry) {
        if self.tally.changes < CHANGES || !is_blameless(fault.class, retry) {
            return (fault, retry);
        }
        let message = "The object at the origin changed each time before it was whole.";
        (JobFault::new(FaultClass::Changed, message), Retry::Never)
    }

    /// Attempts to count against the budget: those since the transfer last moved on.
    pub(super) fn charged(&self) -> u32 {
        let tally = tally_now(self.tally, self.continued, self.attempt, self.written());
        self.attempt.saturating_sub(tally.forgiven).max(1)
    }

    /// Leaves everything for the next attempt, where another attempt could use it; how many bytes
    /// that are.
    pub(super) async fn leave(&mut self, job: &Job) -> u64 {
        let Some(writer) = self.writer.take() else { return 0 };
        let written = writer.written();
        let tally = tally_now(self.tally, self.continued, self.attempt, written);
        let done = match &self.version {
            Some(version) => writer.park(version, tally).await.map(|()| written),
            None => writer.discard().await.map(|()| 0),
        };
        done.unwrap_or_else(|error| {
            tracing::warn!(job = job.key.0, %error, "what was received is not kept");
            0
        })
    }

    /// After a fault that is tried again: leaves the bytes if they are as good as before it.
    pub(super) async fn leave_after(
        &mut self,
        worker: &Worker,
        job: &Job,
        fault: &JobFault,
        retry: Retry,
    ) {
        if is_blameless(fault.class, retry) {
            self.leave(job).await;
        } else if is_ours(fault.class) {
            // A whole file that was not published for a reason of ours is still whole.
            self.drop_bytes(job).await;
        } else {
            self.forget(worker, job).await;
        }
    }

    /// Removes the file of this attempt.
    pub(super) async fn drop_bytes(&mut self, job: &Job) {
        let Some(writer) = self.writer.take() else { return };
        if let Err(error) = writer.discard().await {
            tracing::warn!(job = job.key.0, %error, "cannot remove a staged file");
        }
    }

    /// Nothing of the job stays in the spool: it has ended, or its bytes are doubted.
    pub(super) async fn forget(&mut self, worker: &Worker, job: &Job) {
        self.drop_bytes(job).await;
        if self.left
            && let Err(error) = worker.spool.forget(job.key).await
        {
            tracing::warn!(job = job.key.0, %error, "cannot remove what is left of a job");
        }
    }
}

/// Whether the bytes received before a fault are as good as any: the fault was in the connection
/// or in the answer's head. A full disk is given back its room, and nobody trusts bytes from broken
/// framing or a writer that broke.
fn is_blameless(class: FaultClass, retry: Retry) -> bool {
    let passing = match retry {
        Retry::Backoff | Retry::NotBefore(_) => true,
        // A refusal is not followed by another attempt at the same URL.
        Retry::Never | Retry::Once | Retry::AnotherUrl | Retry::AtNoCost => false,
    };
    passing && !is_ours(class)
}

/// Whether this node is to blame, and not the origin or the way to it.
fn is_ours(class: FaultClass) -> bool {
    match class {
        FaultClass::Storage | FaultClass::Internal => true,
        FaultClass::Url
        | FaultClass::ForbiddenAddress
        | FaultClass::Unresolvable
        | FaultClass::Unreachable
        | FaultClass::Tls
        | FaultClass::HttpStatus
        | FaultClass::Redirect
        | FaultClass::Protocol
        | FaultClass::Truncated
        | FaultClass::Changed
        | FaultClass::Stalled
        | FaultClass::TooLarge
        | FaultClass::Empty
        | FaultClass::NotMedia
        | FaultClass::ChecksumMismatch => false,
    }
}

/// The tally with this attempt in it, which has come to `written` bytes. Only an attempt that
/// continued can move a transfer on: an origin that cuts every answer at the same place does not.
fn tally_now(before: Tally, continued: bool, attempt: u32, written: u64) -> Tally {
    let moved_on = continued && written >= before.best.saturating_add(PROGRESS_BYTES);
    let forgiven = if moved_on { attempt.saturating_sub(1) } else { before.forgiven };
    Tally { forgiven, best: before.best.max(written), ..before }
}

fn nothing_begun() -> FetchError {
    let fault = JobFault::new(FaultClass::Internal, "Haulage lost track of the received bytes.");
    FetchError { fault, retry: Retry::Backoff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_attempt_that_continues_and_adds_enough_starts_the_count_anew() {
        let before = Tally { forgiven: 1, best: 10 << 20, changes: 2, renewal: 3 };
        let more = before.best + PROGRESS_BYTES;
        let after = tally_now(before, true, 4, more);
        assert_eq!(after, Tally { forgiven: 3, best: more, changes: 2, renewal: 3 });
        assert_eq!(tally_now(before, true, 4, more - 1).forgiven, 1, "too little");
        assert_eq!(tally_now(before, false, 4, more).forgiven, 1, "it began anew");
        // The same place again is no progress.
        assert_eq!(tally_now(after, true, 5, more).forgiven, 3);
        assert_eq!(tally_now(after, true, 5, 1).best, more);
    }

    #[test]
    fn bytes_are_kept_after_faults_of_the_connection_alone() {
        for (class, retry, kept) in [
            (FaultClass::Truncated, Retry::Backoff, true),
            (FaultClass::Stalled, Retry::Backoff, true),
            (FaultClass::HttpStatus, Retry::NotBefore(1_000), true),
            (FaultClass::Protocol, Retry::Backoff, true),
            (FaultClass::Protocol, Retry::Once, false),
            (FaultClass::Storage, Retry::Backoff, false),
            (FaultClass::Internal, Retry::Backoff, false),
            (FaultClass::Truncated, Retry::Never, false),
        ] {
            assert_eq!(is_blameless(class, retry), kept, "{class:?} {retry:?}");
        }
    }
}
