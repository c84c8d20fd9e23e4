//! Several hosts and standbys: which server is spoken to, when it is given up, and what a commit is
//! worth whose standby was not waited for.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::{self, Cluster, Version, foreign, run};
use super::{Judge, PostgresStore, fresh, open, until};
use crate::run::tasks::Tasks;
use crate::store::conformance::bed::{Bed, at, new_job, submission};
use crate::store::{Store, StoreError, Submitted};

const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn number(url: &str, query: &str) -> i64 {
    foreign(url).await.query_one(query, &[]).await.unwrap().get(0)
}

/// A store on a server whose standby is never there, and one that does not wait for it.
struct Alone {
    _cluster: Cluster,
    url: String,
    store: Arc<PostgresStore>,
    bed: Bed,
}

impl Alone {
    async fn new(test: &str) -> Option<Self> {
        let nobody = &["synchronous_standby_names=nobody"];
        let Some(cluster) = Cluster::start(Version::Fifteen, nobody) else {
            cluster::skip(test, Version::Fifteen);
            return None;
        };
        let local = "-csynchronous_commit%3Dlocal";
        run(&format!("{}?options={local}", cluster.url()), "CREATE SCHEMA s").await;
        // Whoever wants to hear of errors alone hears of that wait all the same.
        let quiet = "-cclient_min_messages%3Derror";
        let url = format!("{}?options=-csearch_path%3Ds%20{quiet}", cluster.url());
        let prepared = fresh(&format!("{url}%20{local}")).await;
        assert!(prepared.keep_master_key([7; 32]).await.unwrap());
        let bed = Bed::new(Arc::new(prepared)).await;
        let store = Arc::new(open(&url).await);
        Some(Self { _cluster: cluster, url, store, bed })
    }

    /// What a call answers whose commit waits until this function of the server ends it.
    async fn end_the_wait<T>(&self, end: &str, call: JoinHandle<Option<T>>) -> T {
        until("the commit waits", async || (number(&self.url, WAITING).await == 1).then_some(()))
            .await;
        let ended = format!("SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        foreign(&self.url).await.query(&ended, &[]).await.unwrap();
        call.await.unwrap().expect("the caller does not panic")
    }

    async fn close(self) {
        self.store.close().await.unwrap();
        self.bed.store.close().await.unwrap();
    }
}

/// PostgreSQL answers such a commit with success and a warning, and the standby does not have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_wait_for_a_standby_was_cancelled_is_unknown() {
    let test = "a_commit_whose_wait_for_a_standby_was_cancelled_is_unknown";
    let Some(alone) = Alone::new(test).await else { return };
    for (done, end) in [(1, "pg_cancel_backend"), (2, "pg_terminate_backend")] {
        let call = submission(alone.bed.account, vec![new_job("a")], at(0));
        let on = alone.store.clone();
        let call = Tasks::new().spawn("caller", async move { on.job_submit(call).await });
        let answer = alone.end_the_wait(end, call).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{end}: {answer:?}");
        let jobs = number(&alone.url, "SELECT COUNT(*) FROM job").await;
        assert_eq!(jobs, done, "{end}: here it has happened, and once");
    }
    alone.close().await;
}

/// A primary that was replaced and goes on can tell of jobs what was true long ago. By what it says no
/// object may be removed; it cannot say it, because its standby does not follow it any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_objects_are_removed_by_is_told_by_a_primary_that_still_is_one() {
    let test = "what_objects_are_removed_by_is_told_by_a_primary_that_still_is_one";
    let Some(alone) = Alone::new(test).await else { return };
    let key = alone.bed.submit(alone.bed.account, &["a"], at(0)).await[0];
    let on = alone.store.clone();
    let states = Tasks::new().spawn("sweep", async move { on.job_states(&[key]).await });
    let answer = alone.end_the_wait("pg_terminate_backend", states).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    alone.close().await;
}

/// A port that leads to the server, until it is said to be frozen: connections stay open then, new
/// ones are taken, and nothing comes through.
async fn window(tasks: &Tasks, server: u16, frozen: &watch::Sender<bool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (on, frozen) = (tasks.clone(), frozen.subscribe());
    tasks.spawn("window", async move {
        while let Ok((client, _)) = listener.accept().await {
            #[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            on.spawn("window connection", pass(client, server, frozen.clone()));
        }
    });
    port
}

async fn pass(mut client: TcpStream, mut server: TcpStream, mut frozen: watch::Receiver<bool>) {
    let (mut up, mut down) = (vec![0u8; 1 << 16], vec![0u8; 1 << 16]);
    loop {
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        tokio::select! {
            biased;
            _ = frozen.changed() => {}
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 => if server.write_all(&up[..n]).await.is_err() { return },
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 => if client.write_all(&down[..n]).await.is_err() { return },
                _ => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_given_up_for_the_one_that_took_over() {
    let test = "a_primary_that_hangs_is_given_up_for_the_one_that_took_over";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    let tasks = Tasks::new();
    let (first, second) = (watch::Sender::new(false), watch::Sender::new(true));
    let ports = [
        window(&tasks, cluster.port(), &first).await,
        window(&tasks, cluster.port(), &second).await,
    ];
    let both = format!("127.0.0.1:{},127.0.0.1:{}/", ports[0], ports[1]);
    let several = url.replace(&format!("127.0.0.1:{}/", cluster.port()), &both);
    assert_ne!(several, url);
    // A host that is silent from the beginning holds up nobody.
    PostgresStore::migrate(&several).await.unwrap();
    let store = Arc::new(PostgresStore::open_judged(&several, 16, Judge::Caller).await.unwrap());
    let bed = Bed::new(store.clone()).await;
    // Several of its connections are idle.
    join_all((0..16).map(|_| store.stats())).await;
    join_all((0..8).map(|_| bed.one(at(0)))).await;
    second.send_replace(false);
    first.send_replace(true);
    // On a connection that is open, and answers nothing.
    let call = submission(bed.account, vec![new_job("b")], at(1));
    let answer = store.job_submit(call).await;
    assert!(matches!(answer, Ok(Submitted::Accepted(_))), "{answer:?}");
    assert_eq!(number(&url, "SELECT COUNT(*) FROM job").await, 9, "once");
    // No idle one is used again.
    for stats in join_all((0..8).map(|_| store.stats())).await {
        assert_eq!(stats.unwrap().pending, 9);
    }
    // The old one wakes up, and is not gone back to.
    first.send_replace(false);
    bed.one(at(2)).await;
    first.send_replace(true);
    assert_eq!(store.stats().await.unwrap().pending, 10);
    store.close().await.unwrap();
}
