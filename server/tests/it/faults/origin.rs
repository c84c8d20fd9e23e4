//! An origin that does what a row of http_faults.md says, on plain TCP or TLS, and witnesses what
//! was asked of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::harness::spawn;

/// One thing an origin does after it has read a request.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends these bytes for ever.
    Forever(Vec<u8>),
    /// Sends these bytes one by one, with this pause after each.
    Dribble(Vec<u8>, Duration),
    /// Waits until the test lets it go on.
    Gate(watch::Receiver<bool>),
    /// Keeps the connection open and says nothing more.
    Hang,
    /// Ends the connection with a reset.
    Reset,
    /// Reads the next request on the same connection.
    KeepAlive,
}

pub fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Send(bytes.into())
}

/// Steps for request number n, from 0, with this head.
pub type Script = Arc<dyn Fn(usize, &str) -> Vec<Step> + Send + Sync>;

/// What the origin speaks.
#[derive(Clone, Debug)]
pub enum Speech {
    Http,
    /// HTTP in TLS, by a certificate of `tests/tls`; with or without TLS's own goodbye.
    Tls {
        certificate: &'static str,
        goodbye: bool,
    },
    /// As `Tls`, and asks for the client's certificate.
    AsksForCertificate {
        insists: bool,
    },
    /// TLS whose chain of certificates is too long for any handshake.
    LongChain,
    /// No HTTP: plays the script for each connection, whatever was sent.
    Raw,
}

impl Speech {
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::AsksForCertificate { .. } | Self::LongChain)
    }
}

/// What an origin saw.
#[derive(Default, Debug)]
pub struct Seen {
    pub connections: usize,
    /// Heads of the requests, in order, and when they came.
    pub heads: Vec<(String, Instant)>,
}

impl Seen {
    /// Requests, or connections that did not get as far.
    pub fn asked(&self) -> usize {
        self.heads.len().max(self.connections)
    }
}

#[derive(Clone)]
struct Play {
    script: Script,
    speech: Speech,
    tls: Option<TlsAcceptor>,
    seen: Arc<Mutex<Seen>>,
}

pub struct FaultOrigin {
    pub at: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl fmt::Debug for FaultOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultOrigin({})", self.at)
    }
}

impl FaultOrigin {
    pub async fn start(speech: Speech, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, speech, script)
    }

    pub fn start_on(listener: TcpListener, speech: Speech, script: Script) -> Self {
        let at = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let play = Play { script, tls: acceptor(&speech), speech, seen: seen.clone() };
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                play.seen.lock().unwrap().connections += 1;
                spawn(play.clone().connection(stream));
            }
        });
        Self { at, seen }
    }

    pub fn asked(&self) -> usize {
        self.seen.lock().unwrap().asked()
    }
}

enum Ending {
    Close,
    Reset,
}

impl Play {
    async fn connection(self, mut stream: TcpStream) {
        match &self.tls {
            None => {
                if let Some(Ending::Reset) = self.requests(&mut stream).await {
                    stream.set_zero_linger().unwrap();
                }
            }
            Some(tls) => {
                let mut stream = match tls.accept(stream).into_fallible().await {
                    Ok(stream) => stream,
                    Err((_, mut stream)) => {
                        // What was not read would turn the close into a reset, which may overtake
                        // the alert.
                        let _ = stream.shutdown().await;
                        let mut rest = [0; 1_024];
                        while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                        return;
                    }
                };
                let _ = self.requests(&mut stream).await;
                if matches!(self.speech, Speech::Tls { goodbye: false, .. }) {
                    let _ = stream.flush().await;
                    let _ = stream.get_mut().0.shutdown().await;
                } else {
                    let _ = stream.shutdown().await;
                }
            }
        }
    }

    /// `None` when the other side went away.
    async fn requests<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> Option<Ending> {
        'requests: loop {
            let (number, head) = if matches!(self.speech, Speech::Raw) {
                stream.read_u8().await.ok()?;
                (self.seen.lock().unwrap().connections - 1, String::new())
            } else {
                let head = read_head(stream).await?;
                let mut seen = self.seen.lock().unwrap();
                seen.heads.push((head.clone(), Instant::now()));
                (seen.heads.len() - 1, head)
            };
            for step in (self.script)(number, &head) {
                match step {
                    Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
                    Step::Pause(time) => {
                        stream.flush().await.ok()?;
                        tokio::time::sleep(time).await;
                    }
                    Step::Forever(bytes) => loop {
                        stream.write_all(&bytes).await.ok()?;
                    },
                    Step::Dribble(bytes, pause) => {
                        for byte in bytes {
                            stream.write_all(&[byte]).await.ok()?;
                            tokio::time::sleep(pause).await;
                        }
                    }
                    Step::Gate(mut gate) => {
                        stream.flush().await.ok()?;
                        gate.wait_for(|open| *open).await.ok()?;
                    }
                    Step::Hang => {
                        stream.flush().await.ok()?;
                        // Until the other side goes away.
                        let mut rest = [0; 64];
                        while stream.read(&mut rest).await.ok()? > 0 {}
                        return None;
                    }
                    Step::Reset => return Some(Ending::Reset),
                    Step::KeepAlive => continue 'requests,
                }
            }
            return Some(Ending::Close);
        }
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

pub fn tls_file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls")).join(name)
}

fn acceptor(speech: &Speech) -> Option<TlsAcceptor> {
    let certificate = match speech {
        Speech::Http | Speech::Raw => return None,
        Speech::Tls { certificate, .. } => certificate,
        Speech::AsksForCertificate { .. } | Speech::LongChain => "good.pem",
    };
    let read = |name: &str| CertificateDer::from_pem_file(tls_file(name)).unwrap();
    let mut chain = vec![read(certificate)];
    if matches!(speech, Speech::LongChain) {
        chain.extend(vec![read("root.pem"); 300]); // about 110 KiB
    }
    let key = PrivateKeyDer::from_pem_file(tls_file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = if let Speech::AsksForCertificate { insists } = speech {
        let mut roots = RootCertStore::empty();
        roots.add(read("root.pem")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let verifier = if *insists { verifier } else { verifier.allow_unauthenticated() };
        config.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    Some(TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap())))
}
