//! A node: the product's own gate, operations, claim loop, transfers, beat, reaper and janitor, put
//! together as `run::serve` does it, on the models of the store, the objects, the network and the
//! time. A node is started, stopped, paused and killed; each start is a process of its own.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use futures_util::future::BoxFuture;
use haulage::api;
use haulage::blob::Locations;
use haulage::blob::spool::Spool;
use haulage::config::Config;
use haulage::domain::media::{MediaFacts, MediaType};
use haulage::domain::time::Timestamp;
use haulage::door::Clock;
use haulage::door::random::Chance;
use haulage::door::schedule::Schedule;
use haulage::fetch::{FetchSettings, Fetcher};
use haulage::ops::SESSION_WINDOW;
use haulage::probe::{Examine, Hint, ProbeError};
use haulage::run::recovery::recover;
use haulage::run::serve::{Parts, Shared, Tools, partial_limits};
use haulage::run::stop::Stop;
use haulage::run::tasks::Tasks;
use haulage::run::timekeeping;
use haulage::store::Store;
use haulage::worker::janitor::SweepError;
use haulage::worker::{Worker, beat, claims, janitor};

use crate::life::Life;
use crate::link::Link;
use crate::objects::Shelf;
use crate::origin::{Names, Wires};
use crate::plants::Plant;
use crate::world::{World, pause, spawn};

/// After an abort, tasks have this long (as `run::serve` has it).
const ABORT_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Node {
    index: usize,
    /// The machine's clock, which outlives its processes.
    clock: Clock,
    /// No message passes between it and the store.
    cut: AtomicBool,
    boots: AtomicU64,
    process: Mutex<Option<Process>>,
}

/// A node while it is up.
#[derive(Clone, Debug)]
pub struct Process {
    pub life: Arc<Life>,
    pub tasks: Tasks,
    pub stop: Stop,
    pub router: Router,
    pub worker: Arc<Worker>,
    prepared: Arc<AtomicBool>,
    schedule: Schedule,
    spool: PathBuf,
}

impl Process {
    /// Whether it takes calls: as with `run::serve`, not before it has looked at what is there, and not
    /// while it drains.
    pub fn listens(&self) -> bool {
        self.prepared.load(Ordering::Relaxed) && !self.stop.is_draining()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.index)
    }
}

impl Node {
    pub fn new(index: usize, now: Timestamp) -> Self {
        Self {
            index,
            clock: Clock::going(now),
            cut: AtomicBool::new(false),
            boots: AtomicU64::new(0),
            process: Mutex::new(None),
        }
    }

    pub fn index(&self) -> usize {
        self.index
    }

    /// How many processes it has had, the present one included.
    pub fn boots(&self) -> u64 {
        self.boots.load(Ordering::Relaxed)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// The process that is up, if one is.
    pub fn process(&self) -> Option<Process> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process that `life` is the life of, wherever its tasks stand, and starts the next
    /// one a moment later.
    pub fn crash(self: &Arc<Self>, world: &Arc<World>, life: &Life, at: &str) {
        if world.is_calm() && at != "poison" || !life.kill() {
            return;
        }
        world.trace.note(format_args!("{self} killed: {at}"));
        let process = self.lock().take();
        if let Some(process) = process {
            // SIGKILL runs no destructor: what the process had staged stays as it lies.
            let _ = std::fs::create_dir_all(home(world, self.index));
            if let Err(error) = move_directory(&process.spool, &self.next_spool(world)) {
                world.violate(0, format!("the simulator cannot keep a spool: {error}"));
            }
            let (world, node) = (world.clone(), self.clone());
            spawn(async move {
                let rest = world.late(50, 1_500);
                pause(rest).await;
                node.start(&world).await;
            });
        }
    }

    fn next_spool(&self, world: &World) -> PathBuf {
        home(world, self.index).join(format!("spool-{}", self.boots.load(Ordering::Relaxed) + 1))
    }

    /// Starts a process and waits until it serves or is killed; tries again when it cannot start.
    pub fn start(self: &Arc<Self>, world: &Arc<World>) -> BoxFuture<'static, ()> {
        let (node, world) = (self.clone(), world.clone());
        Box::pin(async move { node.boot(&world).await })
    }

    async fn boot(self: &Arc<Self>, world: &Arc<World>) {
        let directory = self.next_spool(world);
        let boot = self.boots.fetch_add(1, Ordering::Relaxed) + 1;
        world.trace.note(format_args!("{self} starts, boot {boot}"));
        let off = self.clock.now().0.abs_diff(world.clock.now().0);
        if world.swarm.embedded && off >= 1_000 {
            world.start_wrongly();
        }
        let spool = match Spool::open_on_one_thread(directory.clone()).await {
            Ok(spool) => spool,
            Err(error) => {
                world.violate(0, format!("the simulator cannot make a spool: {error}"));
                return;
            }
        };
        let life = Arc::new(Life::default());
        let process = match self.assemble(world, &life, spool.clone(), directory) {
            Ok(process) => process,
            Err(error) => {
                world.violate(0, format!("the simulator cannot make a node: {error}"));
                return;
            }
        };
        *self.lock() = Some(process.clone());
        // The first steps are the node's own and may be cut short like any others.
        let (on, of) = (world.clone(), process.clone());
        let prepared = process.tasks.spawn("start", async move {
            let prepared = prepare(&on, of.worker.store.as_ref(), &spool, &of.schedule).await;
            if prepared.is_ok() {
                run(&of);
            }
            prepared.is_ok()
        });
        // Whoever ends a process starts the next one; this one may be at its end already.
        if matches!(prepared.await, Ok(Some(false))) && life.kill() {
            world.trace.note(format_args!("{self} cannot start"));
            *self.lock() = None;
            let (world, node) = (world.clone(), self.clone());
            let _ = move_directory(&process.spool, &self.next_spool(&world));
            spawn(async move {
                pause(Duration::from_millis(500)).await;
                node.start(&world).await;
            });
        }
    }

    fn assemble(
        self: &Arc<Self>,
        world: &Arc<World>,
        life: &Arc<Life>,
        spool: Spool,
        directory: PathBuf,
    ) -> Result<Process, String> {
        let config = world.swarm.config();
        let by_wall = world.has(Plant::LoneNodeGoesByTheWallClock);
        let schedule = if world.swarm.embedded && !by_wall {
            Schedule::alone(self.clock.clone(), SESSION_WINDOW)
        } else {
            // What it says is told anew by the shared clock, see `link`.
            Schedule::of(self.clock.clone())
        };
        let link = Link {
            world: world.clone(),
            node: self.clone(),
            life: life.clone(),
            clock: self.clock.clone(),
        };
        let shelf = Shelf { world: world.clone(), node: self.clone(), life: life.clone() };
        let locations = Locations::new(Arc::new(shelf));
        let parts = Parts {
            config: &config,
            in_force: &[],
            clock: self.clock.clone(),
            schedule: schedule.clone(),
            vault: world.vault.clone(),
            store: Arc::new(link),
            spool,
            locations,
            address: SocketAddr::from(([127, 0, 0, 1], 8710)),
            is_shared: false,
            program: PathBuf::new(),
        };
        let warden = life.clone();
        let shared = Shared { tasks: Tasks::under(warden), ..Shared::default() };
        let wires = Wires { world: world.clone(), node: self.clone(), life: life.clone() };
        let fetcher = Fetcher::in_model(
            FetchSettings::from(&config),
            Arc::new(Names(world.clone())),
            self.clock.clone(),
            Arc::new(wires),
        )
        .map_err(|error| error.to_string())?;
        let boot = self.boots.load(Ordering::Relaxed);
        let chance = Chance::seeded(world.seed ^ (self.index as u64) << 32 ^ boot);
        let tools = Tools { fetcher, probe: Arc::new(Looks), chance };
        let router = api::router(Arc::new(parts.api(&shared, "http://haulage.test")));
        let worker = Arc::new(parts.worker(&shared, tools));
        let (life, spool) = (life.clone(), directory);
        let Shared { stop, tasks, .. } = shared;
        let prepared = Arc::default();
        Ok(Process { life, tasks, stop, router, worker, prepared, schedule, spool })
    }

    /// SIGTERM, as `run::serve` answers it: drain, then abort, then end; and the next start.
    pub async fn stop(self: &Arc<Self>, world: &Arc<World>, grace: Duration) {
        let Some(process) = self.process() else { return };
        world.trace.note(format_args!("{self} stops"));
        process.stop.drain();
        let drained = tokio::time::timeout(grace, process.tasks.finished()).await.is_ok();
        process.stop.abort();
        if !drained {
            let _ = tokio::time::timeout(ABORT_GRACE, process.tasks.finished()).await;
        }
        if process.life.kill() {
            world.trace.note(format_args!("{self} stopped, drained: {drained}"));
            *self.lock() = None;
            let _ = move_directory(&process.spool, &self.next_spool(world));
            pause(Duration::from_millis(100)).await;
            self.start(world).await;
        }
    }

    /// Ends for good, at the end of a run.
    pub fn end(&self) {
        if let Some(process) = self.lock().take() {
            process.life.kill();
        }
    }
}

/// What a process does before it serves.
async fn prepare(
    world: &World,
    store: &dyn Store,
    spool: &Spool,
    schedule: &Schedule,
) -> Result<(), SweepError> {
    let limits = partial_limits(&world.swarm.config());
    // Nodes that share a store must not end each other's leases.
    let is_shared = !world.swarm.embedded;
    if !is_shared {
        timekeeping::begin(schedule, store).await?;
    }
    recover(store, spool, &limits, schedule.now(), is_shared).await
}

fn run(process: &Process) {
    let Process { tasks, worker, schedule, stop, prepared, .. } = process;
    prepared.store(true, Ordering::Relaxed);
    let (time, store, on_stop) = (schedule.clone(), worker.store.clone(), stop.clone());
    tasks.spawn("timekeeping", async move {
        timekeeping::keep(&time, store.as_ref(), &on_stop).await;
    });
    tasks.spawn("claims", claims::run(worker.clone()));
    let w = worker.clone();
    tasks.spawn("beat", async move { beat::keep(&w).await });
    let w = worker.clone();
    tasks.spawn("reaper", async move { janitor::reap(&w).await });
    let w = worker.clone();
    tasks.spawn("janitor", async move { janitor::tidy(&w).await });
}

/// Where a run keeps its files: in memory where the machine has such a place.
pub fn home(world: &World, node: usize) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    base.join(format!("haulage-sim-{}-{thread}-{}", std::process::id(), world.seed))
        .join(format!("n{node}"))
}

/// Spools are directories of the model's own, not objects that become visible.
#[expect(clippy::disallowed_methods, reason = "moves a spool aside; nothing is published by it")]
fn move_directory(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    std::fs::rename(from, to)
}

impl crate::swarm::Swarm {
    /// The configuration of every node.
    pub fn config(&self) -> Config {
        Config {
            transfers: self.transfers,
            per_account: self.per_account,
            per_host: self.per_host,
            lease: self.lease,
            attempts: self.attempts(),
            rescues: self.rescues(),
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            header_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(2),
            min_speed: 0,
            job_deadline: self.deadline,
            checkpoint_bytes: 64 * 1024,
            min_free: 0,
            qps: [("GetURLUploadInfos".to_owned(), self.get_qps)].into(),
            console_session: Duration::from_secs(60),
            ..Config::default()
        }
    }

    /// Attempts of a job.
    pub fn attempts(&self) -> u32 {
        4
    }

    /// Leases of a job that may end without a word.
    pub fn rescues(&self) -> u32 {
        6
    }
}

/// The probe: everything that sniffing let through is a video.
#[derive(Debug)]
struct Looks;

#[async_trait]
impl Examine for Looks {
    async fn examine(&self, _: &std::path::Path, _: Hint<'_>) -> Result<MediaFacts, ProbeError> {
        Ok(MediaFacts {
            media_type: MediaType::Video,
            format: "mp4".to_owned(),
            content_type: "video/mp4".to_owned(),
            duration: Some(1.0),
            width: None,
            height: None,
            bitrate: None,
            fps: None,
            codec: None,
        })
    }

    fn rest(&self) {}
}
