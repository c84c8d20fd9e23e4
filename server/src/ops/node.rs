//! What the operations know of the node that they answer for, and of the others on its database.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wire::code::Fault;
use wire::reply::{NodeInfo, NodeSummary, SettingInfo, StorageInfo};

use super::{Ops, store_fault};
use crate::domain::time::Timestamp;
use crate::run::members::Roles;
use crate::run::stop::Stop;
use crate::store::{NODES_KEPT, NodeRecord};
use crate::telemetry::process::{Rate, resident_bytes};

/// Most nodes that an answer lists. Of silent ones the newest are shown.
const LISTED: usize = 100;

/// The node, as an operator sees it.
#[derive(Debug)]
pub struct NodeFacts {
    /// New with each start.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    pub started: Timestamp,
    /// A node that was not seen for this long counts as gone.
    pub lease: Duration,
    /// Transfers at once, at most.
    pub transfer_limit: usize,
    /// Sampled every second.
    pub receiving: Arc<Rate>,
    /// What reads media.
    pub probe: &'static str,
    /// Without secrets.
    pub storage: Vec<StorageInfo>,
    /// Every setting in force, secrets hidden.
    pub settings: Vec<SettingInfo>,
    pub stop: Stop,
}

impl Ops {
    /// This node.
    pub(super) fn node_info(&self) -> NodeInfo {
        let node = &self.node;
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_time: node.started.seconds(),
            running_transfers: self.board.len() as u64,
            transfer_limit: node.transfer_limit as u64,
            receiving_bytes_per_second: node.receiving.get(),
            free_bytes: self.spool.free_bytes().unwrap_or(0),
            min_free_bytes: self.rules.min_free,
            memory_bytes: resident_bytes(),
            probe: node.probe.to_owned(),
            draining: node.stop.is_draining(),
            storage: node.storage.clone(),
        }
    }

    /// All nodes of the database. What metrics count as there is what is not silent here.
    pub(super) async fn node_list(&self) -> Result<Vec<NodeSummary>, Fault> {
        let now = self.clock.now();
        let mut nodes = self.store.nodes(now - NODES_KEPT).await.map_err(store_fault)?;
        if nodes.is_empty() {
            // An embedded store keeps no list: its node is the one that answers.
            nodes.push(NodeRecord {
                id: self.node.id.clone(),
                address: self.node.address.to_string(),
                roles: Roles::ALL.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started: self.node.started,
                seen: now,
                draining: self.node.stop.is_draining(),
                transfers: self.board.len() as u64,
            });
        }
        Ok(listed(nodes, &self.node.id, now - self.node.lease))
    }
}

/// Those that work in the order of their start, then the silent ones, last seen first.
fn listed(nodes: Vec<NodeRecord>, this: &str, alive_since: Timestamp) -> Vec<NodeSummary> {
    let (mut alive, mut silent): (Vec<NodeRecord>, Vec<NodeRecord>) =
        nodes.into_iter().partition(|node| node.seen >= alive_since);
    silent.sort_by_key(|node| Reverse(node.seen));
    alive.append(&mut silent);
    let summary = |node: NodeRecord| NodeSummary {
        state: match (node.seen >= alive_since, node.draining) {
            (true, false) => "Ready",
            (true, true) => "Draining",
            (false, _) => "Silent",
        }
        .to_owned(),
        is_this: node.id == this,
        id: node.id,
        address: node.address,
        roles: node.roles,
        version: node.version,
        start_time: node.started.seconds(),
        seen_time: node.seen.seconds(),
        running_transfers: node.transfers,
    };
    alive.into_iter().take(LISTED).map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, seen: i64, draining: bool) -> NodeRecord {
        NodeRecord {
            id: id.to_owned(),
            address: "h:1".to_owned(),
            roles: "api".to_owned(),
            version: "0".to_owned(),
            started: Timestamp(0),
            seen: Timestamp(seen),
            draining,
            transfers: 3,
        }
    }

    #[test]
    fn nodes_that_work_come_first_and_silent_ones_by_when_they_were_seen() {
        let nodes = vec![
            node("long-gone", 10, false),
            node("ready", 1_000, false),
            node("gone-in-a-drain", 999, true),
            node("leaving", 2_000, true),
        ];
        let listed = listed(nodes, "leaving", Timestamp(1_000));
        let told: Vec<(&str, &str, bool)> =
            listed.iter().map(|n| (n.id.as_str(), n.state.as_str(), n.is_this)).collect();
        assert_eq!(
            told,
            [
                ("ready", "Ready", false),
                ("leaving", "Draining", true),
                ("gone-in-a-drain", "Silent", false),
                ("long-gone", "Silent", false),
            ]
        );
    }

    #[test]
    fn of_many_silent_nodes_the_newest_are_listed() {
        let nodes = (0..2 * LISTED as i64).map(|n| node(&format!("n{n}"), n, false)).collect();
        let listed = listed(nodes, "this", Timestamp(i64::MAX));
        assert_eq!((listed.len(), listed[0].id.as_str()), (LISTED, "n199"));
    }
}
