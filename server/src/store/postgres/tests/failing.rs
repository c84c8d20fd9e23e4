//! A database that fails: what is tried again, what is told as unknown, what is never said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::{self, Cluster, Version, foreign};
use super::{PostgresStore, fresh, open};
use crate::run::tasks::Tasks;
use crate::store::conformance::bed::{Bed, at, new_job, submission};
use crate::store::{Nonce, NonceUse, Store, StoreError, Submitted};

/// Where the proxy cuts a connection, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The client's message with these words arrives; no answer comes back.
    After(&'static str),
    /// It does not even arrive.
    Before(&'static str),
}

/// Passes bytes on between a store and the server, until it sees what it is to cut at.
async fn proxy(tasks: &Tasks, server: u16, cut: Cut, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let on = tasks.clone();
    tasks.spawn("proxy", async move {
        while let Ok((client, _)) = listener.accept().await {
            let armed = armed.clone();
            #[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            on.spawn("proxy connection", pass(client, server, cut, armed));
        }
    });
    port
}

async fn pass(client: TcpStream, server: TcpStream, cut: Cut, armed: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (Cut::After(words) | Cut::Before(words)) = cut;
    let (mut up, mut down) = (vec![0u8; 1 << 16], vec![0u8; 1 << 16]);
    let mut is_cut = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let sent = &up[..read.unwrap_or(0)];
                let is_it = sent.windows(words.len()).any(|part| part == words.as_bytes());
                is_cut |= is_it && armed.swap(false, Ordering::SeqCst);
                if sent.is_empty() || (is_cut && matches!(cut, Cut::Before(_))) {
                    return;
                }
                to_server.write_all(sent).await.unwrap();
            }
            read = from_server.read(&mut down) => {
                let answer = &down[..read.unwrap_or(0)];
                // The server has done what it was asked to; its answer goes nowhere.
                if answer.is_empty() || is_cut || to_client.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A migrated schema, and a store that reaches it through the proxy.
async fn behind(cut: Cut, test: &str) -> Option<(String, PostgresStore, Arc<AtomicBool>)> {
    let cluster = cluster::shared(Version::Fifteen, test)?;
    let url = cluster.schema().await;
    PostgresStore::migrate(&url).await.unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let port = proxy(&Tasks::new(), cluster.port(), cut, armed.clone()).await;
    let through = url.replace(&format!(":{}/", cluster.port()), &format!(":{port}/"));
    assert_ne!(through, url);
    Some((url, open(&through).await, armed))
}

async fn jobs(url: &str) -> i64 {
    foreign(url).await.query_one("SELECT COUNT(*) FROM job", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_unknown_and_not_done_again() {
    let test = "a_commit_without_an_answer_is_unknown_and_not_done_again";
    let Some((url, store, armed)) = behind(Cut::After("COMMIT"), test).await else { return };
    let store = Arc::new(store);
    let bed = Bed::new(store.clone()).await;
    armed.store(true, Ordering::SeqCst);
    let call = submission(bed.account, vec![new_job("a")], at(0));
    let answer = store.job_submit(call.clone()).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert_eq!(jobs(&url).await, 1, "it happened, once");
    // The next one finds another connection.
    assert!(matches!(store.job_submit(call).await.unwrap(), Submitted::Accepted(_)));
    assert_eq!(jobs(&url).await, 2);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_its_commit_is_done_again_once() {
    let test = "what_fails_before_its_commit_is_done_again_once";
    for words in ["START TRANSACTION", "job_keys", "SET LOCAL"] {
        let Some((url, store, armed)) = behind(Cut::Before(words), test).await else { return };
        let store = Arc::new(store);
        let bed = Bed::new(store.clone()).await;
        armed.store(true, Ordering::SeqCst);
        bed.one(at(0)).await;
        assert!(!armed.load(Ordering::SeqCst), "{words}: it was cut");
        assert_eq!(jobs(&url).await, 1, "{words}");
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_survives_the_end_of_all_its_connections() {
    let test = "a_node_survives_the_end_of_all_its_connections";
    let Some(cluster) = cluster::shared(Version::Eighteen, test) else { return };
    let url = cluster.schema().await;
    let store = Arc::new(fresh(&format!("{url}&application_name=survivor")).await);
    let bed = Bed::new(store.clone()).await;
    let db = foreign(&url).await;
    for round in 0..5 {
        bed.one(at(round)).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name = 'survivor'";
        assert!(!db.query(cut, &[]).await.unwrap().is_empty());
        assert_eq!(store.stats().await.unwrap().pending, round.unsigned_abs() + 1);
    }
    store.close().await.unwrap();
}

/// A replay is refused for good; a failure is told as one, and the request may come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_could_not_be_used_up_is_no_replay() {
    let test = "a_nonce_that_could_not_be_used_up_is_no_replay";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    let store = fresh(&url).await;
    let db = foreign(&url).await;
    let take = async |value: &str| {
        let nonce = Nonce { access_key_id: "K", value, expires: at(1_000), now: at(0) };
        store.nonce_take(nonce).await
    };
    assert!(matches!(take("before").await, Ok(NonceUse::Fresh(_))));
    db.batch_execute("ALTER TABLE nonce RENAME TO away").await.unwrap();
    for failed in futures_util::future::join_all((0..8).map(|_| take("n"))).await {
        assert!(matches!(failed, Err(StoreError::Engine(_))), "{failed:?}");
    }
    db.batch_execute("ALTER TABLE away RENAME TO nonce").await.unwrap();
    assert!(matches!(take("n").await, Ok(NonceUse::Fresh(_))));
    assert!(matches!(take("n").await, Ok(NonceUse::Replayed)));
    store.close().await.unwrap();
}

/// As with a primary and its standby: one host is gone, one takes no writes, one does.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let test = "of_several_hosts_the_one_that_takes_writes_is_used";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let read_only = Cluster::start(Version::Fifteen, &["default_transaction_read_only=on"]);
    let read_only = read_only.expect("as the other one");
    let url = cluster.schema().await;
    let own = format!("127.0.0.1:{}/", cluster.port());
    let all = format!("127.0.0.1:1,127.0.0.1:{},{own}", read_only.port());
    for options in ["", "&target_session_attrs=read-write"] {
        let several = format!("{}{options}", url.replace(&own, &all));
        let store = Arc::new(fresh(&several).await);
        let bed = Bed::new(store.clone()).await;
        bed.one(at(0)).await;
        assert_eq!(jobs(&url).await, 1);
        foreign(&url).await.batch_execute("TRUNCATE job, account CASCADE").await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_transactions_in_each_others_way_both_happen() {
    let test = "two_transactions_in_each_others_way_both_happen";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    let store = Arc::new(fresh(&url).await);
    let bed = Bed::new(store.clone()).await;
    let keys = bed.submit(bed.account, &["a", "b"], at(0)).await;
    // Somebody else locks the second job and then wants the first, which the cancel holds.
    let db = foreign(&url).await;
    let lock = |key: i64| format!("SELECT 1 FROM job WHERE key = {key} FOR UPDATE");
    db.batch_execute(&format!("BEGIN; SET LOCAL deadlock_timeout = '1h'; {}", lock(keys[1].0)))
        .await
        .unwrap();
    let cancel = {
        let (bed, keys) = (bed.clone(), keys.clone());
        let by = crate::store::CancelBy::Keys(keys);
        Tasks::new().spawn("cancel", async move {
            bed.store.job_cancel_pending(bed.account, by, at(1)).await.unwrap()
        })
    };
    let waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()";
    let watcher = foreign(&url).await;
    super::until("the cancel waits for the second job", async || {
        let count: i64 = watcher.query_one(waits, &[]).await.unwrap().get(0);
        (count > 0).then_some(())
    })
    .await;
    // The circle is closed; the cancel's session notices it, loses, and comes again.
    db.batch_execute(&lock(keys[0].0)).await.unwrap();
    db.batch_execute("COMMIT").await.unwrap();
    let verdicts = cancel.await.unwrap().unwrap();
    assert!(verdicts.iter().all(|v| matches!(v, crate::store::CancelVerdict::Canceled(_))));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_repeats_the_password() {
    for url in [
        "postgres://me:SECRET@127.0.0.1:1/db",
        "postgres://me:SECRET@127.0.0.1:1/db?sslmode=verify-full",
        "postgres://me:SECRET@127.0.0.1:1/db?sslmode=prefer",
    ] {
        let error = PostgresStore::open(url, 3).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
}

/// NUL is no character of PostgreSQL's text. It can only come in what somebody made up.
#[tokio::test(flavor = "multi_thread")]
async fn text_with_a_nul_finds_nothing_and_breaks_nothing() {
    let test = "text_with_a_nul_finds_nothing_and_breaks_nothing";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let store = Arc::new(fresh(&cluster.schema().await).await);
    let bed = Bed::new(store.clone()).await;
    assert!(store.key_find("K\0").await.unwrap().is_none());
    let calls = ["a\0b", "c"].map(|path| {
        let call = submission(bed.account, vec![new_job(path)], at(0));
        store.job_submit(call)
    });
    for answer in futures_util::future::join_all(calls).await {
        assert!(matches!(answer.unwrap(), Submitted::Accepted(_)));
    }
    store.close().await.unwrap();
}
