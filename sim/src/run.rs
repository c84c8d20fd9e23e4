//! One seed, from the first start to the last sweep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haulage::blob::parse_object_key;
use haulage::domain::account::{AccessKey, AccountChange, KeyStatus, Weight};
use haulage::domain::job::{State, StateKind};
use haulage::domain::time::Timestamp;
use haulage::store::Store;
use haulage::worker::janitor;
use haulage::worker::partials::{self, When};

use crate::chance::Rng;
use crate::client::{Client, Credentials};
use crate::node::Node;
use crate::plants::Plant;
use crate::swarm::Swarm;
use crate::world::{Violation, World, pause, spawn};

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub hash: u64,
    pub events: u64,
    pub jobs: usize,
    pub violations: Vec<Violation>,
    pub coverage: BTreeMap<String, u64>,
    pub lines: Vec<String>,
    /// Virtual time that passed.
    pub took: Duration,
}

/// How a seed is run.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    pub plant: Option<Plant>,
    /// Keep the lines of the trace.
    pub readable: bool,
}

/// Runs one seed on this thread, in time that is not real.
///
/// # Panics
/// When there is no runtime.
pub fn run(seed: u64, options: Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets needs nothing");
    let outcome = runtime.block_on(live(seed, options));
    drop(runtime);
    outcome
}

async fn live(seed: u64, options: Options) -> Outcome {
    let began = tokio::time::Instant::now();
    let swarm = Swarm::of(seed);
    let world = Arc::new(World::new(seed, swarm, options.plant, options.readable));
    world.trace.note(format_args!("{:?}", world.swarm));
    let home = crate::node::home(&world, 0);
    let home = home.parent().map(std::path::Path::to_owned).unwrap_or(home);
    let _ = std::fs::remove_dir_all(&home);

    let accounts = accounts(&world).await;
    for node in &world.nodes {
        node.start(&world).await;
    }
    let storms = storms(&world, &accounts);
    let mut clients = Vec::new();
    for number in 0..world.swarm.clients {
        let own = accounts[number % accounts.len()].clone();
        clients.push(spawn(Client::new(world.clone(), number, own).run()));
    }
    for client in clients {
        if client.await.is_err() {
            world.violate(0, "a client of the simulator panicked".to_owned());
        }
    }
    pause(world.swarm.chaos.saturating_sub(began.elapsed())).await;
    world.trace.note(format_args!("calm"));
    world.calm();
    for storm in storms {
        let _ = storm.await;
    }
    for node in &world.nodes {
        node.cut(false);
        if let Some(process) = node.process() {
            process.life.resume();
        }
    }
    if !world.is_violated() {
        settle(&world).await;
    }
    if !world.is_violated() {
        sweep(&world).await;
    }
    if !world.is_violated() {
        judge_end(&world);
    }
    world.nodes.iter().for_each(|node| node.end());
    // What was killed ends, and lets go of the world.
    pause(Duration::from_secs(60)).await;
    let _ = std::fs::remove_dir_all(&home);
    let (hash, events) = world.trace.sum();
    let jobs = world.witness().jobs.len();
    Outcome {
        seed,
        hash,
        events,
        jobs,
        violations: world.violations(),
        coverage: world.coverage(),
        lines: world.trace.take_lines(),
        took: began.elapsed(),
    }
}

async fn accounts(world: &World) -> Vec<Credentials> {
    let (mut all, now) = (Vec::new(), world.clock.now());
    for (n, weight) in (1..).zip(&world.swarm.weights) {
        let made = world.memory.account_create(&format!("a{n}"), false, now).await;
        let Ok(Some(account)) = made else { continue };
        let (id, secret) = (format!("KEY{n:013}"), format!("secret of {n}"));
        let key = AccessKey {
            id: id.clone(),
            account: account.id,
            sealed_secret: world.vault.seal(&id, &secret),
            status: KeyStatus::Enabled,
            created: now,
        };
        let _ = world.memory.key_create(key).await;
        let (name, weight) = (account.name, *weight);
        let own = Credentials { account: account.id, name, weight, id, secret };
        set_account(world, &own, false).await;
        all.push(own);
    }
    all
}

/// Sets an account's weight, and pauses it or lets it go on.
async fn set_account(world: &World, own: &Credentials, paused: bool) {
    let weight = Weight::new(own.weight);
    let change = AccountChange { weight, paused: Some(paused), enabled: None };
    // The model of the store neither waits nor fails, so no claim comes in between.
    let _ = world.memory.account_change(&own.name, change).await;
    world.witness().fair.set(own.account, own.weight, paused);
}

/// Pauses queues of accounts for a while.
async fn operate(world: Arc<World>, accounts: Vec<Credentials>, every: Duration) {
    let mut rng = Rng::new(world.seed, "operator");
    let most = u64::try_from(every.as_millis()).unwrap_or(1) * 2;
    loop {
        pause(rng.millis(1, most)).await;
        if world.is_calm() || world.is_violated() {
            return;
        }
        let Some(own) = rng.pick(&accounts).cloned() else { return };
        world.cover("account: queue paused");
        world.trace.note(format_args!("{} is paused", own.name));
        set_account(&world, &own, true).await;
        pause(rng.millis(200, 5_000)).await;
        world.trace.note(format_args!("{} goes on", own.name));
        set_account(&world, &own, false).await;
    }
}

type Storm = tokio::task::JoinHandle<()>;

/// The faults that come over nodes, each kind at its own pace.
fn storms(world: &Arc<World>, accounts: &[Credentials]) -> Vec<Storm> {
    let faults = world.swarm.node;
    let shared = !world.swarm.embedded;
    let mut storms = Vec::new();
    let mut storm = |name: &'static str, every: Option<Duration>, fault: Fault| {
        if let Some(every) = every {
            storms.push(spawn(blow(world.clone(), name, every, fault)));
        }
    };
    storm("crash", faults.crash, Fault::Crash);
    storm("stop", faults.stop, Fault::Stop);
    storm("pause", faults.pause, Fault::Pause);
    storm("partition", faults.partition.filter(|_| shared), Fault::Partition);
    storm("clock", faults.clock, Fault::Clock);
    if let Some(every) = world.swarm.queue_pause {
        storms.push(spawn(operate(world.clone(), accounts.to_vec(), every)));
    }
    storms
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash,
    Stop,
    Pause,
    Partition,
    Clock,
}

async fn blow(world: Arc<World>, name: &'static str, every: Duration, fault: Fault) {
    let mut rng = Rng::new(world.seed, name);
    let most = u64::try_from(every.as_millis()).unwrap_or(1) * 2;
    loop {
        pause(rng.millis(1, most)).await;
        if world.is_calm() || world.is_violated() {
            return;
        }
        let node = world.nodes[rng.index(world.nodes.len())].clone();
        strike(&world, &node, fault, &mut rng).await;
    }
}

async fn strike(world: &Arc<World>, node: &Arc<Node>, fault: Fault, rng: &mut Rng) {
    let Some(process) = node.process() else { return };
    let lease = u64::try_from(world.swarm.lease.as_millis()).unwrap_or(1_000);
    match fault {
        Fault::Crash => {
            world.cover("node: killed at any moment");
            node.crash(world, &process.life, "at any moment");
        }
        Fault::Stop => {
            world.cover("node: stopped");
            let grace = rng.millis(0, 1_500);
            node.stop(world, grace).await;
        }
        Fault::Pause => {
            world.cover("node: paused");
            let time = rng.millis(lease / 2, lease * 5);
            world.trace.note(format_args!("{node} paused for {time:?}"));
            process.life.pause();
            pause(time).await;
            world.trace.note(format_args!("{node} resumes"));
            process.life.resume();
        }
        Fault::Partition => {
            world.cover("node: cut off from the store");
            let time = rng.millis(300, lease * 3);
            world.trace.note(format_args!("{node} cut off for {time:?}"));
            node.cut(true);
            pause(time).await;
            node.cut(false);
        }
        Fault::Clock => {
            const HOUR: i64 = 3_600_000;
            let steps = [-24 * HOUR, -HOUR, -1_000, 1_000, HOUR, 24 * HOUR];
            let step = steps[rng.index(steps.len())];
            world.cover("node: clock stepped");
            world.trace.note(format_args!("{node} clock steps by {step} ms"));
            // Around the true time, so that steps do not add up to years.
            node.clock().set(Timestamp(world.clock.now().0 + step));
            if rng.is(0.5) {
                pause(rng.millis(100, 4_000)).await;
                world.trace.note(format_args!("{node} clock is right again"));
                node.clock().set(world.clock.now());
            }
        }
    }
}

/// Invariant 3: without further faults every job comes to its end.
async fn settle(world: &Arc<World>) {
    let limit = tokio::time::Instant::now() + world.swarm.deadline + Duration::from_secs(60);
    while tokio::time::Instant::now() < limit && !world.is_violated() {
        pause(Duration::from_millis(500)).await;
        if world.witness().unfinished().is_empty() {
            return;
        }
    }
    let open = world.witness().unfinished();
    if !open.is_empty() {
        world.violate(3, format!("jobs {open:?} never came to an end"));
    }
}

/// Lets what is under way end, and sweeps as the janitors do.
async fn sweep(world: &Arc<World>) {
    let busy = |world: &World| {
        let busy = |node: &Arc<Node>| {
            node.process().is_none_or(|process| {
                let worker = &process.worker;
                let free = worker.slots.available_permits();
                !worker.board.is_empty()
                    || free < world.swarm.transfers
                    || !worker.fetcher.places_taken().is_empty()
            })
        };
        !world.is_quiet() || world.nodes.iter().any(busy)
    };
    let limit = tokio::time::Instant::now() + Duration::from_secs(120);
    while busy(world) && tokio::time::Instant::now() < limit {
        // The claim loop always has a message under way or in sight; what counts is that there is
        // a moment without one.
        pause(Duration::from_millis(7)).await;
    }
    if busy(world) {
        let nodes = world.nodes.iter().filter_map(|node| Some((node, node.process()?)));
        for (node, process) in nodes {
            let (free, places) =
                (process.worker.slots.available_permits(), process.worker.fetcher.places_taken());
            let what = format!("{node} never rests: {free} slots are free, {places:?} taken");
            world.violate(23, what);
        }
    }
    for node in &world.nodes {
        let Some(process) = node.process() else {
            world.violate(3, format!("{node} did not come up again"));
            continue;
        };
        let worker = process.worker.clone();
        let swept = process.tasks.spawn("sweep", async move {
            let limits = &worker.rules.partials;
            let now = worker.clock.now();
            let shelf = worker.locations.all().next().map(|(_, shelf)| shelf.clone());
            let objects = match shelf {
                Some(shelf) => janitor::sweep_objects(&worker, shelf.as_ref()).await,
                None => Ok(0),
            };
            let store = worker.store.as_ref();
            let files = partials::sweep(store, &worker.spool, limits, now, When::Running).await;
            (objects.map(drop), files.map(drop), worker.spool.partials().await)
        });
        match swept.await.ok().flatten() {
            Some((Ok(()), Ok(()), Ok(left))) => {
                if !left.is_empty() {
                    let names: Vec<String> = left.into_iter().map(|one| one.name).collect();
                    world.violate(10, format!("{node} keeps files of nobody: {names:?}"));
                }
            }
            other => world.violate(10, format!("{node} cannot sweep in calm: {other:?}")),
        }
    }
}

/// Invariant 10, both ways; 9 for all that is left; 2 for submissions without an answer.
fn judge_end(world: &World) {
    let witness = world.witness();
    witness.judge_objects(world);
    let mut kept: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for object in world.objects.keys() {
        match parse_object_key(&object) {
            Some((key, token)) => kept.entry(key).or_default().push(token),
            None => world.violate(10, format!("an object that is nobody's: {object}")),
        }
    }
    for (key, seen) in &witness.jobs {
        let objects = kept.remove(key).unwrap_or_default();
        let wanted = match seen.progress.state.kind() {
            StateKind::Succeeded => vec![seen.token],
            StateKind::Pending
            | StateKind::Running
            | StateKind::Waiting
            | StateKind::AwaitingUrl
            | StateKind::Failed
            | StateKind::Canceled => Vec::new(),
        };
        if objects != wanted {
            let kind = seen.progress.state.kind();
            let what = format!("job {} is {kind:?} and has objects {objects:?}", seen.number);
            world.violate(10, what);
        }
        if let State::Failed(fault) = &seen.progress.state {
            world.cover(&format!("failed: {}", fault.class.code()));
        }
    }
    if !kept.is_empty() {
        world.violate(10, format!("objects of unknown jobs: {kept:?}"));
    }
}
