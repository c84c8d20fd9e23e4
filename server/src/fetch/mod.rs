//! Bytes in: the guarded client that goes to addresses which callers name.
//!
//! `guard` decides where the server may go, `connect` dials what the guard let through, `exchange`
//! speaks HTTP over it, `client` asks and follows redirects, `wanted` is what is asked for and judges whether an answer continues
//! what is here already, `digest` reads what origins say of their bytes,
//! `presigned` tells when a link ends, `source` hands the body on within its limits, `spread` may take
//! more connections for it (`pieces` asks for its parts, `manners` remembers who minds), `verdict` says what
//! went wrong and whether to try again. No other module opens connections to addresses that
//! callers name; proxies of the environment are not looked at.

mod addresses;
mod allow;
mod client;
mod connect;
pub mod digest;
mod exchange;
pub mod guard;
mod host_slots;
mod manners;
mod own;
mod pieces;
mod presigned;
mod resolve;
mod source;
mod spread;
pub mod verdict;
mod wanted;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use client::{Fetcher, trusted_roots};
pub use connect::Network;
pub use exchange::Piece;
pub use host_slots::Place;
pub use resolve::{Resolve, ResolveError};
pub use source::Source;
pub use spread::{Chunk, Spread};
pub use wanted::{Link, Restart, Resume, Wanted};

use crate::config::Config;
use crate::domain::fault::{JobFault, Retry};

/// How the fetcher behaves; each field is the configuration key of its name.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// What the egress firewall lets through beyond its rule.
    pub allow: Vec<guard::EgressAllow>,
    /// Where this server listens (and what else it must never be sent to, such as its own object
    /// store). Known only once the ports are bound.
    pub own_listeners: Vec<SocketAddr>,
    /// DNS servers; the system's when empty.
    pub resolvers: Vec<SocketAddr>,
    /// PEM file of roots trusted beside the public ones.
    pub extra_ca: Option<PathBuf>,
    /// Whether origins may be spoken to in HTTP/2, over TLS, where they prefer it.
    pub http2: bool,
    /// Look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the connection's readiness to the complete response head, absolute.
    pub header_timeout: Duration,
    /// Longest wait for the next byte of a body.
    pub stall_timeout: Duration,
    /// Bytes a second, over `min_speed_window`; 0 = no floor.
    pub min_speed: u64,
    pub min_speed_window: Duration,
    /// Redirects followed for one source.
    pub redirects: usize,
    /// Concurrent transfers from one host and port.
    pub per_host: usize,
    /// Connections for one large file; fewer than 2 = one.
    pub parallel_ranges: usize,
    /// What is large: so many bytes are still to come.
    pub parallel_from: u64,
    /// Largest body, in bytes.
    pub max_bytes: u64,
}

impl From<&Config> for FetchSettings {
    /// `own_listeners` stays empty: it is set once the ports are bound.
    fn from(config: &Config) -> Self {
        Self {
            allow: config.egress_allow.clone(),
            own_listeners: Vec::new(),
            resolvers: config.resolvers.clone(),
            extra_ca: config.extra_ca.clone(),
            http2: config.http2,
            connect_timeout: config.connect_timeout,
            header_timeout: config.header_timeout,
            stall_timeout: config.stall_timeout,
            min_speed: config.min_speed,
            min_speed_window: config.min_speed_window,
            redirects: config.redirects,
            per_host: config.per_host,
            parallel_ranges: config.parallel_ranges,
            parallel_from: config.parallel_from,
            max_bytes: config.max_bytes,
        }
    }
}

/// Why a transfer failed, for the job's record, and whether trying again can help.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchError {
    pub fault: JobFault,
    pub retry: Retry,
}

/// Why there is no fetcher: something in the configuration or the system's own files.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    #[error("the extra roots in {} cannot be read: {cause}", path.display())]
    ExtraCa { path: PathBuf, cause: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("no DNS resolver: {0}")]
    Resolver(String),
}
