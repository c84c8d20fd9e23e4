//! A node's way to the store, with everything that can go wrong on it: a verb that is late, fails
//! before it has an effect, has its effect and no answer, or whose caller dies meanwhile. What was
//! sent has its effect also when its sender is paused or dead by then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haulage::domain::id::Key;
use haulage::domain::time::Timestamp;
use haulage::door::Clock;
use haulage::store::{Claim, StoreError, StoreResult};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::life::Life;
use crate::node::Node;
use crate::witness::Deed;
use crate::world::{PATIENCE, World, pause};

/// A store as one process of a node sees it.
#[derive(Debug)]
pub struct Link {
    pub(crate) world: Arc<World>,
    pub(crate) node: Arc<Node>,
    pub(crate) life: Arc<Life>,
    /// The process's own clock.
    pub(crate) clock: Clock,
}

/// The other side of the link, at the moment at which a verb takes effect.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) world: Arc<World>,
    pub(crate) node: usize,
    /// When the caller called.
    pub(crate) sent: Instant,
    /// What the caller's clock said then.
    pub(crate) told: Timestamp,
    /// The jobs that a claim gave, in order.
    pub(crate) granted: Mutex<Vec<Key>>,
}

impl Side {
    pub(crate) fn granted(&self) -> Vec<Key> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn grant(&self, claims: &[Claim]) {
        let keys = claims.iter().map(|claim| claim.job().key).collect();
        *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The time that counts: the database's own where nodes share one, else the caller's.
    pub(crate) fn now(&self, told: Timestamp) -> Timestamp {
        if self.world.swarm.embedded { told } else { self.world.clock.now() }
    }

    /// A time that the caller made from what its clock said as `now`, told anew. The clock may have been
    /// set since.
    pub(crate) fn beside(&self, told: Timestamp, now: Timestamp) -> Timestamp {
        if self.world.swarm.embedded {
            return told;
        }
        Timestamp(self.world.clock.now().0 + (told.0 - now.0))
    }

    /// A time that the caller made from its clock at the moment of the call, told anew.
    pub(crate) fn shift(&self, told: Timestamp) -> Timestamp {
        if self.world.swarm.embedded {
            return told;
        }
        Timestamp(self.world.clock.now().0 + (told.0 - self.told.0))
    }
}

/// What happens on the way of one call.
struct Fate {
    before: Duration,
    after: Duration,
    error: bool,
    lost: bool,
    crash_before: bool,
    crash_after: bool,
}

impl Link {
    fn fate(&self) -> Fate {
        let (world, faults) = (&self.world, &self.world.swarm.store);
        let very = |slow: bool| {
            let lease = world.swarm.lease;
            if slow {
                lease + lease.mul_f64(world.chance().range(0, 20) as f64 / 10.0)
            } else {
                Duration::ZERO
            }
        };
        let shared = !world.swarm.embedded;
        let way = |most: u64| world.late(0, most);
        let (slow_there, slow_back) =
            (shared && world.strikes(faults.very_slow), shared && world.strikes(faults.very_slow));
        Fate {
            before: way(faults.delay_ms) + very(slow_there),
            after: way(faults.delay_ms) + very(slow_back),
            error: world.strikes(faults.error),
            lost: world.strikes(faults.lost_reply),
            crash_before: world.strikes(faults.crash_before),
            crash_after: world.strikes(faults.crash_after),
        }
    }

    /// Asks the store. `effect` is all that the verb does; it never waits.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        verb: &'static str,
        deed: Deed,
        effect: impl FnOnce(Arc<Side>) -> BoxFuture<'static, StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        let fate = self.fate();
        let (world, node, life) = (self.world.clone(), self.node.clone(), self.life.clone());
        let (answer, answered) = oneshot::channel();
        let side = Side {
            world: world.clone(),
            node: node.index(),
            sent: Instant::now(),
            told: self.clock.now(),
            granted: Mutex::default(),
        };
        let message = async move {
            let result = deliver(verb, fate, &world, &node, &life, deed, Arc::new(side), effect);
            if let Some(result) = result.await {
                // Nobody listens when the caller is dead.
                drop(answer.send(result));
            }
        };
        self.world.send(message);
        answered.await.unwrap_or_else(|_| Err(no_answer(verb)))
    }
}

fn no_answer(verb: &str) -> StoreError {
    StoreError::Engine(format!("no answer to {verb}"))
}

#[expect(clippy::too_many_arguments, reason = "one message's whole way in one place")]
async fn deliver<T>(
    verb: &'static str,
    fate: Fate,
    world: &Arc<World>,
    node: &Arc<Node>,
    life: &Arc<Life>,
    deed: Deed,
    side: Arc<Side>,
    effect: impl FnOnce(Arc<Side>) -> BoxFuture<'static, StoreResult<T>>,
) -> Option<StoreResult<T>> {
    pause(fate.before).await;
    if fate.crash_before {
        world.cover(&format!("crash before {verb}"));
        node.crash(world, life, verb);
        return None;
    }
    if node.is_cut() {
        pause(PATIENCE).await;
        return Some(Err(no_answer(verb)));
    }
    // The database of a lone process dies with it.
    if world.swarm.embedded && life.is_killed() {
        return None;
    }
    if fate.error {
        world.cover(&format!("error before {verb}"));
        world.trace.note(format_args!("{node} {verb}: error"));
        return Some(Err(StoreError::Engine(format!("{verb} failed"))));
    }
    let result = effect(side.clone()).now_or_never().unwrap_or_else(|| {
        Err(StoreError::Engine("the model of the store never waits".to_owned()))
    });
    world.witness().after(world, &side, &deed, result.is_ok());
    if fate.crash_after {
        world.cover(&format!("crash after {verb}"));
        node.crash(world, life, verb);
        return None;
    }
    pause(fate.after).await;
    let cut = node.is_cut();
    if cut || fate.lost {
        if cut {
            pause(PATIENCE).await;
        }
        world.cover(&format!("lost reply of {verb}"));
        world.trace.note(format_args!("{node} {verb}: reply lost"));
        return Some(Err(no_answer(verb)));
    }
    Some(result)
}
