//! A node among others: what it does, and how the others learn that it is there.

use std::fmt;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::stop::Stop;
use crate::door::{Clock, random};
use crate::ops::NodeFacts;
use crate::store::{NodeRecord, Store};
use crate::worker::board::Board;

/// What a node does. On a database of its own it does everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// Answers the API, the explorer, the console and play URLs.
    pub api: bool,
    /// Runs jobs.
    pub worker: bool,
}

impl Roles {
    pub const ALL: Self = Self { api: true, worker: true };
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.api, self.worker) {
            (true, true) => "api,worker",
            (true, false) => "api",
            (false, true) => "worker",
            (false, false) => "none",
        })
    }
}

/// Length of a node's id, in characters: no two starts ever have the same.
const ID_LENGTH: usize = 16;

/// An id for a node that starts.
pub(super) fn new_id() -> String {
    random::alphanumeric(ID_LENGTH)
}

/// This node, from now on.
pub(super) fn record(facts: &NodeFacts, roles: Roles) -> NodeRecord {
    NodeRecord {
        id: facts.id.clone(),
        address: facts.address.to_string(),
        roles: roles.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: facts.started,
        seen: facts.started,
        draining: false,
        transfers: 0,
    }
}

/// Says that the node is there and how much it does, as often as it prolongs its leases, and when it
/// begins to drain.
pub(super) async fn beat(
    store: &dyn Store,
    mut node: NodeRecord,
    board: &Board,
    clock: Clock,
    every: Duration,
    stop: Stop,
) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.draining(), if !node.draining => node.draining = true,
            () = stop.aborting() => return,
        }
        node.seen = clock.now();
        node.transfers = board.len() as u64;
        if let Err(error) = store.node_beat(&node).await {
            tracing::warn!(%error, "cannot tell the other nodes that this one is there");
        }
    }
}
