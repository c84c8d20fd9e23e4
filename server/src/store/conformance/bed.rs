//! A store with two accounts, and short words for what tests do with it.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::account::AccountId;
use crate::domain::fault::{FaultClass, JobFault};
use crate::domain::id::Key;
use crate::domain::job::{Job, JobRequest, StateKind};
use crate::domain::media::{MediaFacts, MediaType, StoredObject};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::store::{
    CancelBy, CancelVerdict, Claim, ClaimRequest, Finish, HostPlaces, NewJob, Outcome, Replaced,
    Replacement, Retention, Store, Submission, SubmitLimits, Submitted,
};

/// 2027-01-15T08:00:00Z: eight hours into a UTC day.
pub(in crate::store) const START: i64 = 1_800_000_000_000;
pub(in crate::store) const LEASE: Duration = Duration::from_secs(30);
pub(in crate::store) const EVER: Timestamp = Timestamp(0);
pub(in crate::store) const NO_LIMITS: SubmitLimits = SubmitLimits { calls_per_day: 0, pending: 0 };

/// This many milliseconds after the start of the test.
pub(in crate::store) fn at(ms: i64) -> Timestamp {
    Timestamp(START + ms)
}

pub(in crate::store) fn url(path: &str) -> SourceUrl {
    SourceUrl::new(format!("https://origin.example/{path}"))
}

pub(in crate::store) fn new_job(path: &str) -> NewJob {
    let request = JobRequest { title: path.to_owned(), ..JobRequest::default() };
    NewJob { url: url(path), request }
}

pub(in crate::store) fn referenced(path: &str, id: &str) -> NewJob {
    let mut job = new_job(path);
    job.request.reference_id = Some(id.to_owned());
    job
}

pub(in crate::store) fn submission(
    account: AccountId,
    jobs: Vec<NewJob>,
    now: Timestamp,
) -> Submission {
    let deadline = now + Duration::from_secs(86_400);
    Submission { account, jobs, session: None, now, deadline, limits: NO_LIMITS }
}

pub(in crate::store) fn request(slots: usize, now: Timestamp) -> ClaimRequest {
    let (shares, hosts) = (Shares::default(), HostPlaces::default());
    ClaimRequest { slots, spare: 0, shares, hosts, now, lease: LEASE }
}

pub(in crate::store) fn fault() -> JobFault {
    JobFault::new(FaultClass::Empty, "the source has no bytes")
}

/// How an origin refuses a URL.
pub(in crate::store) fn refusal() -> JobFault {
    JobFault::new(FaultClass::HttpStatus, "The origin answered 403: the link has expired.")
}

pub(in crate::store) fn facts() -> MediaFacts {
    MediaFacts {
        media_type: MediaType::Audio,
        format: "mp3".to_owned(),
        content_type: "audio/mpeg".to_owned(),
        duration: Some(12.345),
        width: None,
        height: Some(u32::MAX),
        bitrate: Some(0.1),
        fps: None,
        codec: Some("mp3".to_owned()),
    }
}

/// An object of this size has no SHA-256.
pub(in crate::store) const NO_SHA256: u64 = 4_097;

pub(in crate::store) fn object(size: u64) -> StoredObject {
    StoredObject {
        location: format!("l/{size}"),
        object_key: format!("a/{size}"),
        size,
        sha256: (size != NO_SHA256).then(|| "ab".repeat(32)),
        crc64: u64::MAX - size,
        md5: (size > 4_000).then(|| "cd".repeat(16)),
    }
}

pub(in crate::store) fn success() -> Outcome {
    Outcome::Success { facts: facts(), object: object(4_096) }
}

pub(in crate::store) fn failure() -> Outcome {
    Outcome::Failure(fault())
}

#[derive(Clone)]
pub(in crate::store) struct Bed {
    pub(in crate::store) store: Arc<dyn Store>,
    pub(in crate::store) account: AccountId,
    pub(in crate::store) other: AccountId,
}

impl Bed {
    pub(in crate::store) async fn new(store: Arc<dyn Store>) -> Self {
        let account = store.account_create("first", true, at(0)).await.unwrap().unwrap().id;
        let other = store.account_create("second", false, at(0)).await.unwrap().unwrap().id;
        Self { store, account, other }
    }

    pub(in crate::store) async fn submit(
        &self,
        account: AccountId,
        paths: &[&str],
        now: Timestamp,
    ) -> Vec<Key> {
        let jobs = paths.iter().map(|path| new_job(path)).collect();
        match self.store.job_submit(submission(account, jobs, now)).await.unwrap() {
            Submitted::Accepted(keys) => keys,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(in crate::store) async fn one(&self, now: Timestamp) -> Key {
        self.submit(self.account, &["a.mp4"], now).await[0]
    }

    pub(in crate::store) async fn claim(&self, slots: usize, now: Timestamp) -> Vec<Claim> {
        self.store.job_claim(request(slots, now)).await.unwrap()
    }

    pub(in crate::store) async fn claim_one(&self, now: Timestamp) -> Claim {
        let mut claims = self.claim(1, now).await;
        assert_eq!(claims.len(), 1);
        claims.remove(0)
    }

    pub(in crate::store) async fn finish(&self, claim: Claim, outcome: Outcome, now: Timestamp) {
        let finish = self.store.job_finish(claim, outcome, now).await.unwrap();
        assert_eq!(finish, Finish::Recorded);
    }

    /// Puts a job off in the moment in which it was claimed.
    pub(in crate::store) async fn put_off(&self, claim: Claim, due: Timestamp) -> Finish {
        let now = claim.job().claimed.expect("a claimed job");
        self.store.job_retry_later(claim, fault(), due, now).await.unwrap()
    }

    /// The job awaits another URL from now on; `kept` bytes are here.
    pub(in crate::store) async fn halt(&self, claim: Claim, kept: u64, now: Timestamp) -> Finish {
        self.store.job_halt(claim, refusal(), kept, now).await.unwrap()
    }

    pub(in crate::store) async fn replace(&self, key: Key, path: &str, now: Timestamp) -> Replaced {
        let sealed_headers = None;
        let replacement =
            Replacement { account: self.account, key, url: url(path), sealed_headers };
        self.store.job_replace_url(replacement, now).await.unwrap()
    }

    pub(in crate::store) async fn cancel(&self, key: Key, now: Timestamp) -> CancelVerdict {
        let by = CancelBy::Keys(vec![key]);
        self.store.job_cancel_pending(self.account, by, now).await.unwrap().remove(0)
    }

    pub(in crate::store) async fn job(&self, key: Key) -> Job {
        let found = self.store.job_infos_by_id(self.account, &[key], EVER).await.unwrap();
        found.into_iter().next().expect("the job exists")
    }

    pub(in crate::store) async fn kind(&self, key: Key) -> StateKind {
        self.job(key).await.progress.state.kind()
    }

    /// Ends everything that is not final.
    pub(in crate::store) async fn drain(&self, now: Timestamp) {
        self.store.job_expire(now, usize::MAX, true).await.unwrap();
        let far = Timestamp(i64::MAX / 4);
        // Past every deadline.
        let late = now + Duration::from_secs(30 * 86_400);
        self.store.job_lapse(late, usize::MAX).await.unwrap();
        for claim in self.claim(10_000, far).await {
            self.finish(claim, failure(), now).await;
        }
    }
}

pub(in crate::store) fn retention(now: Timestamp, records_before: Timestamp) -> Retention {
    Retention { now, records_before, batch: 1_000 }
}
