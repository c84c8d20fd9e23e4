//! Which time a job goes by while somebody sets the clock of its node, what an attempt makes of those
//! before it, and how much memory one takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::held::Held;
use super::{Worker, one_job};
use crate::blob::spool::Spool;
use crate::blob::{LocalBlobs, Locations, Tally, staged_name};
use crate::config::Config;
use crate::domain::fault::FaultClass;
use crate::domain::job::{Job, JobRequest, Token};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::domain::version::{Validator, Version};
use crate::door::Clock;
use crate::door::random::Chance;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::fetch::{FetchSettings, Fetcher};
use crate::probe::ProbeSettings;
use crate::run::serve::{Parts, Shared, Tools};
use crate::store::memory::MemoryStore;
use crate::store::{
    Claim, ClaimRequest, HostPlaces, NewJob, Store, Submission, SubmitLimits, Submitted,
};

const NOW: Timestamp = Timestamp(1_767_323_045_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// A worker over a store in memory; `dir` must live as long.
async fn worker(dir: &std::path::Path, clock: Clock) -> Worker {
    let config = Config::default();
    let blobs = LocalBlobs::open(dir.join("objects")).await.unwrap();
    let parts = Parts {
        config: &config,
        in_force: &[],
        schedule: Schedule::of(clock.clone()),
        clock,
        vault: Vault::new([3; 32]),
        store: Arc::new(MemoryStore::new()),
        is_shared: false,
        spool: Spool::open(dir.join("spool")).await.unwrap(),
        locations: Locations::new(Arc::new(blobs)),
        address: SocketAddr::from(([127, 0, 0, 1], 8710)),
        program: PathBuf::new(),
    };
    let tools = Tools {
        fetcher: Fetcher::new(FetchSettings::from(&config)).unwrap(),
        probe: Arc::new(ProbeSettings::new(None, PathBuf::new())),
        chance: Chance::seeded(1),
    };
    parts.worker(&Shared::default(), tools)
}

/// The claim of a job with an hour to its deadline, whose source is refused at once.
async fn claimed(store: &dyn Store) -> Claim {
    let account = store.account_create("a", false, NOW).await.unwrap().unwrap().id;
    let url = SourceUrl::new("http://127.0.0.1/a.mp4");
    let submission = Submission {
        account,
        jobs: vec![NewJob { url, request: JobRequest::default() }],
        session: None,
        now: NOW,
        deadline: NOW + HOUR,
        limits: SubmitLimits { calls_per_day: 0, pending: 0 },
    };
    let submitted = store.job_submit(submission).await.unwrap();
    assert!(matches!(submitted, Submitted::Accepted(_)), "{submitted:?}");
    let request = ClaimRequest {
        slots: 1,
        spare: 0,
        shares: Shares::default(),
        hosts: HostPlaces::default(),
        now: NOW,
        lease: HOUR,
    };
    store.job_claim(request).await.unwrap().pop().unwrap()
}

/// How a job ends whose source is refused, when its node's clock is set to `then` right after the
/// claim.
async fn refused_at(then: Timestamp) -> Job {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let worker = worker(dir.path(), clock.clone()).await;
    let store = worker.store.clone();
    let claim = claimed(store.as_ref()).await;
    let (account, keys) = (claim.job().account, [claim.job().key]);
    let posted = worker.board.post(&claim);
    clock.set(then);
    one_job::run(&worker, Box::new(claim), posted.active(), None).await;
    store.job_infos_by_id(account, &keys, Timestamp(0)).await.unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_step_of_the_clock_brings_no_deadline_nearer_and_moves_no_end() {
    let day = 24 * HOUR;
    for then in [NOW, NOW + day, NOW - day] {
        let job = refused_at(then).await;
        assert_eq!(job.fault_code(), Some(FaultClass::ForbiddenAddress.code()), "at {then:?}");
        let finished = job.finished.unwrap();
        assert!(NOW <= finished && finished < NOW + HOUR, "at {then:?}: {finished:?}");
    }
}

#[tokio::test]
async fn what_is_forgiven_of_one_url_is_not_forgiven_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), Clock::manual(NOW)).await;
    let mut job = claimed(worker.store.as_ref()).await.job().clone();
    let validator = Validator::Tag("\"v1\"".to_owned());
    let version = Version { validator, total: Some(9), place: "http://a.example/a".to_owned() };
    let tally = Tally { forgiven: 3, best: 5, changes: 1, renewal: 0 };
    job.progress.attempt = 4;
    for (renewals, charged) in [(0, 1), (1, 4)] {
        let mut writer = worker.spool.create(&staged_name(job.key, Token(4)), None).unwrap();
        writer.write(b"12345").unwrap();
        writer.park(&version, tally).await.unwrap();
        job.progress.renewals = renewals;
        let mut held = Held::new(&job);
        held.take_up(&worker, &job, Token(5)).await;
        assert_eq!(held.written(), 5, "the bytes are taken up");
        assert_eq!(held.charged(), charged, "{renewals} replacements");
        held.forget(&worker, &job).await;
    }
}

/// Beside its socket and its file, thousands of which a node may have at once (docs/performance.md).
#[tokio::test]
async fn a_transfer_that_waits_for_its_origin_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), Clock::manual(NOW)).await;
    let claim = Box::new(claimed(worker.store.as_ref()).await);
    let (posted, job) = (worker.board.post(&claim), claim.job().clone());
    let mut held = Held::new(&job);
    let pull = one_job::pull(&worker, &job, Token(1), posted.active(), &mut held, None);
    let pull = size_of_val(&pull);
    let run = size_of_val(&one_job::run(&worker, claim, posted.active(), None));
    println!("a transfer: {run} bytes, and {pull} while it receives");
    assert!(run <= 2_048 && pull <= 2_048, "{run} and {pull} bytes");
}
