//! Names to addresses: one look-up per connection, absolute, answered whole.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver, TokioResolver};
use tokio::sync::Semaphore;

use super::FetcherError;

/// Look-ups under way at once; further ones wait within their connect timeout.
const LOOKUPS: usize = 64;
/// Names whose answers are remembered, for as long as the answers allow.
const CACHED_NAMES: u64 = 1_024;
/// One question to one server; two rounds are asked.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
const ROUNDS: usize = 2;

/// Why a name has no addresses. All of these are worth another try: zones are edited, and servers
/// come back (ssrf_dns.jsonl, class `dns_error`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("the name does not exist")]
    NoSuchName,
    #[error("the name has no address")]
    NoAddress,
    #[error("the DNS servers did not answer in time")]
    TimedOut,
    #[error("the DNS servers could not answer")]
    Failed,
}

/// Asks for the addresses of a name. A trait so that tests can write the answers.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// All addresses of `name`, which is absolute: no search list is tried.
    ///
    /// # Errors
    /// [`ResolveError`]; an empty answer is `NoAddress`.
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// DNS, by the system's configuration or by servers of our own; hosts file included, whose
/// answers are judged like any other.
pub(super) struct Dns {
    resolver: TokioResolver,
    lookups: Semaphore,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns(..)")
    }
}

impl Dns {
    /// # Errors
    /// When the system's configuration cannot be read.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, FetcherError> {
        let unusable = |e: NetError| FetcherError::Resolver(e.to_string());
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(unusable)?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        // Pinned, so that neither a new version of the library nor resolv.conf changes what is
        // asked; DNSSEC validation is not compiled in.
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = QUESTION_TIMEOUT;
        options.attempts = ROUNDS;
        options.cache_size = CACHED_NAMES;
        options.ndots = 1;
        options.max_active_requests = 4 * LOOKUPS;
        let resolver = builder.build().map_err(unusable)?;
        Ok(Self { resolver, lookups: Semaphore::new(LOOKUPS) })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

#[async_trait]
impl Resolve for Dns {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        // The dot of the root makes the name absolute.
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| ResolveError::NoSuchName)?;
        let _turn = self.lookups.acquire().await.map_err(|_| ResolveError::Failed)?;
        match self.resolver.lookup_ip(name).await {
            Ok(answer) => {
                let ips: Vec<IpAddr> = answer.iter().collect();
                if ips.is_empty() { Err(ResolveError::NoAddress) } else { Ok(ips) }
            }
            Err(e) if e.is_nx_domain() => Err(ResolveError::NoSuchName),
            Err(e) if e.is_no_records_found() => Err(ResolveError::NoAddress),
            Err(NetError::Timeout) => Err(ResolveError::TimedOut),
            Err(_) => Err(ResolveError::Failed),
        }
    }
}
