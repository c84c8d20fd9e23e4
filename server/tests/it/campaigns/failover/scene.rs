//! Nodes on a database that is taken away from them, the clients that work on them, and the witnesses of
//! it all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::history::{History, NoAnswer, Told, Verdict};
use super::super::load::{self, Home};
use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::seeded::Seeded;
use crate::harness::{SOON, spawn, until};

/// Clients of each node, URLs of one of their submissions, and how many of those they cancel.
const LANES: usize = 2;
pub const URLS: usize = 5;
const CANCELS: usize = 2;
/// Transfers of a node, and how long each takes: so that there is a line, in which cancels find jobs.
const TRANSFERS: &str = "4";
/// Transfers of the node that empties the line in the end, when nobody cancels any more.
const LAST_TRANSFERS: &str = "32";
const TRANSFER: Duration = Duration::from_millis(60);
/// The longest pause of a client between two steps, and the pause before it asks again.
const PACE: Duration = Duration::from_millis(60);
const AGAIN: Duration = Duration::from_millis(50);

/// A directory that whoever PostgreSQL runs as can get to.
pub fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), everybody).unwrap();
    dir
}

pub struct Scene {
    pub nodes: Vec<Process>,
    pub history: History,
    homes: Vec<Home>,
    origin: Origin,
}

impl Scene {
    /// Makes the tables, and starts so many nodes.
    pub async fn new(dir: &Path, url: &str, nodes: usize) -> Self {
        let history = History::new(&dir.join("history"));
        let origin = history.witness("origin").origin().await;
        let homes: Vec<Home> = (0..nodes).map(|node| home(dir, node, url)).collect();
        homes[0].migrate();
        let nodes = homes.iter().map(Home::start).collect();
        Self { nodes, history, homes, origin }
    }

    pub fn told(&self, node: usize, who: &str) -> Told {
        Told::new(self.nodes[node].client(), self.history.witness(who), &self.origin)
    }

    /// Clients that work on their node until they are told to stop.
    pub fn begin(&self, choices: &mut Seeded) -> Load {
        let state = State::default();
        let mut lanes = Vec::new();
        for node in 0..self.nodes.len() {
            for lane in 0..LANES {
                let name = format!("client-{node}-{lane}");
                let told = self.told(node, &name).slowly(TRANSFER);
                lanes.push(spawn(work(told, name, choices.branch(), state.clone())));
            }
        }
        Load { state, lanes }
    }

    /// How long after `began` each node accepts a job.
    pub fn probe(&self, n: usize, began: Instant) -> Vec<JoinHandle<Duration>> {
        let each = 0..self.nodes.len();
        let each = each.map(|node| {
            let told = self.told(node, &format!("probe-{node}"));
            spawn(async move {
                let name = format!("probe-{n}-{node}");
                accepted(&told, &name).await;
                began.elapsed()
            })
        });
        each.collect()
    }

    /// Stops the nodes and holds what all witnesses saw against the invariants.
    pub async fn judge(self) -> Verdict {
        for node in self.nodes {
            node.terminate();
        }
        let last = self.homes[0].clone().with("HAULAGE_TRANSFERS", LAST_TRANSFERS);
        load::judge(&last, &self.history, None).await
    }
}

/// The data of a node, with the database and the objects of all.
fn home(dir: &Path, node: usize, url: &str) -> Home {
    let objects: PathBuf = dir.join("objects");
    Home::at(&dir.join(format!("node-{node}")))
        .with("HAULAGE_DATABASE_URL", url)
        .with("HAULAGE_DATABASE_CONNECTIONS", "8")
        .with("HAULAGE_MASTER_KEY_FILE", &dir.join("master.key").display().to_string())
        .with("HAULAGE_LEASE", "3s")
        .with("HAULAGE_TRANSFERS", TRANSFERS)
        .storing(objects)
}

/// One job, in a session of its own.
pub async fn submit_one(told: &Told, name: &str) -> Result<Vec<String>, NoAnswer> {
    told.submit_in(name, &[name.to_owned()]).await
}

/// Waits until a node accepts that job.
pub async fn accepted(told: &Told, name: &str) {
    until("a node accepts jobs again", SOON * 4, || async { submit_one(told, name).await.ok() })
        .await;
}

/// What the clients are told, and what they have been told.
#[derive(Clone, Debug, Default)]
struct State {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

/// Clients at work.
pub struct Load {
    state: State,
    lanes: Vec<JoinHandle<()>>,
}

impl Load {
    fn acknowledged(&self) -> usize {
        self.state.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many more jobs were accepted.
    pub async fn goes_on(&self, jobs: usize) {
        let enough = self.acknowledged() + jobs;
        until("jobs are accepted", SOON * 4, || async {
            (self.acknowledged() >= enough).then_some(())
        })
        .await;
    }

    pub async fn stop(self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        for lane in self.lanes {
            lane.await.unwrap();
        }
    }
}

/// Submits several, cancels the last of them, and looks at one of the earlier ones, until it is over.
async fn work(told: Told, name: String, mut choices: Seeded, state: State) {
    let mut mine: Vec<String> = Vec::new();
    for step in 0.. {
        if state.is_over.load(Ordering::SeqCst) {
            return;
        }
        // Spreads the load over the time.
        tokio::time::sleep(PACE.mul_f64(choices.fraction())).await;
        let tokens: Vec<String> = (0..URLS).map(|n| format!("{name}-{step}-{n}")).collect();
        let Ok(jobs) = insist(&told, &format!("{name}-{step}"), &tokens, &state).await else {
            return;
        };
        state.acknowledged.fetch_add(jobs.len(), Ordering::SeqCst);
        // Without an answer it may have happened; the checker allows both.
        drop(told.cancel(&jobs[URLS - CANCELS..]).await);
        mine.extend(jobs);
        let earlier = choices.pick(&mine).clone();
        drop(told.look(&[earlier]).await);
    }
}

/// Submits until there is an answer, under one session: how a caller finds out what became of a call
/// that got none.
async fn insist(
    told: &Told,
    session: &str,
    tokens: &[String],
    state: &State,
) -> Result<Vec<String>, NoAnswer> {
    loop {
        match told.submit_in(session, tokens).await {
            Err(NoAnswer) if !state.is_over.load(Ordering::SeqCst) => {
                tokio::time::sleep(AGAIN).await;
            }
            ended => return ended,
        }
    }
}
