//! Puts a node together, and takes it apart again: open the store, the storage and the doors; start
//! the API and the worker; on a stop drain, then abort, then close.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use wire::reply::SettingInfo;

use super::database::{Database, Opened, open_vault};
use super::first_key::{self, FirstKey, FirstKeyError};
use super::members::{self, Roles};
use super::recovery::recover;
use super::stop::Stop;
use super::storage;
use super::tasks::Tasks;
use super::timekeeping;
use crate::api::auth::Authenticator;
use crate::api::media::{MediaDeps, PlayUrls};
use crate::api::records::Records;
use crate::api::throttle::Throttle;
use crate::api::{self, Api};
use crate::blob::spool::Spool;
use crate::blob::{BlobError, Locations};
use crate::config::Config;
use crate::config::load::{InForce, Loaded};
use crate::domain::id::IdCodec;
use crate::domain::retry::Backoff;
use crate::domain::turns::Shares;
use crate::door::Clock;
use crate::door::random::Chance;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::fetch::{FetchSettings, Fetcher, FetcherError};
use crate::ops::{Answers, NodeFacts, Ops, Rules};
use crate::probe::{Examine, ProbeSettings};
use crate::store::{Store, StoreError, SubmitLimits};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::process::Rate;
use crate::web::console::Console;
use crate::worker::board::Board;
use crate::worker::janitor::SweepError;
use crate::worker::pace::Pace;
use crate::worker::partials::PartialLimits;
use crate::worker::{Rhythm, WorkRules, Worker, beat, claims, janitor};

/// Held (flock) by the one server of a data directory.
pub(super) const LOCK_FILE: &str = "haulage.lock";
pub(super) const DATABASE_FILE: &str = "haulage.db";
/// Where bytes land first, and where local objects live, in the data directory.
const SPOOL_DIR: &str = "spool";
pub(super) const OBJECTS_DIR: &str = "objects";
/// After an abort, tasks have this long to hand their jobs back.
const ABORT_GRACE: Duration = Duration::from_secs(5);

/// Why a node cannot start; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data directory {}: {error}; make it writable for this user or choose another with HAULAGE_DATA_DIR", path.display())]
    DataDir { path: PathBuf, error: io::Error },
    #[error("another haulage serves the data directory {}; stop it or choose another with HAULAGE_DATA_DIR", path.display())]
    DataDirInUse { path: PathBuf },
    #[error(
        "cannot listen on {address}: {error}; is another program using the port? Choose another with HAULAGE_LISTEN"
    )]
    Listen { address: SocketAddr, error: io::Error },
    #[error("cannot open the master key: {0}")]
    MasterKey(io::Error),
    #[error("HAULAGE_DATABASE_URL must begin with sqlite:// or postgres://")]
    Database,
    #[error(
        "this node's master key is not the one of the database; give every node the same file with HAULAGE_MASTER_KEY_FILE"
    )]
    OtherMasterKey,
    #[error(
        "a storage location that is a bucket has no key; give it one with HAULAGE_STORAGE_KEYS"
    )]
    Storage,
    #[error("cannot open the database: {0}")]
    Store(#[from] StoreError),
    #[error("cannot open the storage: {0}")]
    Blob(#[from] BlobError),
    #[error("cannot look at unfinished transfers: {0}")]
    Sweep(#[from] SweepError),
    #[error("cannot prepare outgoing connections: {0}")]
    Fetcher(#[from] FetcherError),
    #[error(transparent)]
    FirstKey(#[from] FirstKeyError),
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    base_url: String,
    address: SocketAddr,
    /// New with each start.
    node_id: String,
    first_key: Option<FirstKey>,
    store: Arc<dyn Store>,
    stop: Stop,
    tasks: Tasks,
    /// What says to other nodes that this one is there.
    membership: Tasks,
    drain: Duration,
    /// Transfers write files on the threads they run on; these are theirs alone, so that a slow
    /// disk does not hold up the API.
    transfers: Option<Runtime>,
    /// Keeps other servers off the data directory.
    _lock: std::fs::File,
}

impl Node {
    /// `http://HOST:PORT` as bound.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that this start generated, if it was the first.
    pub fn first_key(&self) -> Option<&FirstKey> {
        self.first_key.as_ref()
    }

    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Waits for a stop, drains, and closes. Ready when everything acknowledged is flushed and
    /// nothing runs any more.
    pub async fn wait(mut self) {
        self.stop.draining().await;
        tracing::info!("draining");
        let drained = tokio::select! {
            () = self.tasks.finished() => true,
            () = tokio::time::sleep(self.drain) => false,
            () = self.stop.aborting() => false,
        };
        self.stop.abort();
        if !drained {
            tracing::info!("stopping the transfers that are left; their jobs go back");
            if tokio::time::timeout(ABORT_GRACE, self.tasks.finished()).await.is_err() {
                tracing::warn!("some tasks did not stop; their leases will end by themselves");
            }
        }
        // A word that is still under way would bring back what is taken off the list.
        if tokio::time::timeout(ABORT_GRACE, self.membership.finished()).await.is_err() {
            tracing::warn!("the store is slow; other nodes may count this one until it is silent");
        }
        if let Err(error) = self.store.node_leave(&self.node_id).await {
            tracing::warn!(%error, "cannot tell the other nodes that this one goes");
        }
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "cannot close the store cleanly");
        }
        if let Some(transfers) = self.transfers.take() {
            transfers.shutdown_background();
        }
        tracing::info!("stopped");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A node that is dropped without `wait` (a failing test) must not block an async thread.
        self.stop.abort();
        if let Some(transfers) = self.transfers.take() {
            transfers.shutdown_background();
        }
    }
}

/// Starts a node; it serves when this returns.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start(loaded: Loaded, roles: Roles) -> Result<Node, StartError> {
    let program = std::env::current_exe().map_err(StartError::Threads)?;
    launch(loaded.config, &loaded.in_force, program, roles).await
}

/// As [`start`], where this process is not the `haulage` program (tests): `program` is, and is
/// started as the probe's child. `GetConfiguration` shows nothing then.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start_as(config: Config, program: PathBuf) -> Result<Node, StartError> {
    start_as_with(config, program, Roles::ALL).await
}

/// As [`start_as`], for a node that does only a part.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn start_as_with(
    config: Config,
    program: PathBuf,
    roles: Roles,
) -> Result<Node, StartError> {
    launch(config, &[], program, roles).await
}

async fn launch(
    config: Config,
    in_force: &[InForce],
    program: PathBuf,
    roles: Roles,
) -> Result<Node, StartError> {
    let lock = take_data_dir(&config.data_dir)?;
    let vault = open_vault(&config).map_err(StartError::MasterKey)?;
    let opened = Database::of(&config)?.open(&config, &vault).await?;
    let Opened { store, clock, schedule, is_shared } = opened;
    let first_key = first_key::ensure(store.as_ref(), &vault, &config, clock.now()).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| StartError::Listen { address: config.listen, error })?;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::Listen { address: config.listen, error })?;
    let base_url = format!("http://{address}");

    let spool = Spool::open(config.data_dir.join(SPOOL_DIR)).await?;
    let locations = storage::open(&config).await?;
    recover(store.as_ref(), &spool, &partial_limits(&config), schedule.now(), is_shared).await?;

    let parts = Parts {
        config: &config,
        in_force,
        clock,
        schedule,
        vault,
        store,
        is_shared,
        spool,
        locations,
        address,
        program,
    };
    let (stop, tasks) = (Stop::new(), Tasks::new());
    let metrics = Arc::new(Metrics::new());
    let board = Arc::new(Board::new());
    let wake = Arc::new(Notify::new());
    let receiving = Arc::new(Rate::default());
    let sampler = sample(metrics.clone(), receiving.clone(), stop.clone());
    tasks.spawn("sampler", sampler);
    let (on_stop, on_tasks) = (stop.clone(), tasks.clone());
    let shared = Shared { stop: on_stop, tasks: on_tasks, metrics, board, wake, receiving };
    let api = Arc::new(parts.api(&shared, &base_url));
    let worker = Arc::new(parts.worker(&shared, parts.tools()?));
    let node = members::record(&api.ops.node, roles);
    let node_id = node.id.clone();
    let (member, clock, on_stop) = (parts.store.clone(), parts.clock.clone(), stop.clone());
    let (every, board) = (config.lease / 3, shared.board.clone());
    // Not one of those that a drain waits for: it tells of the drain.
    let membership = Tasks::new();
    membership.spawn("member", async move {
        members::beat(member.as_ref(), node, &board, clock, every, on_stop).await;
    });

    let transfers = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("transfers")
        .build()
        .map_err(StartError::Threads)?;
    let (schedule, store, on_stop) = (parts.schedule.clone(), parts.store.clone(), stop.clone());
    tasks.spawn("timekeeping", async move {
        timekeeping::keep(&schedule, store.as_ref(), &on_stop).await;
    });
    if roles.worker {
        start_worker(&worker, &tasks, &transfers);
    }
    let router = if roles.api { api::router(api) } else { api::watching_router(api) };
    let accept =
        api::listen::accept(listener, router, config.connections, tasks.clone(), stop.clone());
    tasks.spawn("accept", accept);
    let store = parts.store;
    let drain = config.drain;
    Ok(Node {
        base_url,
        address,
        node_id,
        first_key,
        store,
        stop,
        tasks,
        membership,
        drain,
        transfers: Some(transfers),
        _lock: lock,
    })
}

/// Measures how fast this node receives, once a second; 0 once it drains.
async fn sample(metrics: Arc<Metrics>, receiving: Arc<Rate>, stop: Stop) {
    const EVERY: Duration = Duration::from_secs(1);
    let (mut at, mut seen) = (Instant::now(), metrics.received_bytes.get());
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.draining() => break,
        }
        let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let now = metrics.received_bytes.get();
        receiving.set(now.saturating_sub(seen).saturating_mul(1_000) / millis);
        (at, seen) = (Instant::now(), now);
    }
    receiving.set(0);
}

fn start_worker(worker: &Arc<Worker>, tasks: &Tasks, transfers: &Runtime) {
    let on = transfers.handle();
    tasks.spawn_on(on, "claims", claims::run(worker.clone()));
    let w = worker.clone();
    tasks.spawn_on(on, "beat", async move { beat::keep(&w).await });
    let w = worker.clone();
    tasks.spawn_on(on, "reaper", async move { janitor::reap(&w).await });
    let w = worker.clone();
    tasks.spawn_on(on, "janitor", async move { janitor::tidy(&w).await });
}

/// What the API and the worker are made of. Simulations put theirs together from it too.
#[derive(Debug)]
pub struct Parts<'a> {
    pub config: &'a Config,
    /// For `GetConfiguration`.
    pub in_force: &'a [InForce],
    /// The time of day.
    pub clock: Clock,
    /// The time that jobs go by.
    pub schedule: Schedule,
    pub vault: Vault,
    pub store: Arc<dyn Store>,
    /// Whether other nodes work on the store too.
    pub is_shared: bool,
    pub spool: Spool,
    pub locations: Locations,
    pub address: SocketAddr,
    pub program: PathBuf,
}

/// What the API and the worker have in common while they run.
#[derive(Debug, Default)]
pub struct Shared {
    pub stop: Stop,
    pub tasks: Tasks,
    pub metrics: Arc<Metrics>,
    pub board: Arc<Board>,
    pub wake: Arc<Notify>,
    pub receiving: Arc<Rate>,
}

/// What only the worker needs.
#[derive(Debug)]
pub struct Tools {
    pub fetcher: Fetcher,
    pub probe: Arc<dyn Examine>,
    pub chance: Chance,
}

impl Parts<'_> {
    fn codec(&self) -> IdCodec {
        let mut key = [0u8; 16];
        key.copy_from_slice(&self.vault.derive("public ids")[..16]);
        IdCodec::new(key)
    }

    /// The half of a node that answers.
    pub fn api(&self, shared: &Shared, base_url: &str) -> Api {
        let config = self.config;
        let public_url = config.public_url.clone().unwrap_or_else(|| base_url.to_owned());
        let public_url = public_url.trim_end_matches('/').to_owned();
        let play_urls = PlayUrls::new(public_url.clone(), self.vault.derive("play urls"));
        let records = Arc::new(Records::default());
        let ops = Ops {
            store: self.store.clone(),
            codec: self.codec(),
            clock: self.clock.clone(),
            schedule: self.schedule.clone(),
            play_urls: play_urls.clone(),
            spool: self.spool.clone(),
            locations: self.locations.clone(),
            board: shared.board.clone(),
            metrics: shared.metrics.clone(),
            wake: shared.wake.clone(),
            rules: Rules {
                submit: SubmitLimits {
                    calls_per_day: config.calls_per_day,
                    pending: config.pending_jobs,
                },
                job_deadline: config.job_deadline,
                auth_timeout: config.auth_timeout,
                min_free: config.min_free,
            },
            records: records.clone(),
            vault: self.vault.clone(),
            node: self.facts(shared),
            answers: Answers::default(),
        };
        Api {
            ops,
            store: self.store.clone(),
            auth: Authenticator::new(self.store.clone(), self.vault.clone()),
            throttle: if self.is_shared {
                Throttle::shared(config.qps.clone(), self.store.clone())
            } else {
                Throttle::new(config.qps.clone())
            },
            media: MediaDeps {
                store: self.store.clone(),
                locations: self.locations.clone(),
                urls: play_urls,
                codec: self.codec(),
                clock: self.clock.clone(),
            },
            spool: self.spool.clone(),
            clock: self.clock.clone(),
            records,
            metrics: shared.metrics.clone(),
            public_url,
            console: Console::new(&self.vault, config.console_session),
            tasks: shared.tasks.clone(),
            stop: shared.stop.clone(),
        }
    }

    /// What an operator is shown of this node.
    fn facts(&self, shared: &Shared) -> NodeFacts {
        let settings = self.in_force.iter().map(|in_force| SettingInfo {
            name: in_force.setting.name.to_owned(),
            value: in_force.shown.clone(),
            from: in_force.origin.to_string(),
            doc: in_force.setting.doc.to_owned(),
        });
        NodeFacts {
            id: members::new_id(),
            address: self.address,
            started: self.clock.now(),
            lease: self.config.lease,
            transfer_limit: self.config.transfers,
            receiving: shared.receiving.clone(),
            probe: if self.ffprobe().is_some() { "ffprobe" } else { "built-in readers" },
            storage: storage::shown(self.config),
            settings: settings.collect(),
            stop: shared.stop.clone(),
        }
    }

    fn ffprobe(&self) -> Option<PathBuf> {
        self.config.ffprobe.clone().or_else(|| find_program("ffprobe"))
    }

    fn tools(&self) -> Result<Tools, StartError> {
        let mut settings = FetchSettings::from(self.config);
        settings.own_listeners.push(self.address);
        settings.own_listeners.extend(storage::endpoints(self.config));
        let probe = Arc::new(ProbeSettings::new(self.ffprobe(), self.program.clone()));
        Ok(Tools { fetcher: Fetcher::new(settings)?, probe, chance: Chance::System })
    }

    /// The half of a node that works.
    pub fn worker(&self, shared: &Shared, tools: Tools) -> Worker {
        let config = self.config;
        let Tools { fetcher, probe, chance } = tools;
        Worker {
            store: self.store.clone(),
            fetcher,
            spool: self.spool.clone(),
            locations: self.locations.clone(),
            probe,
            vault: self.vault.clone(),
            clock: self.schedule.clock(),
            wall: self.clock.clone(),
            chance,
            board: shared.board.clone(),
            metrics: shared.metrics.clone(),
            wake: shared.wake.clone(),
            slots: Arc::new(Semaphore::new(config.transfers)),
            pace: Pace::new(config.bandwidth, config.account_bandwidth),
            rules: WorkRules {
                backoff: Backoff {
                    first: config.backoff,
                    max: config.backoff_max,
                    attempts: config.attempts,
                },
                lease: config.lease,
                shares: Shares { per_account: config.per_account, reserve: config.reserved() },
                rescues: config.rescues,
                min_free: config.min_free,
                md5: config.md5,
                sha256_max: config.sha256_max,
                retention: config.retention,
                rhythm: Rhythm::new(config.checkpoint_bytes, config.checkpoint_interval),
                partials: partial_limits(config),
            },
            tasks: shared.tasks.clone(),
            stop: shared.stop.clone(),
        }
    }
}

/// A program of this name in the directories of PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Makes the data directory and takes its lock.
fn take_data_dir(dir: &Path) -> Result<std::fs::File, StartError> {
    let failed = |error| StartError::DataDir { path: dir.to_owned(), error };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK_FILE))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StartError::DataDirInUse { path: dir.to_owned() })
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Where the embedded database lies.
///
/// # Errors
/// [`StartError::Database`] when the configuration names another engine.
pub fn database_path(config: &Config) -> Result<PathBuf, StartError> {
    match &config.database_url {
        None => Ok(config.data_dir.join(DATABASE_FILE)),
        Some(url) => url.strip_prefix("sqlite://").map(PathBuf::from).ok_or(StartError::Database),
    }
}

/// The configured limits on unfinished files.
pub fn partial_limits(config: &Config) -> PartialLimits {
    PartialLimits {
        bytes: config.partial_bytes,
        age: config.partial_age,
        min_free: config.min_free,
    }
}
