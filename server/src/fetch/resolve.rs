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
use hickory_resolver::{Resolver, ResolverBuilder, TokioResolver};
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
    /// When the resolver cannot be put together.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, FetcherError> {
        let unusable = |e: NetError| FetcherError::Resolver(e.to_string());
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().unwrap_or_else(|e| {
                // As resolv.conf(5) says of a machine without that file.
                tracing::warn!(
                    cause = %e,
                    "the system names no DNS server; asking one on this machine"
                );
                builder_with(&[SocketAddr::from(([127, 0, 0, 1], 53))])
            })
        } else {
            builder_with(servers)
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

fn builder_with(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let servers = servers.iter().map(name_server).collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    Resolver::builder_with_config(config, TokioRuntimeProvider::default())
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, AAAA};
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use tokio::net::UdpSocket;

    use super::*;
    use crate::run::tasks::Tasks;

    /// A DNS server on loopback: answers by name, and notes what it was asked.
    async fn server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        drop(Tasks::new().spawn("dns", async move {
            let mut buffer = [0u8; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let answer = answer(&question, &log).to_vec().unwrap();
                socket.send_to(&answer, from).await.unwrap();
            }
        }));
        (at, asked)
    }

    fn answer(question: &Message, log: &Mutex<Vec<String>>) -> Message {
        let query = question.queries.first().unwrap().clone();
        let name = query.name().to_string().to_lowercase();
        log.lock().unwrap().push(format!("{name} {}", query.query_type()));
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        let of_v4 = query.query_type() == RecordType::A;
        let data = match (name.as_str(), of_v4) {
            ("dual.example.com.", true) => Some(RData::A(A::new(93, 184, 216, 34))),
            ("dual.example.com.", false) => Some(RData::AAAA(AAAA("2606::1".parse().unwrap()))),
            ("empty.example.com.", _) => None,
            ("servfail.example.com.", _) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                None
            }
            _ => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                None
            }
        };
        answer.add_query(query.clone());
        if let Some(data) = data {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
        answer
    }

    #[tokio::test]
    async fn configured_servers_are_asked_for_both_families_of_the_absolute_name() {
        let (at, asked) = server().await;
        let dns = Dns::new(&[at]).unwrap();
        let mut ips = dns.lookup("dual.example.com").await.unwrap();
        ips.sort();
        assert_eq!(
            ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["93.184.216.34", "2606::1"]
        );
        let mut asked = asked.lock().unwrap().clone();
        asked.sort();
        assert_eq!(asked, ["dual.example.com. A", "dual.example.com. AAAA"]);
    }

    #[tokio::test]
    async fn names_without_an_address_are_errors_of_their_kind() {
        let (at, asked) = server().await;
        let dns = Dns::new(&[at]).unwrap();
        assert_eq!(dns.lookup("nx.example.com").await, Err(ResolveError::NoSuchName));
        assert_eq!(dns.lookup("empty.example.com").await, Err(ResolveError::NoAddress));
        assert_eq!(dns.lookup("servfail.example.com").await, Err(ResolveError::Failed));
        let asked = asked.lock().unwrap().clone();
        assert!(asked.iter().all(|q| q.contains(".example.com. ")), "no search list: {asked:?}");
    }
}
