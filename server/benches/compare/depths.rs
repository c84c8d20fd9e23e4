//! What the verbs that everything hangs on cost by the number of pending jobs, on both durable
//! engines: a claim, cancels and queries, one caller, each write on stable storage.

use std::path::Path;
use std::time::{Duration, Instant};

use haulage::domain::account::AccountId;
use haulage::domain::id::Key;
use haulage::domain::job::JobRequest;
use haulage::domain::source_url::SourceUrl;
use haulage::domain::time::Timestamp;
use haulage::domain::turns::Shares;
use haulage::door::Clock;
use haulage::store::postgres::PostgresStore;
use haulage::store::sqlite::SqliteStore;
use haulage::store::{
    CancelBy, CancelVerdict, ClaimRequest, HostPlaces, NewJob, Store, Submission, SubmitLimits,
    Submitted,
};

use crate::postgres::{Cluster, Version, foreign};
use crate::server::{fill_pending, first_key};
use crate::{median, p99};

const DEPTHS: [usize; 3] = [10_000, 1_000_000, 10_000_000];
/// Calls of each verb in one measurement; those with ids ask for one account's jobs after another's.
const CALLS: usize = 100;
const ACCOUNTS: usize = CALLS;
/// Jobs of one claim.
const SLOTS: usize = 64;
/// Ids or URLs of one call, as the interface allows them.
const INPUTS: usize = 10;

/// A store that holds `jobs` jobs from key `first` on, spread over [`ACCOUNTS`] accounts in turn.
struct Filled {
    store: Box<dyn Store>,
    first: Key,
    jobs: usize,
}

/// Milliseconds of each call.
type Times = Vec<f64>;

pub async fn verbs() {
    println!(
        "\nverbs of the store with pending jobs of {ACCOUNTS} accounts, {CALLS} calls in a row"
    );
    for jobs in DEPTHS {
        let dir = tempfile::tempdir().unwrap();
        measure("SQLite", in_sqlite(dir.path(), jobs).await).await;
    }
    for jobs in DEPTHS {
        let settings = ["fsync=on", "shared_buffers=1GB", "max_wal_size=4GB"];
        let Some(cluster) = Cluster::start(Version::Fifteen, &settings) else {
            println!("!!! PostgreSQL 15 is not installed");
            return;
        };
        let url = cluster.schema().await;
        measure("PostgreSQL 15", in_postgres(&url, jobs).await).await;
    }
}

async fn in_sqlite(dir: &Path, jobs: usize) -> Filled {
    // The first account is the server's own.
    let names = names(1);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = fill_pending(dir, &names, jobs, "http://m.example/").await;
    let store = Box::new(SqliteStore::open(&dir.join("haulage.db")).await.unwrap());
    Filled { store, first, jobs }
}

async fn in_postgres(url: &str, jobs: usize) -> Filled {
    PostgresStore::migrate(url).await.unwrap();
    let store = Box::new(PostgresStore::open(url, 8).await.unwrap());
    let now = Clock::System.now();
    for name in names(0) {
        store.account_create(&name, false, now).await.unwrap().unwrap();
    }
    let first = fill_postgres(url, jobs, "http://m.example/").await;
    Filled { store, first, jobs }
}

/// Fills a migrated database with pending jobs that are spread over all of its accounts, without going
/// through the verbs. URLs are `prefix` and a number, keys the one returned and those that follow it.
pub async fn fill_postgres(url: &str, jobs: usize, prefix: &str) -> Key {
    let mut db = foreign(url).await;
    let now = Clock::System.now();
    let (first, many, created) = (first_key(now), signed(jobs), now.0 - 3_600_000);
    let filling = db.transaction().await.unwrap();
    filling.batch_execute("SET LOCAL synchronous_commit = off").await.unwrap();
    let insert = "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, bytes,
            created, deadline, url_hash, url, request)
        SELECT $2 + i, 1 + i % (SELECT MAX(id) FROM account), 0, 0, 0, 0, $3::BIGINT + i % 1000, 0, 0,
            $3, $3 + 86400000, i * 2654435761, $4 || i || '.mp4',
            '{\"title\":\"bench\",\"extension\":\"mp4\"}'
        FROM generate_series(0, $1::BIGINT - 1) i";
    filling.execute(insert, &[&many, &first.0, &created, &prefix]).await.unwrap();
    let count = "INSERT INTO queue (account, part, pending, running, waiting)
        SELECT account, 0, COUNT(*), 0, 0 FROM job GROUP BY account";
    filling.execute(count, &[]).await.unwrap();
    filling.commit().await.unwrap();
    db.batch_execute("VACUUM ANALYZE job").await.unwrap();
    db.batch_execute("CHECKPOINT").await.unwrap();
    first
}

fn names(from: usize) -> Vec<String> {
    (from..ACCOUNTS).map(|n| format!("account-{n}")).collect()
}

impl Filled {
    /// [`INPUTS`] jobs of the `n`-th account, from all over its queue.
    fn keys(&self, n: usize) -> (AccountId, Vec<Key>) {
        let step = self.jobs / ACCOUNTS / INPUTS;
        let key = |i: usize| Key(self.first.0 + signed(i * step * ACCOUNTS + n));
        (AccountId(signed(n + 1)), (0..INPUTS).map(key).collect())
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap()
}

async fn measure(engine: &str, filled: Filled) {
    let store = filled.store.as_ref();
    let urls = submit_named(store).await;
    let account = AccountId(1);
    let all = Timestamp(0);

    let mut by_id = Times::new();
    for n in 0..ACCOUNTS {
        let (account, keys) = filled.keys(n);
        let began = Instant::now();
        let found = store.job_infos_by_id(account, &keys, all).await.unwrap();
        by_id.push(milliseconds(began));
        assert_eq!(found.len(), INPUTS);
    }
    let mut by_url = Times::new();
    for call in urls.chunks(INPUTS) {
        let began = Instant::now();
        let found = store.job_infos_by_url(account, call, all).await.unwrap();
        by_url.push(milliseconds(began));
        assert!(found.iter().all(|jobs| jobs.len() == 1));
    }
    let mut cancel_ids = Times::new();
    for n in 0..ACCOUNTS {
        let (account, keys) = filled.keys(n);
        cancel_ids.push(cancelled(store, account, CancelBy::Keys(keys)).await);
    }
    let mut cancel_urls = Times::new();
    for call in urls.chunks(INPUTS) {
        cancel_urls.push(cancelled(store, account, CancelBy::Urls(call.to_vec())).await);
    }
    let mut claims = Times::new();
    for _ in 0..CALLS {
        let request = ClaimRequest {
            slots: SLOTS,
            spare: 0,
            shares: Shares::default(),
            hosts: HostPlaces::default(),
            now: Clock::System.now(),
            lease: Duration::from_secs(3_600),
        };
        let began = Instant::now();
        let claimed = store.job_claim(request).await.unwrap();
        claims.push(milliseconds(began));
        assert_eq!(claimed.len(), SLOTS);
    }
    store.close().await.unwrap();

    println!("  {engine}, {} pending", filled.jobs);
    let show = |what: &str, times: Times| {
        let (p50, p99) = (median(times.clone()), p99(times));
        println!("    {what:28} p50 {p50:7.2} ms, p99 {p99:7.2} ms");
    };
    show(&format!("claim of {SLOTS}"), claims);
    show(&format!("cancel of {INPUTS} ids"), cancel_ids);
    show(&format!("cancel of {INPUTS} URLs"), cancel_urls);
    show(&format!("query of {INPUTS} ids"), by_id);
    show(&format!("query of {INPUTS} URLs"), by_url);
}

async fn cancelled(store: &dyn Store, account: AccountId, by: CancelBy) -> f64 {
    let began = Instant::now();
    let verdicts = store.job_cancel_pending(account, by, Clock::System.now()).await.unwrap();
    let took = milliseconds(began);
    assert!(verdicts.len() == INPUTS && verdicts.iter().all(is_cancel), "{verdicts:?}");
    took
}

/// The jobs that are asked for by URL: those of the filling are not found by it.
async fn submit_named(store: &dyn Store) -> Vec<SourceUrl> {
    let now = Clock::System.now();
    let url = |n: usize| SourceUrl::new(format!("http://named.example/{n}.mp4"));
    let urls: Vec<SourceUrl> = (0..CALLS * INPUTS).map(url).collect();
    let job = |url: &SourceUrl| NewJob { url: url.clone(), request: JobRequest::default() };
    let submission = Submission {
        account: AccountId(1),
        jobs: urls.iter().map(job).collect(),
        session: None,
        now,
        deadline: now + Duration::from_secs(86_400),
        limits: SubmitLimits { calls_per_day: 0, pending: 0 },
    };
    let answer = store.job_submit(submission).await.unwrap();
    assert!(matches!(answer, Submitted::Accepted(_)), "{answer:?}");
    urls
}

fn is_cancel(verdict: &CancelVerdict) -> bool {
    matches!(verdict, CancelVerdict::Canceled(keys) if keys.len() == 1)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
