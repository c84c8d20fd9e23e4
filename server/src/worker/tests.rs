//! Which time a job goes by while somebody sets the clock of its node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Worker, one_job};
use crate::blob::spool::Spool;
use crate::blob::{LocalBlobs, Locations};
use crate::config::Config;
use crate::domain::fault::FaultClass;
use crate::domain::job::{Job, JobRequest};
use crate::domain::source_url::SourceUrl;
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::door::Clock;
use crate::door::random::Chance;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::fetch::{FetchSettings, Fetcher};
use crate::probe::ProbeSettings;
use crate::run::serve::{Parts, Shared, Tools};
use crate::store::memory::MemoryStore;
use crate::store::{ClaimRequest, HostPlaces, NewJob, Submission, SubmitLimits, Submitted};

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

/// A job with an hour to its deadline whose source is refused at once, as it is when its node's
/// clock is set to `then` right after the claim.
async fn refused_at(then: Timestamp) -> Job {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let worker = worker(dir.path(), clock.clone()).await;
    let store = worker.store.clone();
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
    let Submitted::Accepted(keys) = store.job_submit(submission).await.unwrap() else {
        panic!("a job that was not accepted");
    };
    let request = ClaimRequest {
        slots: 1,
        spare: 0,
        shares: Shares::default(),
        hosts: HostPlaces::default(),
        now: NOW,
        lease: HOUR,
    };
    let claim = store.job_claim(request).await.unwrap().pop().unwrap();
    let posted = worker.board.post(&claim);
    clock.set(then);
    one_job::run(&worker, claim, posted.active(), None).await;
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
