//! What the operations know of the node that they answer for.

use std::sync::Arc;
use std::time::Duration;

use wire::reply::{SettingInfo, StorageInfo};

use crate::domain::time::Timestamp;
use crate::run::stop::Stop;
use crate::telemetry::process::Rate;

/// The node, as an operator sees it.
#[derive(Debug)]
pub struct NodeFacts {
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
