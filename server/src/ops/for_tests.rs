//! Operations over a store in memory, for unit tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Answers, NodeFacts, Ops, Rules};
use crate::api::media::PlayUrls;
use crate::api::records::Records;
use crate::blob::spool::Spool;
use crate::blob::{LocalBlobs, Locations};
use crate::domain::id::IdCodec;
use crate::domain::time::Timestamp;
use crate::door::Clock;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::run::stop::Stop;
use crate::store::SubmitLimits;
use crate::store::memory::MemoryStore;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::process::Rate;
use crate::worker::board::Board;

/// With a clock that stands still; `dir` must live as long.
pub(super) async fn ops(dir: &Path) -> Ops {
    let started = Timestamp::from_seconds(1_767_323_045);
    let blobs = LocalBlobs::open(dir.join("objects")).await.unwrap();
    let clock = Clock::manual(started);
    let limits = SubmitLimits { calls_per_day: 0, pending: 0 };
    Ops {
        store: Arc::new(MemoryStore::new()),
        codec: IdCodec::new([1; 16]),
        schedule: Schedule::of(clock.clone()),
        clock,
        play_urls: PlayUrls::new("http://127.0.0.1".to_owned(), [2; 32]),
        spool: Spool::open(dir.join("spool")).await.unwrap(),
        locations: Locations::new(Arc::new(blobs)),
        board: Arc::new(Board::new()),
        metrics: Arc::new(Metrics::new()),
        wake: Arc::new(Notify::new()),
        rules: Rules {
            submit: limits,
            job_deadline: Duration::from_secs(3_600),
            auth_timeout: Duration::from_secs(3_600),
            min_free: 0,
        },
        records: Arc::new(Records::default()),
        vault: Vault::new([3; 32]),
        node: NodeFacts {
            id: "0123456789abcdef".to_owned(),
            address: std::net::SocketAddr::from(([127, 0, 0, 1], 8710)),
            lease: std::time::Duration::from_secs(30),
            started,
            transfer_limit: 1,
            receiving: Arc::new(Rate::default()),
            probe: "built-in readers",
            storage: Vec::new(),
            settings: Vec::new(),
            stop: Stop::new(),
        },
        answers: Answers::default(),
    }
}
