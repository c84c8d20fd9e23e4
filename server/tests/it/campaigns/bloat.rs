//! Campaign K23: somebody's session holds a snapshot of the database (a forgotten `BEGIN`, a report, a
//! lagging replica) while jobs come and go. What jobs leave behind cannot be cleared away then. The queue
//! goes on, what it leaves is in proportion to the jobs, and once the snapshot is gone the space is used
//! again. How much slower it gets is printed, not judged: it is the machine's business too.

use std::sync::Arc;
use std::time::Duration;

use haulage::domain::account::AccountId;
use haulage::domain::fault::{FaultClass, JobFault};
use haulage::domain::job::JobRequest;
use haulage::domain::source_url::SourceUrl;
use haulage::domain::turns::Shares;
use haulage::store::postgres::PostgresStore;
use haulage::store::{
    ClaimRequest, Finish, HostPlaces, NewJob, Outcome, Store, Submission, SubmitLimits, Submitted,
};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::harness::postgres::{Cluster, Version, foreign, skip};
use crate::harness::{count_from, ledger, spawn};

/// Sessions that submit and work at the same time.
const LANES: usize = 4;
/// Jobs of one submission, and of one claim.
const BATCH: usize = 20;
/// Most bytes that a job may leave behind in tables and indexes, and in the log, under a snapshot. It
/// takes some two and eight KiB: what is looked for is what grows with the jobs before.
const LEFT_BEHIND: i64 = 16 << 10;
const LOGGED: i64 = 64 << 10;

/// One lane's share of a phase: what it submits it, or another lane, claims and ends.
async fn lane(store: Arc<PostgresStore>, account: AccountId, jobs: usize) -> usize {
    let mut ended = 0;
    for _ in 0..jobs / BATCH {
        let now = store.clock().now();
        let url = SourceUrl::new("http://media.example/a.mp4");
        let job = NewJob { url, request: JobRequest::default() };
        let submission = Submission {
            account,
            jobs: vec![job; BATCH],
            session: None,
            now,
            deadline: now + Duration::from_secs(3_600),
            limits: SubmitLimits { calls_per_day: 0, pending: 0 },
        };
        assert!(matches!(store.job_submit(submission).await.unwrap(), Submitted::Accepted(_)));
        ended += work(&store, BATCH).await;
    }
    ended
}

/// Claims once, and ends what it got.
async fn work(store: &PostgresStore, slots: usize) -> usize {
    let request = ClaimRequest {
        slots,
        spare: 0,
        shares: Shares::default(),
        hosts: HostPlaces::default(),
        now: store.clock().now(),
        lease: Duration::from_secs(60),
    };
    let claims = store.job_claim(request).await.unwrap();
    let count = claims.len();
    for claim in claims {
        let outcome = Outcome::Failure(JobFault::new(FaultClass::Empty, "no bytes"));
        let ended = store.job_finish(claim, outcome, store.clock().now()).await.unwrap();
        assert_eq!(ended, Finish::Recorded);
    }
    count
}

/// What a phase took: bytes of tables and indexes, bytes of the log, and time.
struct Phase {
    left: i64,
    logged: i64,
    took: Duration,
}

struct Bench {
    store: Arc<PostgresStore>,
    account: AccountId,
    db: Client,
    jobs: usize,
}

impl Bench {
    async fn number(&self, query: &str) -> i64 {
        self.db.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Runs jobs from submission to end, all of them.
    async fn phase(&self, name: &str) -> Phase {
        let (size, log) = (self.number(SIZE).await, self.number(LOG).await);
        let started = Instant::now();
        let share = self.jobs / LANES;
        let lanes: Vec<_> =
            (0..LANES).map(|_| spawn(lane(self.store.clone(), self.account, share))).collect();
        let mut ended = 0;
        for lane in lanes {
            ended += lane.await.unwrap();
        }
        while ended < self.jobs {
            let more = work(&self.store, BATCH).await;
            assert!(more > 0, "{name}: {ended} of {} jobs ended, and no more are there", self.jobs);
            ended += more;
        }
        let took = started.elapsed();
        let left = self.number(SIZE).await - size;
        let logged = self.number(LOG).await - log;
        let rate = self.jobs as f64 / took.as_secs_f64();
        println!("K23 {name}: {rate:.0} jobs a second, {left} bytes more, {logged} bytes logged");
        Phase { left, logged, took }
    }
}

const SIZE: &str = "SELECT SUM(pg_total_relation_size(oid))::BIGINT FROM pg_class \
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
const LOG: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::BIGINT";
const OPEN: &str = "SELECT COUNT(*) FROM job WHERE state < 4";
const HOLD: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM job";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_bears_a_snapshot_that_somebody_holds() {
    let test = "the_queue_bears_a_snapshot_that_somebody_holds";
    let jobs = count_from("HAULAGE_TEST_BLOAT_JOBS", 800).next_multiple_of(LANES * BATCH);
    // A server of its own, whose log nobody else writes.
    let Some(cluster) = Cluster::start(Version::Fifteen, &["autovacuum_naptime=1s"]) else {
        return skip(test, Version::Fifteen);
    };
    let url = cluster.schema().await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = Arc::new(PostgresStore::open(&url, 8).await.unwrap());
    let now = store.clock().now();
    let account = store.account_create("a", false, now).await.unwrap().unwrap().id;
    let bench = Bench { store: store.clone(), account, db: foreign(&url).await, jobs };

    bench.phase("to begin with").await;
    let before = bench.phase("without a snapshot").await;
    let holder = foreign(&url).await;
    holder.batch_execute(HOLD).await.unwrap();
    let under = bench.phase("under a snapshot").await;
    let long = bench.phase("under it still").await;
    holder.batch_execute("COMMIT").await.unwrap();
    bench.db.batch_execute("VACUUM").await.unwrap();
    let after = bench.phase("after it").await;

    let each = |bytes: i64| bytes / i64::try_from(jobs).unwrap();
    for phase in [&before, &under, &long, &after] {
        assert!(each(phase.left) < LEFT_BEHIND, "{} bytes a job are left", each(phase.left));
        assert!(each(phase.logged) < LOGGED, "{} bytes a job are logged", each(phase.logged));
    }
    assert!(
        after.left * 2 < under.left + long.left,
        "the space is used again: {} bytes under the snapshot, {} after it",
        under.left + long.left,
        after.left
    );
    assert_eq!(bench.number(OPEN).await, 0, "every job has ended");
    let percent = |phase: &Phase| 100.0 * before.took.as_secs_f64() / phase.took.as_secs_f64();
    println!(
        "K23 rates, in percent of the one without a snapshot: {:.0} and {:.0} under it, {:.0} after it",
        percent(&under),
        percent(&long),
        percent(&after)
    );
    ledger::enter("K23", None, &[("jobs", 5 * jobs), ("under a snapshot", 2 * jobs)]);
    store.close().await.unwrap();
}
