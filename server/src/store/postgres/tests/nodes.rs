//! Several nodes on one database: what is shared, and what must not happen twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::cluster::{self, Cluster, Version, foreign};
use super::{PostgresStore, fresh, open, until};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::source_url::{HostId, SourceUrl};
use crate::domain::time::Timestamp;
use crate::domain::turns::Shares;
use crate::run::tasks::Tasks;
use crate::store::conformance::bed::{
    Bed, LEASE, NO_LIMITS, at, new_job, referenced, request, submission, success,
};
use crate::store::{
    AGAIN_LIMIT, ClaimRequest, Finish, HostPlaces, NewJob, Nonce, NonceUse, Session, Store,
    Submission, SubmitLimits, Submitted,
};

/// Two nodes on a schema of their own.
struct Pair {
    url: String,
    a: Arc<PostgresStore>,
    b: Arc<PostgresStore>,
    bed: Bed,
}

impl Pair {
    async fn new(cluster: &Cluster) -> Self {
        let url = cluster.schema().await;
        let (a, b) = (Arc::new(fresh(&url).await), Arc::new(open(&url).await));
        let bed = Bed::new(a.clone()).await;
        Self { url, a, b, bed }
    }

    fn both(&self) -> [Arc<PostgresStore>; 2] {
        [self.a.clone(), self.b.clone()]
    }

    async fn close(self) {
        self.a.close().await.unwrap();
        self.b.close().await.unwrap();
    }
}

/// What many tasks answer, half of them on either node.
async fn on_both<T, F>(
    pair: &Pair,
    many: usize,
    call: impl Fn(Arc<PostgresStore>, usize) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = Tasks::new();
    let both = pair.both();
    let calls: Vec<_> =
        (0..many).map(|n| tasks.spawn("racer", call(both[n % 2].clone(), n))).collect();
    let ended = join_all(calls).await;
    ended.into_iter().map(|answer| answer.unwrap().expect("a racer does not panic")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_node_accepts_the_other_sees_claims_and_cancels() {
    let test = "what_one_node_accepts_the_other_sees_claims_and_cancels";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let there = Bed { store: pair.b.clone(), ..pair.bed.clone() };
    let keys = pair.bed.submit(pair.bed.account, &["a", "b"], at(0)).await;
    assert_eq!(there.kind(keys[0]).await, StateKind::Pending);
    let claim = there.claim_one(at(0)).await;
    assert_eq!(pair.bed.kind(claim.job().key).await, StateKind::Running);
    there.cancel(keys[1], at(1)).await;
    assert_eq!(pair.bed.kind(keys[1]).await, StateKind::Canceled);
    // The lease ends; the first node takes over, and the second's last word is refused.
    assert_eq!(pair.a.job_expire(at(0) + LEASE, 9, false).await.unwrap(), 1);
    let again = pair.bed.claim_one(at(0) + LEASE).await;
    let late = pair.b.job_finish(claim, success(), at(0) + LEASE).await.unwrap();
    assert_eq!(late, Finish::Superseded);
    pair.bed.finish(again, success(), at(0) + LEASE).await;
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_claim_at_once_share_all_jobs_and_no_job_twice() {
    let test = "nodes_that_claim_at_once_share_all_jobs_and_no_job_twice";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let mut submitted = Vec::new();
    for account in [pair.bed.account, pair.bed.other] {
        submitted.extend(pair.bed.submit(account, &["x"; 300], at(0)).await);
    }
    let claims = on_both(&pair, 40, |node, _| async move {
        let mut keys = Vec::new();
        loop {
            let claims = node.job_claim(request(7, at(0))).await.unwrap();
            if claims.is_empty() {
                return keys;
            }
            keys.extend(claims.iter().map(|claim| claim.job().key));
        }
    });
    let mut claimed: Vec<Key> = claims.await.into_iter().flatten().collect();
    claimed.sort_unstable();
    submitted.sort_unstable();
    assert_eq!(claimed, submitted);
    pair.close().await;
}

/// Another node is in the middle of claiming the next job, and takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_waits_for_no_other_and_takes_the_job_behind() {
    let test = "a_claim_waits_for_no_other_and_takes_the_job_behind";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let keys = pair.bed.submit(pair.bed.account, &["a", "b"], at(0)).await;
    let other = foreign(&pair.url).await;
    let hold = format!("BEGIN; SELECT 1 FROM job WHERE key = {} FOR UPDATE", keys[0].0);
    other.batch_execute(&hold).await.unwrap();
    // It would be refused if it waited: the other goes on only after it.
    assert_eq!(pair.bed.claim_one(at(0)).await.job().key, keys[1]);
    assert!(pair.bed.claim(9, at(0)).await.is_empty());
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(pair.bed.claim_one(at(0)).await.job().key, keys[0]);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_one_account_holds_over_nodes_that_claim_at_once() {
    let test = "the_limit_of_one_account_holds_over_nodes_that_claim_at_once";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    pair.bed.submit(pair.bed.account, &["x"; 100], at(0)).await;
    let limited =
        ClaimRequest { shares: Shares { per_account: 5, reserve: 0 }, ..request(3, at(0)) };
    let claims = on_both(&pair, 16, |node, _| {
        let limited = limited.clone();
        async move { node.job_claim(limited).await.unwrap().len() }
    });
    assert_eq!(claims.await.into_iter().sum::<usize>(), 5);
    pair.close().await;
}

/// A node remembers what it passed over; another puts a job there, of a host that has a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_node_puts_back_behind_a_full_host_is_found() {
    let test = "what_another_node_puts_back_behind_a_full_host_is_found";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let (account, many) = (pair.bed.account, 2 * AGAIN_LIMIT);
    let wanted = pair.bed.submit(account, &["wanted"], at(0)).await[0];
    let held = pair.b.job_claim(request(1, at(0))).await.unwrap().remove(0);
    let full = NewJob { url: SourceUrl::new("http://full.example/a".to_owned()), ..new_job("a") };
    pair.a.job_submit(submission(account, vec![full; many], at(1))).await.unwrap();
    let used = [(HostId::of("full.example"), 1)].into();
    let hosts = HostPlaces { per_host: 1, used };
    let claim = async || {
        let claims = ClaimRequest { hosts: hosts.clone(), ..request(1, at(2)) };
        pair.a.job_claim(claims).await.unwrap().pop().map(|claim| claim.job().key)
    };
    for _ in 0..2 {
        assert_eq!(claim().await, None, "what is looked at again comes half-way");
    }
    pair.b.job_hand_back(held, at(0), at(2)).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..many / AGAIN_LIMIT + 1 {
        found.extend(claim().await);
    }
    assert_eq!(found, [wanted]);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_uses_of_a_nonce_on_two_nodes_exactly_one_is_first() {
    let test = "of_racing_uses_of_a_nonce_on_two_nodes_exactly_one_is_first";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    for round in 0..20 {
        // Half of the rounds use the nonces of the others again, after their window.
        let (now, expires) = if round < 10 { (0, 1_000) } else { (1_000, 2_000) };
        let first = on_both(&pair, 40, |node, _| async move {
            let value = format!("n{}", round % 10);
            let (now, expires) = (at(now), at(expires));
            let nonce = Nonce { access_key_id: "K", value: &value, expires, now };
            matches!(node.nonce_take(nonce).await.unwrap(), NonceUse::Fresh(_))
        });
        let first = first.await.into_iter().filter(|first| *first).count();
        assert_eq!(first, 1, "round {round}");
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_quotas_queues_and_references_are_judged_over_both_nodes() {
    let test = "sessions_quotas_queues_and_references_are_judged_over_both_nodes";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let account = pair.bed.account;
    let race = async |call: Submission| -> (usize, BTreeSet<Vec<Key>>) {
        let answers = on_both(&pair, 30, move |node, _| {
            let call = call.clone();
            async move { node.job_submit(call).await.unwrap() }
        });
        let mut replayed = BTreeSet::new();
        let mut accepted = 0;
        for answer in answers.await {
            match answer {
                Submitted::Accepted(keys) => {
                    accepted += 1;
                    replayed.insert(keys);
                }
                Submitted::Replayed(keys) => drop(replayed.insert(keys)),
                Submitted::SessionTaken
                | Submitted::DayQuota { .. }
                | Submitted::QueueFull
                | Submitted::ReferenceTaken(_) => {}
            }
        }
        (accepted, replayed)
    };
    let window = Duration::from_secs(60);
    let session = Some(Session { id: "s".to_owned(), fingerprint: [1; 32], window });
    let jobs = vec![new_job("a"), new_job("b")];
    let once = Submission { session, ..submission(account, jobs, at(0)) };
    let (accepted, keys) = race(once).await;
    assert_eq!((accepted, keys.len()), (1, 1), "all are told the same jobs");

    let reference = submission(account, vec![referenced("a", "r")], at(0));
    assert_eq!(race(reference).await.0, 1);

    let pending = SubmitLimits { pending: 10, ..NO_LIMITS };
    let queue = Submission { limits: pending, ..submission(account, vec![new_job("q"); 2], at(0)) };
    // Three are there, and four times two still fit below ten: three and six are nine.
    assert_eq!(race(queue).await.0, 3);

    let calls = SubmitLimits { calls_per_day: 12, ..NO_LIMITS };
    let quota = Submission { limits: calls, ..submission(account, vec![new_job("d")], at(0)) };
    assert_eq!(race(quota).await.0, 12 - 1 - 1 - 3);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_of_two_nodes_are_distinct_and_grow_whatever_their_clocks_say() {
    let test = "keys_of_two_nodes_are_distinct_and_grow_whatever_their_clocks_say";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let account = pair.bed.account;
    let keys = on_both(&pair, 60, |node, n| async move {
        // One node's clock is ten seconds ahead.
        let now = at(if n % 2 == 0 { 0 } else { 10_000 });
        let call = submission(account, vec![new_job("x"); 5], now);
        let Submitted::Accepted(keys) = node.job_submit(call).await.unwrap() else { panic!() };
        assert!(keys.windows(2).all(|two| two[0] < two[1]));
        keys
    });
    let keys: Vec<Key> = keys.await.into_iter().flatten().collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 300);
    let late = submission(account, vec![new_job("x")], at(0));
    let Submitted::Accepted(last) = pair.b.job_submit(late).await.unwrap() else { panic!() };
    assert!(keys.iter().all(|key| *key < last[0]));
    pair.close().await;
}

/// A node whose clock runs ahead, or that was told nonsense, takes no other's jobs away.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_by_the_clock_of_the_database_alone() {
    let test = "a_lease_ends_by_the_clock_of_the_database_alone";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    PostgresStore::migrate(&url).await.unwrap();
    let store = Arc::new(PostgresStore::open(&url, 3).await.unwrap());
    let now = store.clock().now();
    let bed = Bed::new(store.clone()).await;
    let key = bed.submit(bed.account, &["a"], now).await[0];
    let claim = ClaimRequest { lease: Duration::from_millis(1_500), ..request(1, now) };
    assert_eq!(store.job_claim(claim).await.unwrap().len(), 1);
    let an_hour_ahead = now + Duration::from_secs(3_600);
    assert_eq!(store.job_expire(an_hour_ahead, 9, false).await.unwrap(), 0);
    assert_eq!(bed.kind(key).await, StateKind::Running);
    until("the lease has ended", async || {
        (store.job_expire(an_hour_ahead, 9, false).await.unwrap() == 1).then_some(())
    })
    .await;
    let database = foreign(&url).await.query_one(super::super::sql::NOW, &[]).await.unwrap();
    assert!(Timestamp(database.get(0)) >= now + Duration::from_millis(1_500));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_follows_the_clock_of_the_database() {
    let test = "a_node_follows_the_clock_of_the_database";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    let store = fresh(&url).await;
    let db = foreign(&url).await;
    let mut nearest = u128::MAX;
    for _ in 0..20 {
        let said: i64 = db.query_one(super::super::sql::NOW, &[]).await.unwrap().get(0);
        let here = store.clock().now();
        let apart = here.since(Timestamp(said)).max(Timestamp(said).since(here));
        nearest = nearest.min(apart.as_millis());
    }
    assert!(nearest < 500, "{nearest} ms apart");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_wakes_other_nodes_also_after_the_listener_was_cut_off() {
    let test = "a_submission_wakes_other_nodes_also_after_the_listener_was_cut_off";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let pair = Pair::new(cluster).await;
    let db = foreign(&pair.url).await;
    let listeners = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE application_name = 'haulage listener' AND query LIKE 'LISTEN%'";
    let listening = async || {
        let count: i64 = db.query_one(listeners, &[]).await.unwrap().get(0);
        (count >= 2).then_some(())
    };
    until("both nodes listen", listening).await;
    // A wake-up is a hint: one may be lost, but they go on coming.
    let woken = async || {
        until("the other node is woken", async || {
            pair.bed.one(at(0)).await;
            tokio::time::timeout(Duration::from_millis(500), pair.b.woken()).await.ok()
        })
        .await;
    };
    woken().await;
    for _ in 0..2 {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name = 'haulage listener'";
        db.query(cut, &[]).await.unwrap();
        woken().await;
    }
    pair.close().await;
}
