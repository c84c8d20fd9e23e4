//! How requests reach the operator's own storage: hyper over rustls, with a time limit for each
//! answer and each pause in it.
//!
//! This is the one way out beside the fetcher's (ADR 0012). It goes to the endpoint of the
//! configuration and nowhere else: redirects are not followed, proxies of the environment are not
//! asked, and no address of a caller ever comes here.
//!
//! The library keeps the status and code of a refusal to itself, so they are noted here, where
//! every answer passes.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as ConnectorSeam, HttpError, HttpErrorKind, HttpRequest,
    HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Sleep, sleep, timeout};

use super::failure::Said;

/// Resolving and TCP of one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this long; most servers wait longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections kept.
const IDLE_CONNECTIONS: usize = 32;
/// Bytes of a refusal that are read, to find its code.
const REFUSAL_BYTES: usize = 64 * 1024;

tokio::task_local! {
    /// What the storage said last in this call.
    static SAID: RefCell<Option<Said>>;
}

/// Runs a call of the library, and tells what the storage said when it fails.
pub(super) async fn hearing<T, F>(call: F) -> Result<T, (object_store::Error, Option<Said>)>
where
    F: Future<Output = object_store::Result<T>>,
{
    let heard = SAID.scope(RefCell::new(None), async {
        let done = call.await;
        (done, SAID.with(RefCell::take))
    });
    let (done, said) = heard.await;
    done.map_err(|error| (error, said))
}

fn note(said: Said) {
    // Bodies are read outside of a call too; there the reader sees the error itself.
    let _ = SAID.try_with(|last| last.replace(Some(said)));
}

#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: Client<HttpsConnector<HttpConnector>, HttpRequestBody>,
    /// From a request's first byte to the head of its answer, and for each pause in the answer.
    timeout: Duration,
}

impl Transport {
    /// `roots` are trusted to vouch for endpoints.
    pub(super) fn new(
        roots: Arc<rustls::RootCertStore>,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self { http: client(connector), timeout })
    }
}

#[expect(clippy::disallowed_methods, reason = "the door to the operator's own storage")]
fn client(
    connector: HttpsConnector<HttpConnector>,
) -> Client<HttpsConnector<HttpConnector>, HttpRequestBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector)
}

impl ConnectorSeam for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = match timeout(self.timeout, self.http.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let (kind, said) = what_broke(&error);
                note(said);
                return Err(HttpError::new(kind, error));
            }
            Err(late) => {
                note(Said::NoAnswer);
                return Err(HttpError::new(HttpErrorKind::Timeout, late));
            }
        };
        let (parts, body) = answer.into_parts();
        let body = Patient { body, pause: self.timeout, timer: Box::pin(sleep(self.timeout)) };
        if parts.status.is_success() {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
        }
        // A refusal is short, and its code says more than its status.
        let text = Limited::new(body, REFUSAL_BYTES).collect().await;
        let text = text.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        note(Said::status(parts.status, &text));
        Ok(HttpResponse::from_parts(parts, text.into()))
    }
}

/// What the library may conclude, and what people are told.
fn what_broke(error: &hyper_util::client::legacy::Error) -> (HttpErrorKind, Said) {
    if error.is_connect() {
        let tls = causes(error).any(|cause| cause.is::<rustls::Error>());
        let said = if tls { Said::NoTrust } else { Said::NoConnection };
        return (HttpErrorKind::Connect, said);
    }
    // The connection broke. Whether the request took effect, nobody knows.
    (HttpErrorKind::Interrupted, Said::Broken)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| next_cause(error))
}

fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // An I/O error shows what it wraps by `get_ref` alone.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// A body in which no pause is longer than `pause`.
struct Patient {
    body: Incoming,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let next = tokio::time::Instant::now() + self.pause;
                self.timer.as_mut().reset(next);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                note(Said::Broken);
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.timer.as_mut().poll(cx) {
                Poll::Ready(()) => {
                    note(Said::NoAnswer);
                    let late = io::Error::from(io::ErrorKind::TimedOut);
                    Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
