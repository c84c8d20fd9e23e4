//! What a seed is made of: how many nodes, how much work, and its own mix of faults (swarm testing:
//! a run in which everything fails all the time finds less than many in which a few things do).

use std::time::Duration;

use crate::chance::Rng;

/// One run's shape.
#[derive(Clone, Debug)]
pub struct Swarm {
    pub nodes: usize,
    /// One node on a database of its own, which goes by the node's clock and is recovered when the
    /// node starts; otherwise nodes share one that has a clock of its own.
    pub embedded: bool,
    /// The weight of each account.
    pub weights: Vec<u8>,
    pub clients: usize,
    /// Calls that each client makes.
    pub calls: u64,
    pub transfers: usize,
    pub per_account: usize,
    pub per_host: usize,
    pub lease: Duration,
    pub get_qps: u32,
    /// Of a job.
    pub deadline: Duration,
    pub chaos: Duration,
    /// Mean time between two pauses of an account's queue.
    pub queue_pause: Option<Duration>,
    pub store: StoreFaults,
    pub node: NodeFaults,
    pub origin: OriginFaults,
    pub objects: ObjectFaults,
    pub client: ClientFaults,
}

/// Probabilities for each verb's way to the store and back.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFaults {
    pub error: f64,
    pub lost_reply: f64,
    /// Longer than a lease.
    pub very_slow: f64,
    pub crash_before: f64,
    pub crash_after: f64,
    /// Usual way, one direction, at most.
    pub delay_ms: u64,
}

/// Mean time between two of a kind, over all nodes; `None`: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeFaults {
    pub crash: Option<Duration>,
    pub stop: Option<Duration>,
    pub pause: Option<Duration>,
    pub partition: Option<Duration>,
    pub clock: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct OriginFaults {
    /// Of a connection.
    pub refuse: f64,
    /// Of an answer.
    pub status: f64,
    pub cut: f64,
    pub stall: f64,
    pub slow: f64,
    /// Of a request: the object is another from now on.
    pub change: f64,
    /// Of a request: its link is good no longer.
    pub expire: f64,
    pub crash_of_the_puller: f64,
    /// Of a source: whoever pulls it dies.
    pub poison: f64,
    pub no_name: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectFaults {
    pub error: f64,
    pub lost_reply: f64,
    pub slow: f64,
    pub crash_before: f64,
    pub crash_after: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ClientFaults {
    pub lost_request: f64,
    pub lost_reply: f64,
    pub twice: f64,
    pub slow: f64,
    /// Bursts of queries, and of cancels that race the claims.
    pub burst: f64,
    /// Jobs with a priority of their own.
    pub priority: f64,
}

impl Swarm {
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "swarm");
        let nodes = usize::try_from(rng.range(1, 4)).unwrap_or(1);
        let mut some = |rate: f64| {
            // Half of all kinds are off in a run; the others vary.
            let on = rng.is(0.5);
            let share = rng.range(1, 10) as f64 / 10.0;
            if on { rate * share } else { 0.0 }
        };
        let store = StoreFaults {
            error: some(0.04),
            lost_reply: some(0.04),
            very_slow: some(0.02),
            crash_before: some(0.006),
            crash_after: some(0.006),
            delay_ms: 0,
        };
        let origin = OriginFaults {
            refuse: some(0.2),
            status: some(0.2),
            cut: some(0.5),
            stall: some(0.1),
            slow: some(0.3),
            change: some(0.1),
            expire: some(0.2),
            crash_of_the_puller: some(0.03),
            poison: some(0.04),
            no_name: some(0.1),
        };
        let objects = ObjectFaults {
            error: some(0.1),
            lost_reply: some(0.1),
            slow: some(0.3),
            crash_before: some(0.04),
            crash_after: some(0.04),
        };
        let client = ClientFaults {
            lost_request: some(0.1),
            lost_reply: some(0.2),
            twice: some(0.2),
            slow: some(0.3),
            burst: some(0.2),
            priority: some(0.6),
        };
        // Most runs are short: what they find is sooner read.
        let brief = !rng.is(0.125);
        let pace = if brief { 3 } else { 1 };
        let mut every = |low: u64, high: u64| {
            rng.is(0.5).then(|| Duration::from_millis(rng.range(low / pace, high / pace)))
        };
        let node = NodeFaults {
            crash: every(2_000, 20_000),
            stop: every(4_000, 20_000),
            pause: every(2_000, 15_000),
            partition: every(2_000, 15_000),
            clock: every(2_000, 15_000),
        };
        let queue_pause = every(3_000, 15_000);
        let store = StoreFaults { delay_ms: rng.range(0, 40), ..store };
        Self {
            nodes,
            embedded: nodes == 1 && rng.is(0.7),
            weights: (0..rng.range(2, 3)).map(|_| [1, 1, 2, 5][rng.index(4)]).collect(),
            clients: usize::try_from(rng.range(2, if brief { 3 } else { 4 })).unwrap_or(2),
            calls: if brief { rng.range(3, 9) } else { rng.range(6, 24) },
            transfers: usize::try_from(rng.range(1, 6)).unwrap_or(2),
            per_account: usize::try_from(rng.below(4)).unwrap_or(0),
            per_host: usize::try_from(rng.range(1, 4)).unwrap_or(2),
            lease: Duration::from_millis(rng.range(900, 3_000)),
            get_qps: u32::try_from(rng.range(3, 30)).unwrap_or(10),
            deadline: Duration::from_secs(if brief { rng.range(15, 60) } else { 150 }),
            chaos: Duration::from_millis(if brief {
                rng.range(2_000, 8_000)
            } else {
                rng.range(8_000, 30_000)
            }),
            queue_pause,
            store,
            node,
            origin,
            objects,
            client,
        }
    }
}
