//! Requests out and answers in, over connections that the dialler made (ADR 0015).
//!
//! HTTP/1.1 is spoken here: [`head`] reads heads, [`framing`] knows where bodies end, [`body`] is
//! the connection under way, [`buffers`] lends what a read needs, [`kept`] has the connections
//! between two requests. Where HTTP/2 was agreed on, [`http2`] hands the connection to the library.

mod body;
mod buffers;
mod framing;
mod head;
mod http2;
mod kept;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::connect::{Connector, DialError, Greeting, Wire};
use super::guard::Target;
use body::Conn;
pub use body::Piece;
use buffers::Buffers;
pub(super) use framing::BodyFault;
pub(super) use head::HeadFault;
use http2::Stream;
use kept::Kept;
pub(super) use kept::Origin;

/// What has no body.
pub(super) type Get = Request<Empty<Bytes>>;

/// Why no answer came.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Dial(DialError),
    /// The time for the head was over.
    Late,
    /// What came is no head; and what came first.
    Head(HeadFault, Greeting),
    /// The connection ended before the head did, in order where there is no error.
    Broken(Option<io::Error>),
    Http2(hyper::Error),
}

/// No answer came; `stale` when the connection had been kept, so that a fresh one may do better.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) why: NoAnswer,
    pub(super) stale: bool,
}

impl From<DialError> for Unanswered {
    fn from(error: DialError) -> Self {
        Self { why: NoAnswer::Dial(error), stale: false }
    }
}

/// Which connection a request may go over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// One that was kept, where there is one.
    Any,
    Fresh,
}

/// The client of a fetcher.
pub(super) struct Exchange {
    connector: Connector,
    /// From the connection's readiness to the complete head.
    patience: Duration,
    kept: Kept,
    buffers: Buffers,
}

impl Exchange {
    /// `per_host` transfers run from one host at once.
    pub(super) fn new(connector: Connector, patience: Duration, per_host: usize) -> Self {
        let (kept, buffers) = (Kept::new(per_host), Buffers::default());
        Self { connector, patience, kept, buffers }
    }

    /// Sends the request, whose URL is that of `target`, and waits for the head of the answer.
    pub(super) async fn ask(
        &self,
        target: &Target,
        request: Get,
        over: Over,
    ) -> Result<Response<Body>, Unanswered> {
        let origin = Arc::new(Origin::from(target));
        if over == Over::Any {
            if let Some(stream) = self.kept.streams(|streams| streams.of(&origin)) {
                return self.within(true, over_stream(stream, request)).await;
            }
            if let Some(conn) = self.kept.take(&origin) {
                return self.within(true, self.over_conn(conn, request)).await;
            }
        }
        // On the heap, because a transfer outlives its dialling and would be as large for ever.
        let wire = Box::pin(self.connector.dial(&origin)).await?;
        if wire.speaks_h2() {
            return self.within(false, self.over_new_stream(wire, origin, request)).await;
        }
        self.within(false, self.over_conn(Conn { wire, origin }, request)).await
    }

    async fn within(
        &self,
        stale: bool,
        asking: impl Future<Output = Result<Response<Body>, NoAnswer>>,
    ) -> Result<Response<Body>, Unanswered> {
        match timeout(self.patience, Box::pin(asking)).await {
            Ok(answer) => answer.map_err(|why| Unanswered { why, stale }),
            Err(_) => Err(Unanswered { why: NoAnswer::Late, stale: false }),
        }
    }

    async fn over_conn(&self, mut conn: Conn, request: Get) -> Result<Response<Body>, NoAnswer> {
        let (head, first) = conn.ask(&head::encode(&request), &self.buffers).await?;
        let shared = (self.kept.clone(), self.buffers.clone());
        let body = body::Body::new(conn, head.framing, head.reusable, first, shared);
        let mut answer = Response::new(Body::Http1(body));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }

    async fn over_new_stream(
        &self,
        wire: Wire,
        origin: Arc<Origin>,
        request: Get,
    ) -> Result<Response<Body>, NoAnswer> {
        let stream = Stream::begin(wire).await.map_err(NoAnswer::Http2)?;
        self.kept.streams(|streams| streams.put(origin, stream.clone()));
        over_stream(stream, request).await
    }
}

async fn over_stream(mut stream: Stream, request: Get) -> Result<Response<Body>, NoAnswer> {
    let answer = stream.ask(request).await.map_err(NoAnswer::Http2)?;
    Ok(answer.map(Body::Http2))
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    Http1(body::Body),
    Http2(Incoming),
}

impl Body {
    /// Bytes of the body where the head announced them and the framing keeps to them.
    pub(super) fn exact_length(&self) -> Option<u64> {
        match self {
            Self::Http1(body) => body.exact_length(),
            Self::Http2(body) => body.size_hint().exact(),
        }
    }

    /// The next bytes; `None` at the end that the framing gives.
    pub(super) async fn piece(&mut self) -> Result<Option<Piece>, BodyFault> {
        match self {
            Self::Http1(body) => body.piece().await,
            Self::Http2(body) => loop {
                let Some(frame) = body.frame().await else { return Ok(None) };
                // Trailers say nothing that is believed (http_faults.md row 17).
                let frame = frame.map_err(|error| {
                    tracing::debug!(%error, "a body broke off");
                    BodyFault::Cut
                })?;
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes.into()));
                }
            },
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}
