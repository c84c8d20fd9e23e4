//! The demo's origin: a small HTTP server on loopback with one real media file behind several
//! URLs. It holds every answer back until its gate opens, so that the demo knows for certain
//! which job is still pending.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, Uri, header};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::run::tasks::Tasks;

/// The media file that the good URLs lead to: about six seconds of MP4.
pub(super) static SAMPLE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/sample.mp4"));

/// A page as expired links show it, with a good status: what careless pullers store as a video.
const LOGIN_PAGE: &str =
    "<!doctype html><title>Sign in</title><p>Your link has expired. Please sign in.</p>";

/// The slow link drips the file in this many pieces, with a pause before each.
const DRIPS: usize = 30;
const DRIP_PAUSE: Duration = Duration::from_millis(90);

/// Paths of the origin.
pub(super) const GOOD: [&str; 3] = ["/harbour.mp4", "/market.mp4", "/lighthouse.mp4"];
pub(super) const SLOW: &str = "/night-train.mp4";
pub(super) const BROKEN: &str = "/expired-link.mp4";

/// A running origin; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    gate: watch::Sender<bool>,
    asked: watch::Receiver<Vec<String>>,
    _stop: tokio_util::sync::DropGuard,
}

#[derive(Clone)]
struct Shared {
    gate: watch::Receiver<bool>,
    /// Paths of the requests so far.
    asked: Arc<watch::Sender<Vec<String>>>,
}

impl Origin {
    /// Starts on a free port of loopback.
    pub(super) async fn start(tasks: &Tasks) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (gate, opened) = watch::channel(false);
        let (asking, asked) = watch::channel(Vec::new());
        let shared = Shared { gate: opened, asked: Arc::new(asking) };
        let app = Router::new().fallback(answer).with_state(shared);
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tasks.spawn("demo origin", async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(stopped);
            let _ = serving.await;
        });
        Ok(Self { address, gate, asked, _stop: stop.drop_guard() })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ready when `count` requests have arrived.
    pub(super) async fn has_seen(&self, count: usize) {
        let mut asked = self.asked.clone();
        // The sender lives as long as the server does.
        let _ = asked.wait_for(|asked| asked.len() >= count).await;
    }

    /// Whether anybody ever asked for this path.
    pub(super) fn was_asked_for(&self, path: &str) -> bool {
        self.asked.borrow().iter().any(|asked| asked == path)
    }

    /// Lets the answers go.
    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }
}

async fn answer(State(shared): State<Shared>, uri: Uri) -> Response {
    shared.asked.send_modify(|asked| asked.push(uri.path().to_owned()));
    let mut gate = shared.gate;
    let _ = gate.wait_for(|open| *open).await;
    let path = uri.path();
    let (status, kind, body) = match path {
        SLOW => (StatusCode::OK, "video/mp4", dripped()),
        BROKEN => (StatusCode::OK, "text/html", Body::from(LOGIN_PAGE)),
        _ if GOOD.contains(&path) => (StatusCode::OK, "video/mp4", Body::from(SAMPLE)),
        _ => (StatusCode::NOT_FOUND, "text/plain", Body::from("not here")),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    if path == SLOW {
        headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from(SAMPLE.len()));
    }
    response
}

/// The sample, piece by piece.
fn dripped() -> Body {
    let pieces = SAMPLE.chunks(SAMPLE.len().div_ceil(DRIPS));
    Body::from_stream(stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(DRIP_PAUSE).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(piece)), pieces))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, ClientError, Credentials};
    use crate::door::Clock;

    #[tokio::test]
    async fn the_origin_holds_its_answers_until_the_gate_opens() {
        let tasks = Tasks::new();
        let origin = Origin::start(&tasks).await.unwrap();
        let key = Credentials { access_key_id: String::new(), access_key_secret: String::new() };
        let server = origin.url("").parse().unwrap();
        let client = Client::new(server, key, Clock::System);
        let url = origin.url(GOOD[0]);
        let fetching = client.fetch(&url, None, SAMPLE.len());
        tokio::pin!(fetching);
        tokio::select! {
            _ = &mut fetching => panic!("answered although the gate is shut"),
            () = origin.has_seen(1) => {}
        }
        origin.open();
        assert_eq!(fetching.await.unwrap().body, SAMPLE);
        let slow = client.fetch(&origin.url(SLOW), None, SAMPLE.len()).await.unwrap();
        assert_eq!(slow.body, SAMPLE);
        let missing = client.fetch(&origin.url("/nothing.mp4"), None, 1_000).await.unwrap_err();
        assert!(matches!(missing, ClientError::Status(404)));
        assert!(origin.was_asked_for(SLOW) && !origin.was_asked_for(BROKEN));
    }
}
