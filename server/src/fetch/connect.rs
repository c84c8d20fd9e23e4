//! The only dialler of addresses that callers name: look up once, judge every address, connect to
//! exactly those, and look at who is at the other end.
//!
//! It stands below the HTTP client, so that no way leads around it: literal addresses, names,
//! redirects, retries and pooled hosts all come through [`Connector`].

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{self, Ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::exchange::Origin;
use super::guard::{Guard, Refusal};
use super::resolve::{Resolve, ResolveError};

/// Addresses of each family that are tried; all addresses of an answer are judged.
const TRIED_PER_FAMILY: usize = 4;
/// Head start of the preferred family (RFC 8305 §5, connection attempt delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// The name of HTTP/2 over TLS (RFC 9113 §3.2).
pub(super) const H2: &[u8] = b"h2";

/// What the library is asked to connect to, in place of the URL: it would dial an address in a URL
/// by itself, and put the URL's port in the place of a checked one.
const CHECKED: &str = "http://checked.invalid/";

/// What keeps a connection from being made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("{0}")]
    Lookup(ResolveError),
    #[error("no connection")]
    Connect,
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no TLS handshake in time")]
    TlsTimeout,
}

#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) guard: Arc<Guard>,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Arc<ClientConfig>,
    /// Look-up, TCP and TLS together.
    pub(super) timeout: Duration,
    pub(super) road: Road,
}

/// How a checked address is reached. Everything the dialler may try goes through here, last of all.
#[derive(Clone, Default, Debug)]
pub(super) enum Road {
    /// At itself.
    #[default]
    Straight,
    /// Noted, then led to loopback: the tests' witness of what would have been dialled.
    #[cfg(test)]
    Noted(Arc<super::tests::road::Noted>),
    /// In a model of the network: for simulations, which have no sockets.
    Model(Arc<dyn Network>),
}

/// A model of the network.
#[async_trait]
pub trait Network: fmt::Debug + Send + Sync {
    /// Connects to one of these addresses, all of which the guard let through.
    ///
    /// # Errors
    /// When nobody is there.
    async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<DuplexStream>;
}

impl Road {
    fn lead(&self, checked: Checked) -> Checked {
        match self {
            Self::Straight | Self::Model(_) => checked,
            #[cfg(test)]
            Self::Noted(noted) => Checked(noted.lead(&checked.0)),
        }
    }
}

impl Connector {
    /// Makes a connection to an origin.
    pub(super) async fn dial(&self, origin: &Origin) -> Result<Wire, DialError> {
        let deadline = Instant::now() + self.timeout;
        let (host, port) = (origin.host.as_str(), origin.port);
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => {
                self.guard.name(host, port).map_err(DialError::Refused)?;
                timeout_at(deadline, self.resolver.lookup(host))
                    .await
                    .unwrap_or(Err(ResolveError::TimedOut))
                    .map_err(DialError::Lookup)?
            }
        };
        self.guard.answer(host, port, &ips).map_err(DialError::Refused)?;
        let addresses = self.road.lead(Checked::choose(&ips, port));
        if let Road::Model(network) = &self.road {
            let met = timeout_at(deadline, network.connect(&addresses.0)).await;
            let met = met.map_err(|_| DialError::ConnectTimeout)?;
            return met.map(Wire::Memory).map_err(|_| DialError::Connect);
        }
        let tcp = self.connect(addresses, deadline).await?;
        match self.server_name(origin.https, host)? {
            None => Ok(Wire::Plain(tcp)),
            Some(name) => {
                let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
                let tls = timeout_at(deadline, handshake).await;
                let tls = tls.map_err(|_| DialError::TlsTimeout)?.map_err(DialError::Tls)?;
                Ok(Wire::Tls(Box::new(tls)))
            }
        }
    }

    async fn connect(&self, addresses: Checked, deadline: Instant) -> Result<TcpStream, DialError> {
        let mut tcp = HttpConnector::new_with_resolver(addresses.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_happy_eyeballs_timeout(Some(HEAD_START));
        // Shared out among the addresses, so that a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(deadline.saturating_duration_since(Instant::now())));
        let stream = timeout_at(deadline, tcp.call(Uri::from_static(CHECKED)))
            .await
            .map_err(|_| DialError::ConnectTimeout)?
            .map_err(
                |e| if timed_out(&e) { DialError::ConnectTimeout } else { DialError::Connect },
            )?;
        let peer = stream.inner().peer_addr().map_err(|_| DialError::Connect)?;
        if addresses.0.contains(&peer) {
            Ok(stream.into_inner())
        } else {
            Err(DialError::Refused(Refusal::Peer))
        }
    }

    fn server_name(
        &self,
        https: bool,
        host: &str,
    ) -> Result<Option<ServerName<'static>>, DialError> {
        if !https {
            return Ok(None);
        }
        let name = ServerName::try_from(host.to_owned());
        name.map(Some).map_err(|_| DialError::Refused(Refusal::BadName))
    }
}

fn timed_out(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = e.source();
    }
    false
}

/// Addresses the guard let through, handed to the library's racing of addresses in the place of
/// a resolver: it has nobody else to ask.
#[derive(Clone, Debug)]
struct Checked(Vec<SocketAddr>);

impl Checked {
    fn choose(ips: &[IpAddr], port: u16) -> Self {
        let some =
            |v4: bool| ips.iter().filter(move |ip| ip.is_ipv4() == v4).take(TRIED_PER_FAMILY);
        Self(some(false).chain(some(true)).map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        future::ready(Ok(self.0.clone().into_iter()))
    }
}

/// With what the other end began: it tells an origin that speaks something else from one whose
/// connection brought up leavings (http_faults.md rows 25, 34 and 90).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Greeting {
    #[default]
    Nothing,
    Http,
    /// A protocol that is known, and is not HTTP/1.
    OtherProtocol,
    Noise,
}

impl Greeting {
    pub(super) fn of(bytes: &[u8]) -> Self {
        const HTTP: &[u8] = b"HTTP";
        let bytes = &bytes[..bytes.len().min(HTTP.len())];
        match bytes {
            [] => Self::Nothing,
            _ if HTTP.starts_with(bytes) => Self::Http,
            // Shoutcast, SSH, and records of TLS (RFC 8446 §5.1).
            [b'I', b'C', b'Y', ..] | [b'S', b'S', b'H', ..] | [20..=23, 3, ..] => {
                Self::OtherProtocol
            }
            _ => Self::Noise,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// To an origin in memory: a simulation's, or a test's.
    Memory(DuplexStream),
}

impl Wire {
    /// Whether HTTP/2 was agreed on.
    pub(super) fn speaks_h2(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(H2),
            Self::Plain(_) | Self::Memory(_) => false,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Memory(duplex) => Pin::new(duplex).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Memory(duplex) => Pin::new(duplex).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Memory(duplex) => Pin::new(duplex).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Memory(duplex) => Pin::new(duplex).poll_shutdown(cx),
        }
    }
}
