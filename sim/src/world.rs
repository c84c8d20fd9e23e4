//! One run: everything that its actors share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haulage::domain::id::IdCodec;
use haulage::domain::time::Timestamp;
use haulage::door::Clock;
use haulage::door::vault::Vault;
use haulage::store::memory::MemoryStore;

use crate::chance::Rng;
use crate::node::Node;
use crate::objects::Objects;
use crate::origin::Origin;
use crate::plants::Plant;
use crate::swarm::Swarm;
use crate::trace::Trace;
use crate::witness::Witness;

/// 2026-01-01; any day does.
const START: Timestamp = Timestamp(1_767_225_600_000);
/// How long a caller waits for a store or a node that does not answer.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// An invariant of `docs/testing.md` that did not hold, and how.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: u8,
    pub what: String,
}

#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub swarm: Swarm,
    pub plant: Option<Plant>,
    pub trace: Trace,
    /// True time: no fault steps it. It is the clock of the shared database and of the clients.
    pub clock: Clock,
    pub vault: Vault,
    pub codec: IdCodec,
    pub memory: MemoryStore,
    pub origin: Origin,
    pub objects: Objects,
    pub nodes: Vec<Arc<Node>>,
    witness: Mutex<Witness>,
    chance: Mutex<Rng>,
    calm: AtomicBool,
    /// A lone node was started with a wrong clock: it cannot know how long ago anything was.
    started_wrongly: AtomicBool,
    /// Messages under way that may still change something.
    in_flight: AtomicUsize,
    violations: Mutex<Vec<Violation>>,
    /// How often each transition and each point of fault was come by.
    coverage: Mutex<BTreeMap<String, u64>>,
}

impl World {
    pub fn new(seed: u64, swarm: Swarm, plant: Option<Plant>, readable: bool) -> Self {
        let vault = Vault::new([7; 32]);
        let mut key = [0u8; 16];
        key.copy_from_slice(&vault.derive("public ids")[..16]);
        Self {
            seed,
            plant,
            trace: Trace::new(readable),
            clock: Clock::going(START),
            vault,
            codec: IdCodec::new(key),
            memory: MemoryStore::new(),
            origin: Origin::new(seed),
            objects: Objects::default(),
            nodes: (0..swarm.nodes).map(|index| Arc::new(Node::new(index, START))).collect(),
            witness: Mutex::new(Witness::default()),
            chance: Mutex::new(Rng::new(seed, "faults")),
            calm: AtomicBool::new(false),
            started_wrongly: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            violations: Mutex::default(),
            coverage: Mutex::default(),
            swarm,
        }
    }

    pub fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chance of faults; one stream for all, because their order is determined.
    pub fn chance(&self) -> MutexGuard<'_, Rng> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With this probability, and never once calm has come.
    pub fn strikes(&self, probability: f64) -> bool {
        probability > 0.0 && !self.is_calm() && self.chance().is(probability)
    }

    /// A time for something to take, in milliseconds.
    pub fn late(&self, low: u64, high: u64) -> Duration {
        self.chance().millis(low, high)
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub fn start_wrongly(&self) {
        self.started_wrongly.store(true, Ordering::Relaxed);
    }

    pub fn has_started_wrongly(&self) -> bool {
        self.started_wrongly.load(Ordering::Relaxed)
    }

    /// From now on no fault is added.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub fn violate(&self, invariant: u8, what: String) {
        self.trace.note(format_args!("VIOLATION of {invariant}: {what}"));
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        violations.push(Violation { invariant, what });
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn is_violated(&self) -> bool {
        !self.violations.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub fn cover(&self, what: &str) {
        let mut coverage = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
        match coverage.get_mut(what) {
            Some(times) => *times += 1,
            None => drop(coverage.insert(what.to_owned(), 1)),
        }
    }

    pub fn coverage(&self) -> BTreeMap<String, u64> {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something under way that no crash takes back.
    pub fn send(self: &Arc<Self>, message: impl Future<Output = ()> + Send + 'static) {
        let world = Arc::clone(self);
        world.in_flight.fetch_add(1, Ordering::Relaxed);
        spawn(async move {
            message.await;
            world.in_flight.fetch_sub(1, Ordering::Relaxed);
        });
    }

    pub fn is_quiet(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }
}

/// Actors that are not part of a node.
#[expect(clippy::disallowed_methods, reason = "the simulator's own actors have no node")]
pub fn spawn<F>(actor: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(actor)
}

pub async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
