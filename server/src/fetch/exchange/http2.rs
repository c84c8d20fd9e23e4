//! HTTP/2, where it was agreed on: connections that carry several requests at a time. Framing and
//! flow control are the library's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::kept::Origin;
use crate::fetch::connect::Wire;
use crate::run::tasks::Tasks;

/// Bytes under way of one body and of all bodies on a connection, and the largest head. A transfer
/// that is not read holds up no more than its window.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const HEAD_LIMIT: u32 = 32 * 1024;
/// A connection with bodies under way must answer a ping this often.
const PING: Duration = Duration::from_secs(20);
/// Origins whose connections are remembered; the transfers of others have connections of their own.
const ORIGINS: usize = 256;

/// One connection for each origin that prefers HTTP/2.
#[derive(Default)]
pub(super) struct Streams(HashMap<Arc<Origin>, (Stream, Instant)>);

/// The way to send requests on a connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Stream(SendRequest<Empty<Bytes>>);

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of(&mut self, origin: &Origin) -> Option<Stream> {
        let (stream, used) = self.0.get_mut(origin)?;
        if stream.0.is_closed() {
            self.0.remove(origin);
            return None;
        }
        *used = Instant::now();
        Some(stream.clone())
    }

    /// Remembers a connection in the place of an older one, whose requests go on.
    pub(super) fn put(&mut self, origin: Arc<Origin>, stream: Stream) {
        if self.0.len() < ORIGINS || self.0.contains_key(&origin) {
            self.0.insert(origin, (stream, Instant::now()));
        }
    }

    /// Forgets the connections that ended or that nobody asked for in this time.
    pub(super) fn tidy(&mut self, idle: Duration) {
        self.0.retain(|_, (stream, used)| !stream.0.is_closed() && used.elapsed() < idle);
    }
}

impl Stream {
    /// Begins to speak HTTP/2. The connection runs until nobody has requests for it.
    pub(super) async fn begin(wire: Wire) -> Result<Self, hyper::Error> {
        let mut builder = Builder::new(Spawner(Tasks::new()));
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_LIMIT)
            .keep_alive_interval(PING);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the door: our dialler made the wire"
        )]
        let handshake = builder.handshake(TokioIo::new(wire));
        let (sender, connection) = handshake.await?;
        let run = async move {
            // What it broke off with, its requests are told.
            drop(connection.await);
        };
        drop(Tasks::new().spawn("fetch connection", run));
        Ok(Self(sender))
    }

    pub(super) async fn ask(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }
}

/// The library's own tasks run as ours.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, connection: F) {
        drop(self.0.spawn("fetch connection", connection));
    }
}
