//! Every metric, with its unit and meaning, in one place. Labels take few values; none comes from
//! a caller.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::time::Timestamp;
use crate::store::Stats;

/// Labels of an answered request.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct RequestLabels {
    /// The operation, or `unknown`.
    pub operation: &'static str,
    /// HTTP status.
    pub status: u16,
}

/// Labels of an ended job.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct JobLabels {
    /// `success`, or the `ErrorCode`.
    pub outcome: &'static str,
}

/// The metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub requests: Family<RequestLabels, Counter>,
    pub request_seconds: Histogram,
    pub throttled: Counter,
    pub jobs_accepted: Counter,
    pub jobs_canceled: Counter,
    pub jobs_finished: Family<JobLabels, Counter>,
    pub retries: Counter,
    pub leases_lost: Counter,
    pub leases_expired: Counter,
    pub received_bytes: Counter,
    pub resumed_transfers: Counter,
    pub resumed_bytes: Counter,
    pub partials_removed: Counter,
    pub transfers: Gauge,
    pub orphans_removed: Counter,
    pub uploads_aborted: Counter,
    pub aborts_failed: Counter,
    pending: Gauge,
    running: Gauge,
    waiting: Gauge,
    awaiting_url: Gauge,
    oldest_ready_seconds: Gauge<f64, AtomicU64>,
    free_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("haulage");
        let r = &mut registry;
        let requests = family(r, "requests", "API requests answered");
        let request_seconds = Histogram::new([
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        ]);
        r.register_with_unit(
            "request",
            "Time from request body read to answer made",
            Unit::Seconds,
            request_seconds.clone(),
        );
        Self {
            requests,
            request_seconds,
            throttled: counter(r, "throttled", "Requests refused by a rate limit"),
            jobs_accepted: counter(r, "jobs_accepted", "Jobs accepted"),
            jobs_canceled: counter(r, "jobs_canceled", "Jobs cancelled while pending"),
            jobs_finished: family(r, "jobs_finished", "Jobs that ended, by outcome"),
            retries: counter(r, "retries", "Attempts put off after a transient fault"),
            leases_lost: counter(
                r,
                "leases_lost",
                "Transfers stopped because their lease was gone",
            ),
            leases_expired: counter(r, "leases_expired", "Leases ended by the reaper"),
            received_bytes: counter(r, "received_bytes", "Bytes received from origins"),
            resumed_transfers: counter(
                r,
                "resumed_transfers",
                "Attempts that went on where an earlier one had stopped",
            ),
            resumed_bytes: counter(
                r,
                "resumed_bytes",
                "Bytes that such attempts found and did not fetch again",
            ),
            partials_removed: counter(
                r,
                "partials_removed",
                "Unfinished files removed: their job had ended, or a limit was reached",
            ),
            transfers: gauge(r, "transfers", "Transfers under way on this node"),
            orphans_removed: counter(r, "orphans_removed", "Objects without a job, removed"),
            uploads_aborted: counter(
                r,
                "uploads_aborted",
                "Multipart uploads ended by a sweep: broken off, or without a job",
            ),
            aborts_failed: counter(
                r,
                "upload_aborts_failed",
                "Multipart uploads that a sweep could not end; their parts are still paid for",
            ),
            pending: gauge(r, "jobs_pending", "Jobs accepted and never started"),
            running: gauge(r, "jobs_running", "Jobs under a lease"),
            waiting: gauge(r, "jobs_waiting", "Jobs between two attempts"),
            awaiting_url: gauge(r, "jobs_awaiting_url", "Jobs that await another URL"),
            oldest_ready_seconds: {
                let gauge = Gauge::default();
                r.register(
                    "oldest_ready_seconds",
                    "Age of the job that has been ready longest",
                    gauge.clone(),
                );
                gauge
            },
            free_bytes: gauge(r, "free_bytes", "Bytes free on the disk of the spool"),
            registry,
        }
    }

    /// The Prometheus text page.
    pub fn page(&self, stats: &Stats, now: Timestamp, free_bytes: u64) -> String {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.pending.set(gauge(stats.pending));
        self.running.set(gauge(stats.running));
        self.waiting.set(gauge(stats.waiting));
        self.awaiting_url.set(gauge(stats.awaiting));
        let age = stats.oldest_ready.map_or(0.0, |at| now.since(at).as_secs_f64());
        self.oldest_ready_seconds.set(age);
        self.free_bytes.set(gauge(free_bytes));
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn family<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    registry.register(name, help, family.clone());
    family
}
