//! Origins that speak HTTP/2, well and badly (http_faults.md row 94).

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::SendStream;
use h2::server::SendResponse;
use http::Response;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::run::tasks::Tasks;

/// What the origin does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Whole,
    /// Half of the body, then the stream is reset.
    ResetAfterHalf(Reason),
    /// No head at all: the stream is reset at once.
    ResetAtOnce(Reason),
    /// Half of the body, then GOAWAY and the connection ends.
    GoAwayAfterHalf,
    /// A header list beyond the limit.
    HugeHead,
}

const BODY: &[u8] = &[7; 100_000];
const HALF: usize = BODY.len() / 2;

struct H2Origin {
    at: std::net::SocketAddr,
    /// Told when the client has what was sent: a reset overtakes what still waits to be sent.
    arrived: Arc<Notify>,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl H2Origin {
    /// Does `script(n)` with request n; offers the protocols `alpn`, in its order.
    async fn start(alpn: &[&[u8]], script: fn(usize) -> Act) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(pem::LEAF.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pem::KEY.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::default(), Arc::default());
        let origin = Self { at, arrived: Arc::default(), connections, requests };
        let arrived = origin.arrived.clone();
        let (connections, requests) = (origin.connections.clone(), origin.requests.clone());
        let tasks = Tasks::new();
        drop(tasks.clone().spawn("h2 origin", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, requests) = (acceptor.clone(), requests.clone());
                let arrived = arrived.clone();
                connections.fetch_add(1, Ordering::SeqCst);
                drop(tasks.spawn("h2 connection", async move {
                    let Ok(tls) = acceptor.accept(stream).await else { return };
                    let Ok(mut connection) = h2::server::handshake(tls).await else { return };
                    // Bodies under way, each to be ended when its half has arrived.
                    let mut halves = Vec::new();
                    loop {
                        tokio::select! {
                            accepted = connection.accept() => {
                                let Some(Ok((_request, respond))) = accepted else { return };
                                let act = script(requests.fetch_add(1, Ordering::SeqCst));
                                halves.extend(answer(act, respond).map(|body| (act, body)));
                            }
                            () = arrived.notified() => for (act, mut body) in halves.drain(..) {
                                match act {
                                    Act::ResetAfterHalf(reason) => body.send_reset(reason),
                                    _ => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                                }
                            },
                        }
                    }
                }));
            }
        }));
        origin
    }

    fn url(&self) -> String {
        format!("https://tls.example.com:{}/v.mp4?S=s3cret", self.at.port())
    }
}

/// Answers; gives back a body of which only half was sent.
fn answer(act: Act, mut respond: SendResponse<Bytes>) -> Option<SendStream<Bytes>> {
    let mut head = Response::builder().header("content-type", "video/mp4");
    match act {
        Act::ResetAtOnce(reason) => {
            respond.send_reset(reason);
            return None;
        }
        Act::HugeHead => head = head.header("x-huge", "x".repeat(64 * 1024)),
        Act::Whole | Act::ResetAfterHalf(_) | Act::GoAwayAfterHalf => {
            head = head.header("content-length", BODY.len());
        }
    }
    let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
    let (sent, ended) = match act {
        Act::Whole => (BODY, true),
        Act::HugeHead => (&[][..], true),
        Act::ResetAfterHalf(_) | Act::GoAwayAfterHalf | Act::ResetAtOnce(_) => {
            (&BODY[..HALF], false)
        }
    };
    body.send_data(Bytes::from_static(sent), ended).unwrap();
    (!ended).then_some(body)
}

fn fetcher(http2: bool) -> Fetcher {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem::ROOT.as_bytes()).unwrap();
    let extra_ca = Some(file.path().to_owned());
    let names = Written::default().answer("tls.example.com", &["127.0.0.1"]);
    fetcher_with(FetchSettings { extra_ca, http2, ..settings() }, names).0
}

const ONLY_H2: &[&[u8]] = &[b"h2"];

#[tokio::test]
async fn an_origin_that_prefers_http2_is_spoken_to_in_it_when_it_is_on() {
    let origin = H2Origin::start(&[b"h2", b"http/1.1"], |_| Act::Whole).await;
    assert_eq!(fetch(&fetcher(true), &origin.url()).await.unwrap(), BODY);
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1, "it was HTTP/2");
}

#[tokio::test]
async fn an_origin_that_speaks_only_http2_is_refused_when_it_is_off() {
    let origin = H2Origin::start(ONLY_H2, |_| Act::Whole).await;
    let result = fetch(&fetcher(false), &origin.url()).await;
    assert_eq!(verdict(result), (FaultClass::Tls, Retry::Never));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn transfers_of_one_http2_origin_share_a_connection() {
    let origin = H2Origin::start(ONLY_H2, |_| Act::Whole).await;
    let (fetcher, url) = (fetcher(true), origin.url());
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), BODY);
    let all = join_all((0..8).map(|_| fetch(&fetcher, &url))).await;
    assert!(all.into_iter().all(|bytes| bytes.unwrap() == BODY));
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_or_connection_that_is_ended_early_is_a_truncation_to_try_again() {
    let truncated = (FaultClass::Truncated, Retry::Backoff);
    let scripts: [fn(usize) -> Act; 4] = [
        |_| Act::ResetAfterHalf(Reason::INTERNAL_ERROR),
        // Even "no error" is no end of a body of which half is missing.
        |_| Act::ResetAfterHalf(Reason::NO_ERROR),
        |_| Act::ResetAfterHalf(Reason::CANCEL),
        |_| Act::GoAwayAfterHalf,
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let origin = H2Origin::start(ONLY_H2, script).await;
        let url = SourceUrl::new(origin.url());
        let mut source = fetcher(true).open(Wanted::whole(&url)).await.unwrap();
        let mut received = 0;
        while received < HALF {
            received += source.chunk().await.unwrap().expect("half of it comes").len();
        }
        origin.arrived.notify_one();
        let result = source.chunk().await.map(|piece| piece.unwrap_or_default().to_vec());
        assert_eq!(verdict(result), truncated, "script {number}");
    }
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_later_or_at_once() {
    let refused = |_| Act::ResetAtOnce(Reason::REFUSED_STREAM);
    let origin = H2Origin::start(ONLY_H2, refused).await;
    let result = fetch(&fetcher(true), &origin.url()).await;
    assert_eq!(verdict(result), (FaultClass::Protocol, Retry::Backoff));

    let once = |n| if n == 1 { Act::ResetAtOnce(Reason::REFUSED_STREAM) } else { Act::Whole };
    let origin = H2Origin::start(ONLY_H2, once).await;
    let fetcher = fetcher(true);
    assert_eq!(fetch(&fetcher, &origin.url()).await.unwrap(), BODY);
    let again = fetch(&fetcher, &origin.url()).await;
    assert_eq!(again.unwrap(), BODY, "a kept connection gets a second chance at once");
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_in_http2_too() {
    let origin = H2Origin::start(ONLY_H2, |_| Act::HugeHead).await;
    let (class, _) = verdict(fetch(&fetcher(true), &origin.url()).await);
    assert_eq!(class, FaultClass::Protocol);
}
