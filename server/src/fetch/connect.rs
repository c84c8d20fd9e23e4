//! The only dialler of addresses that callers name: look up once, judge every address, connect to
//! exactly those, and look at who is at the other end.
//!
//! It stands below the HTTP client, so that no way leads around it: literal addresses, names,
//! redirects, retries and pooled hosts all come through [`Connector`].

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{self, Future, Ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tower::Service;

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
    async fn dial(self, uri: Uri) -> Result<Wire, DialError> {
        let deadline = Instant::now() + self.timeout;
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = uri.host().ok_or(DialError::Refused(Refusal::NoHost))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let ips = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => {
                self.guard.name(&host, port).map_err(DialError::Refused)?;
                timeout_at(deadline, self.resolver.lookup(&host))
                    .await
                    .unwrap_or(Err(ResolveError::TimedOut))
                    .map_err(DialError::Lookup)?
            }
        };
        self.guard.answer(&host, port, &ips).map_err(DialError::Refused)?;
        let addresses = self.road.lead(Checked::choose(&ips, port));
        if let Road::Model(network) = &self.road {
            return meet(network.as_ref(), &addresses, deadline).await;
        }
        let tcp = self.connect(addresses, deadline).await?;
        let server = self.server_name(https, &host)?;
        let mut h2 = false;
        let stream = match server {
            None => MaybeHttpsStream::Http(tcp),
            Some(name) => {
                let handshake = TlsConnector::from(self.tls).connect(name, TokioIo::new(tcp));
                let tls = timeout_at(deadline, handshake).await;
                let tls = tls.map_err(|_| DialError::TlsTimeout)?.map_err(DialError::Tls)?;
                h2 = tls.get_ref().1.alpn_protocol() == Some(H2);
                MaybeHttpsStream::Https(TokioIo::new(tls))
            }
        };
        Ok(Wire { stream: Stream::Socket(stream), h2, used: Used::default() })
    }

    async fn connect(
        &self,
        addresses: Checked,
        deadline: Instant,
    ) -> Result<TokioIo<TcpStream>, DialError> {
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
            Ok(stream)
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

/// Connects in a model of the network, in plain HTTP.
async fn meet(
    network: &dyn Network,
    addresses: &Checked,
    deadline: Instant,
) -> Result<Wire, DialError> {
    let met = timeout_at(deadline, network.connect(&addresses.0)).await;
    let stream = met.map_err(|_| DialError::ConnectTimeout)?.map_err(|_| DialError::Connect)?;
    Ok(Wire { stream: Stream::Model(TokioIo::new(stream)), h2: false, used: Used::default() })
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

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
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

/// The history of a connection. Whether it has carried a request before: the first failure on one
/// that has may only mean that the origin closed it meanwhile. And what was said first on it.
#[derive(Clone, Default, Debug)]
pub(super) struct Used(Arc<History>);

#[derive(Default, Debug)]
struct History {
    marked: AtomicBool,
    greeting: OnceLock<Greeting>,
}

impl Used {
    /// Marks the connection, and tells whether it was marked already.
    pub(super) fn mark(&self) -> bool {
        self.0.marked.swap(true, Ordering::Relaxed)
    }

    pub(super) fn greeting(&self) -> Greeting {
        self.0.greeting.get().copied().unwrap_or_default()
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

/// Bytes of a greeting that are looked at.
const GREETING_BYTES: usize = 4;

impl Greeting {
    fn of(bytes: &[u8]) -> Self {
        const HTTP: &[u8] = b"HTTP";
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
pub(super) struct Wire {
    stream: Stream,
    /// Whether HTTP/2 was agreed on.
    h2: bool,
    used: Used,
}

#[expect(clippy::large_enum_variant, reason = "all but simulations have the large one")]
enum Stream {
    Socket(MaybeHttpsStream<TokioIo<TcpStream>>),
    Model(TokioIo<DuplexStream>),
}

impl Stream {
    fn read(&mut self, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Model(model) => Pin::new(model).poll_read(cx, buf),
        }
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.used.clone());
        if self.h2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.used.0.greeting.get().is_some() || buf.remaining() < GREETING_BYTES {
            return self.stream.read(cx, buf);
        }
        let mut first = [0; GREETING_BYTES];
        let mut first = ReadBuf::new(&mut first);
        ready!(self.stream.read(cx, first.unfilled()))?;
        // Only this task reads, so nobody else has set it.
        let _ = self.used.0.greeting.set(Greeting::of(first.filled()));
        buf.put_slice(first.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Socket(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Model(model) => Pin::new(model).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Socket(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Model(model) => Pin::new(model).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Socket(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Model(model) => Pin::new(model).poll_shutdown(cx),
        }
    }
}
