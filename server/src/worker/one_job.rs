//! The story of one job: guard and open the source, stream it into the spool, verify, probe,
//! publish, finish. Each step is a function; [`run`] and [`pull`] hold the branches.

use std::time::Duration;

use super::Worker;
use super::board::Active;
use super::held::Held;
use super::integrity;
use crate::blob::{BlobError, Staged, object_key};
use crate::domain::fault::{FaultClass, JobFault, Retry};
use crate::domain::job::{Job, Phase, Token};
use crate::domain::media::{MediaFacts, StoredObject};
use crate::domain::retry::{self, Next};
use crate::domain::source_headers::SourceHeaders;
use crate::domain::time::Timestamp;
use crate::door::sealed_headers;
use crate::fetch::{FetchError, Place, Source, Spread, Wanted};
use crate::probe::{self, Hint, ProbeError, Sniffed};
use crate::run::tasks;
use crate::store::{Claim, Finish, Outcome, StoreResult};
use crate::telemetry::metrics::JobLabels;

/// How the work on a claim came to its end.
enum End {
    Stored(Box<Stored>),
    Fault(JobFault, Retry),
    /// The node stops: the job goes back at no cost.
    Stopped,
    /// The host has no place for it: the job goes back at no cost.
    NoPlace,
    /// The lease is gone: somebody else may hold the job.
    Lost,
}

/// What was made of a source.
pub(super) struct Stored {
    facts: MediaFacts,
    object: StoredObject,
}

/// Works on a claimed job, with a place at its host if one was free, and writes down how it ended.
///
/// The claim is on the heap, as all that does not run while bytes come: thousands of transfers may
/// wait for slow origins, each is as large as its largest step, and an argument is held twice.
pub async fn run(worker: &Worker, claim: Box<Claim>, active: &Active, place: Option<Place>) {
    let started = tokio::time::Instant::now();
    let mut held = Held::new(claim.job());
    let end = match work(worker, &claim, active, &mut held, place).await {
        End::Fault(_, Retry::AtNoCost) => End::NoPlace,
        End::Fault(fault, retry) => {
            let (fault, retry) = held.weigh(fault, retry);
            End::Fault(fault, retry)
        }
        end => end,
    };
    active.ends();
    let (key, url) = (claim.job().key.0, claim.job().url.to_string());
    let attempt = claim.job().progress.attempt;
    let described = describe(&end);
    let written = Box::pin(write_down(worker, *claim, end, active, &mut held)).await;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match written {
        Ok(Finish::Recorded) => {
            tracing::info!(job = key, %url, attempt, ms, "{described}");
        }
        Ok(Finish::Superseded) => {
            tracing::warn!(job = key, %url, attempt, "superseded: another lease holds the job");
        }
        // The lease ends by itself; the reaper gives the job to the next worker.
        Err(error) => {
            tracing::error!(job = key, %url, attempt, %error, "cannot write down: {described}");
        }
    }
}

/// Pulls until the first of: done, lease gone, node aborting, deadline.
async fn work(
    worker: &Worker,
    claim: &Claim,
    active: &Active,
    held: &mut Held,
    place: Option<Place>,
) -> End {
    let job = claim.job();
    if job.progress.rescues > worker.rules.rescues {
        let message = "The transfer of this source stopped its worker too often.";
        return End::Fault(JobFault::new(FaultClass::Internal, message), Retry::Never);
    }
    let left = job.deadline.since(now_of(worker, job, active));
    let late = || {
        let message = "The job's deadline passed before the source was stored.";
        End::Fault(JobFault::new(FaultClass::Stalled, message), Retry::Never)
    };
    if left == Duration::ZERO {
        return late();
    }
    let pulled = Box::pin(pull(worker, job, claim.token(), active, held, place));
    let pulled = tasks::guarded("pull", pulled);
    tokio::select! {
        biased;
        () = active.lost() => End::Lost,
        () = worker.stop.aborting() => End::Stopped,
        () = tokio::time::sleep(left) => late(),
        pulled = pulled => match pulled {
            Some(Ok(stored)) => End::Stored(stored),
            Some(Err(fault)) => End::Fault(fault.fault, fault.retry),
            None => {
                let message = "Something in Haulage broke while it pulled this source.";
                End::Fault(JobFault::new(FaultClass::Internal, message), Retry::Backoff)
            }
        },
    }
}

/// The steps, in order. An error carries whether trying again can help. What lasts is the receiving;
/// the others are on the heap while they do.
pub(super) async fn pull(
    worker: &Worker,
    job: &Job,
    token: Token,
    active: &Active,
    held: &mut Held,
    place: Option<Place>,
) -> Result<Box<Stored>, FetchError> {
    let mut body = Box::pin(begin(worker, job, token, active, held, place)).await?;
    receive(worker, job, &mut body, active, held).await?;
    Box::pin(store(worker, job, token, active, held, body.source())).await
}

/// Asks the origin, and makes a file ready for what it sends.
async fn begin(
    worker: &Worker,
    job: &Job,
    token: Token,
    active: &Active,
    held: &mut Held,
    place: Option<Place>,
) -> Result<Spread, FetchError> {
    let headers = confided(worker, job)?;
    held.take_up(worker, job, token).await;
    let wanted = Wanted { url: &job.url, headers: &headers, from: held.resume(), place };
    let source = worker.fetcher.open(wanted).await?;
    verify_announced(job, &source)?;
    held.begin(worker, job, token, &source).await?;
    active.announced(source.length().or(job.request.file_size));
    active.received(held.written());
    active.enter(Phase::Downloading);
    Ok(worker.fetcher.spread(source, &job.url, &headers))
}

/// Makes an object of what was received.
async fn store(
    worker: &Worker,
    job: &Job,
    token: Token,
    active: &Active,
    held: &mut Held,
    source: &Source,
) -> Result<Box<Stored>, FetchError> {
    let staged = held.finish().await?;
    active.enter(Phase::DownloadSuccess);
    verify(job, source, &staged)?;
    let facts = understand(worker, job, source, &staged).await?;
    active.enter(Phase::Uploading);
    let object = publish(worker, job, token, staged, &facts).await?;
    active.enter(Phase::UploadSuccess);
    Ok(Box::new(Stored { facts, object }))
}

/// The headers that the caller confided for the source; none for most. When they do not open, no
/// request is made without them; the fault may pass, because an operator can put the right master
/// key back.
fn confided(worker: &Worker, job: &Job) -> Result<SourceHeaders, FetchError> {
    let Some(sealed) = &job.request.sealed_headers else { return Ok(SourceHeaders::none()) };
    sealed_headers::open(&worker.vault, job.account, &job.url, sealed).map_err(|error| {
        tracing::error!(job = job.key.0, %error, "no headers for the source");
        let message = "Haulage cannot open the headers that were given for this source.";
        transient(FaultClass::Internal, message)
    })
}

/// Streams the source into a staged file. The first bytes decide early whether going on makes
/// sense: a login page is refused before a gigabyte of it was fetched.
async fn receive(
    worker: &Worker,
    job: &Job,
    body: &mut Spread,
    active: &Active,
    held: &mut Held,
) -> Result<(), FetchError> {
    let mut sniffed = false;
    let mut room_checked = 0;
    while let Some(bytes) = body.chunk().await? {
        if held.written() >= room_checked {
            check_room(worker)?;
            room_checked = held.written() + ROOM_INTERVAL;
        }
        held.write(&bytes, worker.rules.rhythm)?;
        let received = bytes.len() as u64;
        // It holds a buffer that others wait for.
        drop(bytes);
        active.received(held.written());
        worker.metrics.received_bytes.inc_by(received);
        worker.pace.received(job.account, received).await;
        if !sniffed && held.written() >= SNIFF_BYTES {
            sniff(&held.head()?)?;
            sniffed = true;
        }
    }
    if held.written() == 0 {
        let message = "The source has no bytes.";
        return Err(permanent(FaultClass::Empty, message));
    }
    if sniffed { Ok(()) } else { sniff(&held.head()?) }
}

/// Bytes between two looks at the room that the disk has left.
const ROOM_INTERVAL: u64 = 4 << 20;

/// A transfer leaves half of the reserve alone, so that the store can still write cancels.
fn check_room(worker: &Worker) -> Result<(), FetchError> {
    match worker.spool.free_bytes() {
        Ok(free) if free < worker.rules.min_free / 2 => {
            Err(transient(FaultClass::Storage, "The disk of this server is nearly full."))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(blob_fault(error)),
    }
}

/// With this many bytes the kind of a file can be told.
const SNIFF_BYTES: u64 = 4 * 1024;

fn sniff(head: &[u8]) -> Result<(), FetchError> {
    match probe::sniff(head) {
        Sniffed::NotMedia(what) => {
            let message = format!("The source is {what}, not audio or video.");
            Err(permanent(FaultClass::NotMedia, message))
        }
        // What the first bytes do not tell, the probe decides.
        Sniffed::Media(_) | Sniffed::Unknown => Ok(()),
    }
}

/// A source that announces another size than the caller declared is another file: it is not
/// transferred.
fn verify_announced(job: &Job, source: &Source) -> Result<(), FetchError> {
    match (job.request.file_size, source.length()) {
        (Some(declared), Some(announced)) if declared != announced => {
            let message = format!(
                "The origin announced {announced} bytes, but FileSize declared {declared}."
            );
            Err(permanent(FaultClass::ChecksumMismatch, message))
        }
        _ => Ok(()),
    }
}

/// Compares what arrived with what the caller declared and the origin announced.
fn verify(job: &Job, source: &Source, staged: &Staged) -> Result<(), FetchError> {
    match job.request.file_size {
        Some(declared) if declared != staged.size() => {
            let message = format!(
                "The source has {} bytes, but FileSize declared {declared}.",
                staged.size()
            );
            Err(permanent(FaultClass::ChecksumMismatch, message))
        }
        Some(_) | None => {
            let computed = |algorithm| staged.digest(algorithm);
            integrity::verify(&job.request.declared, source.digests(), computed)
        }
    }
}

async fn understand(
    worker: &Worker,
    job: &Job,
    source: &Source,
    staged: &Staged,
) -> Result<MediaFacts, FetchError> {
    let hint = Hint { extension: &job.request.extension, content_type: source.content_type() };
    match worker.probe.examine(staged.path(), hint).await {
        Ok(facts) => Ok(facts),
        Err(ProbeError::NotMedia(reason)) => Err(permanent(FaultClass::NotMedia, reason)),
        Err(error) => {
            tracing::error!(job = job.key.0, %error, "the probe failed");
            let message = "Haulage could not examine the stored bytes.";
            Err(transient(FaultClass::Internal, message))
        }
    }
}

async fn publish(
    worker: &Worker,
    job: &Job,
    token: Token,
    staged: Staged,
    facts: &MediaFacts,
) -> Result<StoredObject, FetchError> {
    let asked = job.request.storage_location.as_deref();
    let unknown = || BlobError::UnknownLocation(asked.unwrap_or_default().to_owned());
    let location = worker.locations.choose(asked).ok_or_else(unknown).map_err(blob_fault)?;
    let object = StoredObject {
        location: location.to_owned(),
        object_key: object_key(job.key, token, &facts.format),
        size: staged.size(),
        sha256: staged.sha256(),
        crc64: staged.crc64(),
        md5: staged.md5(),
    };
    let blobs = worker.locations.of(location).map_err(blob_fault)?;
    blobs.publish(staged, &object.object_key).await.map_err(blob_fault)?;
    Ok(object)
}

/// The time by which an attempt goes: the store's, as it was at the claim, carried on by the
/// monotonic clock. The node's wall clock may be set at any moment, and need not be the one by
/// which the job's deadline was made.
fn now_of(worker: &Worker, job: &Job, active: &Active) -> Timestamp {
    job.claimed.map_or_else(|| worker.clock.now(), |claimed| claimed + active.age())
}

/// Writes the end of a claim into the store, fenced by its token. What the next attempt shall find
/// lies ready before it can begin; what nobody needs any more goes after the job has ended.
async fn write_down(
    worker: &Worker,
    claim: Claim,
    end: End,
    active: &Active,
    held: &mut Held,
) -> StoreResult<Finish> {
    let job = claim.job().clone();
    let now = now_of(worker, &job, active);
    match end {
        End::Lost => {
            held.leave(&job).await;
            Ok(Finish::Superseded)
        }
        End::Stopped => {
            held.leave(&job).await;
            worker.store.job_hand_back(claim, now, now).await
        }
        End::NoPlace => {
            held.leave(&job).await;
            let uncharged = claim.token().0.saturating_sub(i64::from(job.progress.attempt));
            let returns = u32::try_from(uncharged).unwrap_or(0);
            let due = retry::place_again(returns, now, job.deadline, worker.chance.fraction());
            worker.store.job_hand_back(claim, due, now).await
        }
        End::Stored(stored) => {
            let Stored { facts, object } = *stored;
            let stored = object.clone();
            let outcome = Outcome::Success { facts, object };
            let finish = worker.store.job_finish(claim, outcome, now).await?;
            match finish {
                Finish::Recorded => {
                    held.forget(worker, &job).await;
                    count(worker, "success");
                }
                // Nobody will ever ask for this generation's object.
                Finish::Superseded => discard(worker, &stored).await,
            }
            Ok(finish)
        }
        End::Fault(fault, Retry::AnotherUrl) if now < job.deadline => {
            match held.leave(&job).await {
                // There is nothing that another URL could go on with.
                0 => give_up(worker, claim, fault, now, held).await,
                kept => {
                    let finish = worker.store.job_halt(claim, fault, kept, now).await?;
                    tracing::info!(job = job.key.0, kept, "awaits another URL");
                    Ok(finish)
                }
            }
        }
        End::Fault(fault, retry) => {
            let jitter = worker.chance.fraction();
            let (attempt, charged) = (job.progress.attempt, held.charged());
            // Claims go by this clock. The attempt's own time began when its claim was answered, so it
            // is late by as long as that took, and the pause would end early by as much.
            let since = now.max(worker.clock.now());
            match worker.rules.backoff.next(charged, retry, since, job.deadline, jitter) {
                Next::At(due) => {
                    tracing::info!(job = job.key.0, attempt, charged, %fault, "will try again");
                    held.leave_after(worker, &job, &fault, retry).await;
                    let finish = worker.store.job_retry_later(claim, fault, due, now).await?;
                    worker.metrics.retries.inc();
                    Ok(finish)
                }
                Next::GiveUp => give_up(worker, claim, fault, now, held).await,
            }
        }
    }
}

/// Fails the job; nothing of it is kept.
async fn give_up(
    worker: &Worker,
    claim: Claim,
    fault: JobFault,
    now: Timestamp,
    held: &mut Held,
) -> StoreResult<Finish> {
    let job = claim.job().clone();
    let code = fault.class.code();
    let outcome = Outcome::Failure(fault);
    held.drop_bytes(&job).await;
    let finish = worker.store.job_finish(claim, outcome, now).await?;
    if finish == Finish::Recorded {
        held.forget(worker, &job).await;
        count(worker, code);
    }
    Ok(finish)
}

fn count(worker: &Worker, outcome: &'static str) {
    worker.metrics.jobs_finished.get_or_create(&JobLabels { outcome }).inc();
}

async fn discard(worker: &Worker, object: &StoredObject) {
    let removed = match worker.locations.of(&object.location) {
        Ok(blobs) => blobs.delete(&object.object_key).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        // The janitor finds it by its token.
        let object_key = &object.object_key;
        tracing::warn!(object_key, %error, "cannot remove a superseded object");
    }
}

fn describe(end: &End) -> String {
    match end {
        End::Stored(stored) => format!("stored {} bytes", stored.object.size),
        End::Fault(fault, _) => format!("fault: {fault}"),
        End::Stopped => "handed back: the node stops".to_owned(),
        End::NoPlace => "handed back: its host has no place".to_owned(),
        End::Lost => "lost".to_owned(),
    }
}

fn permanent(class: FaultClass, message: impl Into<String>) -> FetchError {
    FetchError { fault: JobFault::new(class, message), retry: Retry::Never }
}

fn transient(class: FaultClass, message: impl Into<String>) -> FetchError {
    FetchError { fault: JobFault::new(class, message), retry: Retry::Backoff }
}

/// What a job learns of a failing disk or bucket; the log has the details. Trying again is for what
/// may pass: who lacks a right will lack it in a minute.
pub(super) fn blob_fault(error: BlobError) -> FetchError {
    tracing::error!(%error, "storage failed");
    if error.is_transient() {
        transient(FaultClass::Storage, "The storage of this server did not take the bytes.")
    } else {
        permanent(FaultClass::Storage, "The storage of this server refused the bytes.")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::blob::StorageSaid;

    #[test]
    fn a_storage_that_will_refuse_again_is_not_asked_again() {
        let io = |kind: io::ErrorKind| BlobError::Io { action: "x", source: kind.into() };
        let said = |status, code: &str| StorageSaid::Status(status, code.to_owned());
        for (error, retry) in [
            (io(io::ErrorKind::PermissionDenied), Retry::Never),
            (io(io::ErrorKind::ReadOnlyFilesystem), Retry::Never),
            (io(io::ErrorKind::NotADirectory), Retry::Never),
            (BlobError::Taken(String::new()), Retry::Never),
            (BlobError::Refused { action: "x", said: said(403, "AccessDenied") }, Retry::Never),
            (io(io::ErrorKind::Other), Retry::Backoff),
            (BlobError::Full, Retry::Backoff),
            (BlobError::NotThere { action: "x" }, Retry::Backoff),
            (BlobError::UnknownLocation(String::new()), Retry::Backoff),
            (BlobError::Failed { action: "x", said: said(503, "SlowDown") }, Retry::Backoff),
        ] {
            let shown = error.to_string();
            let fault = blob_fault(error);
            assert_eq!(fault.fault.class, FaultClass::Storage);
            assert_eq!(fault.retry, retry, "{shown}");
        }
    }
}
