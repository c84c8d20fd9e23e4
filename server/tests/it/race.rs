//! Cancel against claim: of the two, exactly one wins each job.

use std::sync::Arc;
use std::time::Duration;

use haulage::domain::account::AccountId;
use haulage::domain::fault::{FaultClass, JobFault};
use haulage::domain::id::Key;
use haulage::domain::job::JobRequest;
use haulage::domain::source_url::SourceUrl;
use haulage::domain::time::Timestamp;
use haulage::domain::turns::Shares;
use haulage::door::Clock;
use haulage::store::postgres::PostgresStore;
use haulage::store::sqlite::SqliteStore;
use haulage::store::{
    CancelBy, CancelVerdict, Claim, ClaimRequest, HostPlaces, NewJob, Outcome, Store, Submission,
    SubmitLimits, Submitted,
};
use tokio::sync::Barrier;

use crate::harness::origin::Origin;
use crate::harness::postgres::{self, Version};
use crate::harness::{Server, count_from, ledger, spawn};

/// The racers: one `job_claim`, one `job_cancel_pending`, started at one barrier on one pending
/// job in SQLite. The winner is whoever's change the other one sees.
#[tokio::test(flavor = "multi_thread")]
async fn claim_and_cancel_never_both_win_a_job_and_never_neither() {
    let rounds = count_from("HAULAGE_TEST_RACES", 20_000);
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&dir.path().join("h.db")).await.unwrap());
    let clock = Clock::System;
    let account = store.account_create("a", false, clock.now()).await.unwrap().unwrap().id;
    let (mut claimed, mut canceled) = (0, 0);
    for round in 0..rounds {
        let now = clock.now();
        let keys = submit(store.as_ref(), account, round, 1, now).await;
        let barrier = Arc::new(Barrier::new(2));
        let start_claim = || {
            let (store, barrier) = (store.clone(), barrier.clone());
            spawn(async move {
                barrier.wait().await;
                claim(store.as_ref(), 1, now).await.pop()
            })
        };
        let start_cancel = || {
            let (store, barrier, keys) = (store.clone(), barrier.clone(), keys.clone());
            spawn(async move {
                barrier.wait().await;
                store.job_cancel_pending(account, CancelBy::Keys(keys), now).await.unwrap()
            })
        };
        // Whoever comes to the barrier last leaves it first, so the sides take turns at that.
        let (claimer, canceller) = if round % 2 == 0 {
            let claimer = start_claim();
            (claimer, start_cancel())
        } else {
            let canceller = start_cancel();
            (start_claim(), canceller)
        };
        let (claim, verdicts) = (claimer.await.unwrap(), canceller.await.unwrap());
        let was_canceled = matches!(&verdicts[0], CancelVerdict::Canceled(k) if *k == keys);
        match (claim, was_canceled) {
            (Some(claim), false) => {
                claimed += 1;
                give_up(store.as_ref(), claim, now).await;
            }
            (None, true) => canceled += 1,
            (Some(_), true) => panic!("round {round}: both won"),
            (None, false) => panic!("round {round}: neither won: {verdicts:?}"),
        }
    }
    let counts = [("rounds", rounds), ("claimed", claimed), ("cancelled", canceled)];
    ledger::enter("K13 on SQLite", None, &counts);
    let least = rounds / 100;
    assert!(claimed >= least && canceled >= least, "both outcomes occur: {claimed}/{canceled}");
    store.close().await.unwrap();
}

async fn submit(
    store: &dyn Store,
    account: AccountId,
    round: usize,
    jobs: usize,
    now: Timestamp,
) -> Vec<Key> {
    let url = |n: usize| SourceUrl::new(format!("http://m.example/{round}/{n}.mp4"));
    let job = |n: usize| NewJob { url: url(n), request: JobRequest::default() };
    let submission = Submission {
        account,
        jobs: (0..jobs).map(job).collect(),
        session: None,
        now,
        deadline: now + Duration::from_secs(3_600),
        limits: SubmitLimits { calls_per_day: 0, pending: 0 },
    };
    let answer = store.job_submit(submission).await.unwrap();
    let Submitted::Accepted(keys) = answer else { panic!("{answer:?}") };
    keys
}

async fn claim(store: &dyn Store, slots: usize, now: Timestamp) -> Vec<Claim> {
    let lease = Duration::from_secs(30);
    let (shares, hosts) = (Shares::default(), HostPlaces::default());
    store.job_claim(ClaimRequest { slots, spare: 0, shares, hosts, now, lease }).await.unwrap()
}

async fn give_up(store: &dyn Store, claim: Claim, now: Timestamp) {
    let fault = JobFault::new(FaultClass::Empty, "the round is over");
    store.job_finish(claim, Outcome::Failure(fault), now).await.unwrap();
}

/// Jobs of one round of the race below.
const HEAT: usize = 10;

/// The racers: four nodes on one PostgreSQL, each with one `job_claim` of some of ten pending jobs and
/// one `job_cancel_pending` of all of them, the eight started at one barrier. Each job has one winner.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_four_nodes_that_claim_and_cancel_one_wins_each_job() {
    let test = "of_four_nodes_that_claim_and_cancel_one_wins_each_job";
    let Some(cluster) = postgres::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    PostgresStore::migrate(&url).await.unwrap();
    let mut nodes: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..4 {
        nodes.push(Arc::new(PostgresStore::open(&url, 6).await.unwrap()));
    }
    let clock = Clock::System;
    let account = nodes[0].account_create("a", false, clock.now()).await.unwrap().unwrap().id;
    let rounds = count_from("HAULAGE_TEST_NODE_RACES", 2_000) / HEAT;
    let (mut claimed, mut canceled) = (0, 0);
    for round in 0..rounds {
        let now = clock.now();
        let keys = submit(nodes[round % 4].as_ref(), account, round, HEAT, now).await;
        let barrier = Arc::new(Barrier::new(2 * nodes.len()));
        let (mut claimers, mut cancellers) = (Vec::new(), Vec::new());
        for node in &nodes {
            let (store, start) = (node.clone(), barrier.clone());
            claimers.push(spawn(async move {
                start.wait().await;
                claim(store.as_ref(), HEAT / 3, now).await
            }));
            let (store, start, keys) = (node.clone(), barrier.clone(), keys.clone());
            cancellers.push(spawn(async move {
                start.wait().await;
                store.job_cancel_pending(account, CancelBy::Keys(keys), now).await.unwrap()
            }));
        }
        let mut winners: Vec<Key> = Vec::new();
        for claimer in claimers {
            for won in claimer.await.unwrap() {
                winners.push(won.job().key);
                claimed += 1;
                give_up(nodes[round % 4].as_ref(), won, now).await;
            }
        }
        for canceller in cancellers {
            for verdict in canceller.await.unwrap() {
                if let CancelVerdict::Canceled(won) = verdict {
                    canceled += won.len();
                    winners.extend(won);
                }
            }
        }
        winners.sort_unstable();
        let mut all = keys;
        all.sort_unstable();
        assert_eq!(winners, all, "round {round}: one winner for each job");
    }
    let counts = [("rounds", rounds * HEAT), ("claimed", claimed), ("cancelled", canceled)];
    ledger::enter("K13 on PostgreSQL, four nodes", None, &counts);
    // A claim looks before it locks, so most jobs are cancelled.
    assert!(claimed > 0 && canceled > 0, "both outcomes occur: {claimed}/{canceled}");
    for node in nodes {
        node.close().await.unwrap();
    }
}

/// The same race through the whole product: the origin is the witness of what was fetched.
#[tokio::test(flavor = "multi_thread")]
async fn the_origin_never_sees_a_request_of_a_cancelled_job() {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| {
        c.qps.insert("CancelUrlUploadJobs".into(), 0);
        c.qps.insert("GetURLUploadInfos".into(), 0);
        c.qps.insert("UploadMediaByURL".into(), 0);
        c.transfers = 4;
    })
    .await;
    let client = server.client();
    let (mut canceled, mut ran) = (0, 0);
    let rounds = count_from("HAULAGE_TEST_CANCELS", 20);
    for round in 0..rounds {
        let paths: Vec<String> = (0..10).map(|i| format!("/good/{round}-{i}.mp4")).collect();
        let urls: Vec<String> = paths.iter().map(|p| origin.url(p)).collect();
        let ids = client.submit(&urls).await;
        let reply = client.call("CancelUrlUploadJobs", &[("JobIds", &ids.join(","))]).await.ok();
        let gone: Vec<&str> =
            reply["CanceledJobs"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        for (id, path) in ids.iter().zip(&paths) {
            let info = client.terminal(id).await;
            if gone.contains(&id.as_str()) {
                canceled += 1;
                assert_eq!(info["Status"], "CANCELED");
                assert_eq!(origin.seen(path), 0, "{path} was cancelled and yet fetched");
            } else {
                ran += 1;
                assert_eq!(info["Status"], "SUCCESS", "{info}");
                assert_eq!(origin.seen(path), 1);
            }
        }
    }
    let counts = [("rounds", 10 * rounds), ("claimed", ran), ("cancelled", canceled)];
    ledger::enter("K13 over HTTP", None, &counts);
    assert!(canceled > 0 && ran > 0, "both outcomes occur: {canceled}/{ran}");
}
