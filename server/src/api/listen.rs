//! Accepts connections: bounded in number, bounded in what a slow or hostile client may hold, and
//! told to finish when the node drains.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::run::stop::Stop;
use crate::run::tasks::Tasks;

/// A client has this long to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Most header fields of a request.
const HEADERS: usize = 100;
/// Largest request head, in bytes: room for 20 URLs of 8 KiB in a query.
const HEAD_BYTES: usize = 256 * 1024;
/// Pause after the operating system refused to accept, when it is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The other end of a request's connection, in the request's extensions. Behind a proxy that is the
/// proxy: what it says of others is not believed.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Of this request; `None` only where no connection carried it.
    pub fn of<B>(request: &http::Request<B>) -> Option<IpAddr> {
        request.extensions().get::<Self>().map(|peer| peer.0)
    }
}

/// Serves `router` until the node drains; open connections are finished as their own tasks.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    connections: usize,
    tasks: Tasks,
    stop: Stop,
) {
    let slots = Arc::new(Semaphore::new(connections));
    loop {
        let accepted = async {
            // A slot first: what is not accepted waits in the kernel's queue.
            let slot = slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.draining() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            router.call(request)
        });
        let stop = stop.clone();
        tasks.spawn("connection", async move {
            // HTTP/2 is compiled in for origins; the limits below are those of HTTP/1.
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_headers(HEADERS)
                .max_buf_size(HEAD_BYTES);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = stop.draining() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        result = connection => result,
                        () = stop.aborting() => Ok(()),
                    }
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(slot);
        });
    }
}
