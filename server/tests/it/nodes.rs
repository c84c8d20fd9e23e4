//! Several nodes on one PostgreSQL database: shared work, shared limits, deaths and pauses.

mod members;
mod rolling;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haulage::api::throttle::Throttle;
use haulage::blob::Place;
use haulage::config::Config;
use haulage::domain::account::AccountId;
use haulage::run::members::Roles;
use haulage::run::serve::{self, Node};
use haulage::store::postgres::PostgresStore;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::origin::Origin;
use crate::harness::postgres::{self, Cluster, Version, foreign};
use crate::harness::process::{self, Process};
use crate::harness::{Client, KEY_ID, SECRET, SOON, config, spawn, until};

/// A database, and what nodes share beside it.
pub struct Farm {
    cluster: &'static Cluster,
    url: String,
    common: TempDir,
}

impl Farm {
    /// A migrated database; `None`, said loudly, where there is no PostgreSQL.
    pub async fn new(test: &str) -> Option<Self> {
        Self::on(Version::Fifteen, test).await
    }

    async fn on(version: Version, test: &str) -> Option<Self> {
        let farm = Self::empty(version, test).await?;
        let migrated = farm.command(farm.common.path()).arg("migrate").output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        Some(farm)
    }

    async fn empty(version: Version, test: &str) -> Option<Self> {
        let cluster = postgres::shared(version, test)?;
        let (url, common) = (cluster.schema().await, tempfile::tempdir().unwrap());
        Some(Self { cluster, url, common })
    }

    fn storage(&self) -> String {
        format!("file://{}", self.common.path().join("objects").display())
    }

    /// The configuration of a node with a data directory of its own.
    fn config(&self, data_dir: &Path) -> Config {
        Config {
            database_url: Some(self.url.clone()),
            database_connections: 6,
            master_key_file: Some(self.common.path().join("master.key")),
            storage_url: Some(Place::Directory(self.common.path().join("objects"))),
            ..config(data_dir)
        }
    }

    /// A command of the program, with the same.
    fn command(&self, data_dir: &Path) -> Command {
        let mut command = process::command(data_dir);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        command.envs(self.settings());
    }

    /// What all nodes have in their environment.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("HAULAGE_DATABASE_URL", self.url.clone()),
            ("HAULAGE_DATABASE_CONNECTIONS", "6".to_owned()),
            (
                "HAULAGE_MASTER_KEY_FILE",
                self.common.path().join("master.key").display().to_string(),
            ),
            ("HAULAGE_STORAGE_URL", self.storage()),
        ])
    }

    fn process(&self, data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> Process {
        Process::start_with(data_dir, |command| {
            self.environment(command);
            command.env("HAULAGE_LEASE", "1s");
            adjust(command);
        })
    }

    async fn member(&self, adjust: impl FnOnce(&mut Config)) -> Member {
        self.member_as(Roles::ALL, adjust).await
    }

    async fn member_as(&self, roles: Roles, adjust: impl FnOnce(&mut Config)) -> Member {
        let dir = tempfile::tempdir().unwrap();
        let mut config = self.config(dir.path());
        adjust(&mut config);
        let node = serve::start_as_with(config, process::BINARY.into(), roles).await.unwrap();
        Member { node, _dir: dir }
    }

    async fn number(&self, query: &str) -> i64 {
        foreign(&self.url).await.query_one(query, &[]).await.unwrap().get(0)
    }
}

/// A node in this process.
struct Member {
    node: Node,
    _dir: TempDir,
}

impl Member {
    fn client(&self) -> Client {
        Client::new(self.node.address(), KEY_ID, SECRET)
    }

    async fn stop(self) {
        self.node.stop().drain();
        self.node.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_work_and_a_job_of_one_is_seen_and_cancelled_on_the_other() {
    let test = "nodes_share_the_work_and_a_job_of_one_is_seen_and_cancelled_on_the_other";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let a = farm.member_as(Roles { api: true, worker: false }, |_| {}).await;
    let b = farm.member_as(Roles { api: true, worker: false }, |_| {}).await;
    let ids = a.client().submit(&[origin.url("/good/a.mp4"), origin.url("/good/b.mp4")]).await;
    assert_eq!(b.client().status(&ids[0]).await, "PENDING", "seen at once");
    let canceled = b.client().call("CancelUrlUploadJobs", &[("JobIds", &ids[0])]).await.ok();
    assert_eq!(canceled["CanceledJobs"], serde_json::json!([ids[0]]));
    assert_eq!(a.client().status(&ids[0]).await, "CANCELED");
    // A node that only works does: woken, and without serving anything but its health.
    let c = farm.member_as(Roles { api: false, worker: true }, |_| {}).await;
    assert_eq!(c.client().get("/readyz", &[]).await.status, 200);
    assert_eq!(c.client().get("/explorer", &[]).await.status, 404);
    let info = a.client().terminal(&ids[1]).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(origin.seen("/good/a.mp4"), 0, "a cancelled job makes no request");
    // Made by one node, served by another.
    let media = info["MediaId"].as_str().unwrap();
    let play = b.client().call("GetPlayInfo", &[("VideoId", media)]).await.ok();
    assert!(play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].is_string(), "{play}");
    // The list of nodes.
    let nodes = a.node.store().nodes(haulage::domain::time::Timestamp(0)).await.unwrap();
    let mut roles: Vec<&str> = nodes.iter().map(|node| node.roles.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["api", "api", "worker"]);
    c.stop().await;
    b.stop().await;
    assert_eq!(farm.number("SELECT COUNT(*) FROM node").await, 1, "who leaves says so");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_taken_once_over_all_nodes() {
    let test = "a_request_is_taken_once_over_all_nodes";
    let Some(farm) = Farm::new(test).await else { return };
    let (a, b) = (farm.member(|c| c.transfers = 0).await, farm.member(|c| c.transfers = 0).await);
    let upload = a.client().signed("UploadMediaByURL", &[("UploadURLs", "http://m.example/a.mp4")]);
    let (here, there) = (a.client(), b.client());
    let copies = (0..20).map(|n| if n % 2 == 0 { &here } else { &there }.send(&upload));
    let answers = futures_util::future::join_all(copies).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.code(), "SignatureNonceUsed");
    }
    assert_eq!(farm.number("SELECT COUNT(*) FROM job").await, 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_calls_in_a_second_over_two_nodes_fifty_pass() {
    let test = "of_sixty_calls_in_a_second_over_two_nodes_fifty_pass";
    let Some(farm) = Farm::on(Version::Eighteen, test).await else { return };
    let (a, b) = (farm.member(|c| c.transfers = 0).await, farm.member(|c| c.transfers = 0).await);
    let unknown = [("JobIds", "0123456789abcdef0123456789abcdef")];
    let (here, there) = (a.client(), b.client());
    let requests: Vec<_> = (0..60).map(|_| here.signed("CancelUrlUploadJobs", &unknown)).collect();
    let started = tokio::time::Instant::now();
    let sent = requests.iter().enumerate();
    let sent = sent.map(|(n, r)| if n % 2 == 0 { &here } else { &there }.send(r));
    let answers = futures_util::future::join_all(sent).await;
    let took = started.elapsed();
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    // In one second exactly 50; on a stalled machine no more than 50 for each second begun.
    let most = 50 * (1 + usize::try_from(took.as_secs()).unwrap());
    assert!((50..=most.min(60)).contains(&passed), "{passed} passed in {took:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.code(), "Throttling.User");
        let wait: u64 = answer.header("x-acs-retry-after").unwrap().parse().unwrap();
        assert!((1..=1_000).contains(&wait));
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_killed_node_are_rescued_and_finish_on_another() {
    let test = "jobs_of_a_killed_node_are_rescued_and_finish_on_another";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let doomed = farm.process(dir.path(), |_| {});
    let place = format!("127.0.0.1:{}", farm.cluster.port());
    assert!(doomed.log().contains(&place), "it says where it works: {}", doomed.log());
    let paths: Vec<String> = (0..4).map(|n| format!("/held/{n}.mp4")).collect();
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    let ids = doomed.client().submit(&urls).await;
    until("all transfers run", SOON, || async {
        paths.iter().all(|path| origin.seen(path) == 1).then_some(())
    })
    .await;
    doomed.kill();
    let other = farm.member(|c| c.lease = Duration::from_secs(1)).await;
    origin.open_gate();
    for id in &ids {
        let info = other.client().terminal(id).await;
        assert_eq!(info["Status"], "SUCCESS", "{info}");
    }
    assert_eq!(farm.number("SELECT COUNT(*) FROM media").await, 4);
    assert_eq!(farm.number("SELECT COUNT(*) FROM job WHERE rescues = 1 AND token = 2").await, 4);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_leaves_the_transfers_of_others_alone() {
    let test = "a_node_that_starts_leaves_the_transfers_of_others_alone";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let a = farm.member(|_| {}).await;
    let ids = a.client().submit(&[origin.url("/held/a.mp4")]).await;
    until("the transfer runs", SOON, || async { (origin.seen("/held/a.mp4") == 1).then_some(()) })
        .await;
    let b = farm.member(|_| {}).await;
    origin.open_gate();
    assert_eq!(b.client().terminal(&ids[0]).await["Status"], "SUCCESS");
    assert_eq!(farm.number("SELECT COUNT(*) FROM job WHERE token = 1 AND rescues = 0").await, 1);
    assert_eq!(origin.seen("/held/a.mp4"), 1);
    a.stop().await;
    b.stop().await;
}

/// Everything that a worker could have changed.
const STATE: &str = "SELECT (SELECT string_agg(job::TEXT, ';' ORDER BY key) FROM job) || '|' || \
    (SELECT string_agg(media::TEXT, ';' ORDER BY key) FROM media) || '|' || \
    (SELECT string_agg(attempt::TEXT, ';' ORDER BY job, token) FROM attempt)";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_paused_for_ten_leases_and_resumed_changes_nothing() {
    let test = "a_worker_paused_for_ten_leases_and_resumed_changes_nothing";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let paused = farm.process(dir.path(), |_| {});
    let ids = paused.client().submit(&[origin.url("/held/a.mp4")]).await;
    until("the transfer runs", SOON, || async { (origin.seen("/held/a.mp4") == 1).then_some(()) })
        .await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(paused.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let stopped = farm.number(NOW).await;

    let other = farm.member(|c| c.lease = Duration::from_secs(1)).await;
    origin.open_gate();
    let info = other.client().terminal(&ids[0]).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    until("ten leases are over", SOON, || async {
        (farm.number(NOW).await > stopped + 10_000).then_some(())
    })
    .await;
    let state =
        async || -> String { foreign(&farm.url).await.query_one(STATE, &[]).await.unwrap().get(0) };
    let objects = || objects_in(&farm.common.path().join("objects"));
    let before = (state().await, objects());
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    until("the paused worker notices", SOON, || async {
        paused.log().contains("the lease of a transfer is gone").then_some(())
    })
    .await;
    // It works again: its next claim is a new one.
    let again = paused.client().submit(&[origin.url("/good/b.mp4")]).await;
    assert_eq!(other.client().terminal(&again[0]).await["Status"], "SUCCESS");
    let after = (state().await, objects());
    let (job, _) = before.0.split_once('|').unwrap();
    assert!(after.0.contains(job), "{before:?} became {after:?}");
    assert!(before.1.iter().all(|object| after.1.contains(object)));
    assert_eq!(farm.number("SELECT COUNT(*) FROM attempt").await, 3);
    paused.terminate();
    other.stop().await;
}

const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";

fn objects_in(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort_unstable();
    found
}

/// How a command ends, and what it says. One that does not refuse to serve is ended.
fn fails(command: &Command) -> (Option<i32>, String) {
    let mut bounded = Command::new("timeout");
    bounded.arg(SOON.as_secs().to_string()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    let output = bounded.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_with_what_to_do_and_without_the_password() {
    let test = "what_cannot_work_is_refused_with_what_to_do_and_without_the_password";
    let Some(mut farm) = Farm::empty(Version::Fifteen, test).await else { return };
    farm.url = farm.url.replace("haulage@", "haulage:hunter2hunter2@");
    let dir = tempfile::tempdir().unwrap();
    let said = |command: &mut Command| {
        let (code, text) = fails(command);
        assert!(!text.contains("hunter2"), "{text}");
        (code, text)
    };
    let (code, text) = said(farm.command(dir.path()).arg("serve"));
    assert!(code == Some(75) && text.contains("haulage migrate"), "{code:?} {text}");
    let (code, text) = said(farm.command(dir.path()).arg("doctor"));
    assert!(code != Some(0) && text.contains("haulage migrate"), "{code:?} {text}");
    let (code, text) = said(farm.command(dir.path()).arg("migrate"));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(farm.command(dir.path()).args(["account", "create", "team"]));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(farm.command(dir.path()).args(["key", "create", "--account", "team"]));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(farm.command(dir.path()).args(["doctor", "--verbose"]));
    assert!(text.contains("PostgreSQL 15"), "{code:?} {text}");
    let (code, text) = said(farm.command(dir.path()).args(["serve", "--roles", "events"]));
    assert!(code == Some(2) && text.contains("events"), "{code:?} {text}");
    // Another master key would open no secret and name no job.
    let other = dir.path().join("other.key");
    let mut serve = farm.command(dir.path());
    let (code, text) = said(serve.arg("serve").env("HAULAGE_MASTER_KEY_FILE", other));
    assert!(code == Some(75) && text.contains("HAULAGE_MASTER_KEY_FILE"), "{code:?} {text}");
    // A server that is not there.
    let gone = "postgres://me:hunter2hunter2@127.0.0.1:1/db";
    let mut serve = farm.command(dir.path());
    let (code, text) = said(serve.arg("serve").env("HAULAGE_DATABASE_URL", gone));
    assert!(code == Some(75) && text.contains("127.0.0.1:1"), "{code:?} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_the_keys_and_the_objects_and_says_what_it_does_not() {
    let test = "a_backup_holds_the_keys_and_the_objects_and_says_what_it_does_not";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let node = farm.member(|_| {}).await;
    let ids = node.client().submit(&[origin.url("/good/a.mp4")]).await;
    assert_eq!(node.client().terminal(&ids[0]).await["Status"], "SUCCESS");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    for _ in 0..2 {
        let (code, text) = fails(farm.command(dir.path()).arg("backup").arg(&to));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("1 objects") && text.contains("pg_dump"), "{text}");
    }
    assert_eq!(objects_in(&to.join("objects")).len(), 1);
    let mark: Value =
        serde_json::from_slice(&std::fs::read(to.join("BACKUP.json")).unwrap()).unwrap();
    assert_eq!(mark["Objects"], 1);
    let key = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(key(to.join("master.key")), key(farm.common.path().join("master.key")));
    node.stop().await;
}

/// Two nodes that are offered more than they may take, for as long as it takes to pass 200 calls: no
/// second of them has more than 5 % over the limit. A call counts in a second if it was asked and
/// answered within it: it was admitted somewhere between, however late its caller runs again. How long
/// a check takes is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_calls_of_no_second_over_two_nodes_are_five_percent_over_the_limit() {
    let test = "the_calls_of_no_second_over_two_nodes_are_five_percent_over_the_limit";
    let Some(farm) = Farm::new(test).await else { return };
    let operation = wire::spec::operation("CancelUrlUploadJobs").unwrap();
    let limit = usize::try_from(operation.qps.unwrap()).unwrap();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::open(&farm.url, 6).await.unwrap();
        let throttle = Throttle::shared(BTreeMap::new(), Arc::new(store));
        nodes.push(Arc::new(throttle));
    }
    let passed: Arc<Mutex<Vec<(Instant, Instant)>>> = Arc::default();
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let callers: Vec<_> = (0..8)
        .map(|n| {
            let (node, passed, took) = (nodes[n % 2].clone(), passed.clone(), took.clone());
            spawn(async move {
                while passed.lock().unwrap().len() < 4 * limit {
                    let asked = Instant::now();
                    let answer = node.admit(AccountId(1), operation).await;
                    let answered = Instant::now();
                    took.lock().unwrap().push(answered - asked);
                    if answer.is_ok() {
                        passed.lock().unwrap().push((asked, answered));
                    }
                    // Some 200 calls a second from each.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let mut passed = passed.lock().unwrap().clone();
    passed.sort_unstable();
    let second = Duration::from_secs(1);
    let within = |start: Instant| {
        passed
            .iter()
            .filter(|(asked, answered)| *asked >= start && *answered - start < second)
            .count()
    };
    let most = passed.iter().map(|(asked, _)| within(*asked)).max().unwrap();
    let mut took = took.lock().unwrap().clone();
    took.sort_unstable();
    let part = |percent: usize| took[took.len() * percent / 100];
    let lasted = passed[passed.len() - 1].1 - passed[0].0;
    let rate = passed.len() as f64 / lasted.as_secs_f64();
    eprintln!(
        "rate over two nodes: limit {limit}, at most {most} in a second, {rate:.1} a second; \
         {} checks, p50 {:?}, p99 {:?}",
        took.len(),
        part(50),
        part(99)
    );
    assert!(most * 100 <= limit * 105, "{most} calls within a second");
}
