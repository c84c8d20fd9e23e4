//! Connections that wait for another request to their origin: so many, so long, and none that has
//! said a word since.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep};

use super::body::Conn;
use super::http2::Streams;
use crate::fetch::connect::Wire;
use crate::fetch::guard::Target;
use crate::run::tasks::Tasks;

/// How long an unused connection is kept, and how often those are looked for that go.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(1);
/// Unused connections of all origins together, and fewest that one origin may have. It may have as
/// many as it may have transfers.
const IDLE: usize = 512;
const IDLE_PER_ORIGIN: usize = 8;

/// Where a connection leads: a connection is used for nothing else (RFC 6454 §4).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::fetch) struct Origin {
    pub(in crate::fetch) https: bool,
    pub(in crate::fetch) host: String,
    pub(in crate::fetch) port: u16,
}

impl From<&Target> for Origin {
    fn from(target: &Target) -> Self {
        let (https, port) = (target.is_https(), target.port());
        Self { https, host: target.host().to_owned(), port }
    }
}

/// The kept connections of a fetcher. Clones share them.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<Shelf>>);

struct Shelf {
    idle: HashMap<Arc<Origin>, Vec<Idle>>,
    count: usize,
    per_origin: usize,
    /// Connections that carry several requests at a time.
    streams: Streams,
    /// Whether the sweeper runs. It does while something is kept.
    swept: bool,
}

struct Idle {
    conn: Conn,
    since: Instant,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.shelf().count)
    }
}

impl Kept {
    /// `per_host` transfers run from one host at once.
    pub(super) fn new(per_host: usize) -> Self {
        let per_origin = per_host.max(IDLE_PER_ORIGIN);
        let (idle, streams) = (HashMap::new(), Streams::default());
        let shelf = Shelf { idle, count: 0, per_origin, streams, swept: false };
        Self(Arc::new(Mutex::new(shelf)))
    }

    /// Keeps a connection on which nothing is under way, or closes it where there are enough.
    pub(super) fn put(&self, conn: Conn) {
        let mut shelf = self.shelf();
        let per_origin = shelf.per_origin;
        if shelf.count >= IDLE {
            return;
        }
        let of_origin = shelf.idle.entry(Arc::clone(&conn.origin)).or_default();
        if of_origin.len() >= per_origin {
            return;
        }
        of_origin.push(Idle { conn, since: Instant::now() });
        shelf.count += 1;
        self.sweep_from_now_on(&mut shelf);
    }

    /// The connection to this origin that was used last and is quiet.
    pub(super) fn take(&self, origin: &Origin) -> Option<Conn> {
        let mut shelf = self.shelf();
        loop {
            let idle = shelf.idle.get_mut(origin)?.pop()?;
            shelf.count -= 1;
            let Idle { mut conn, since } = idle;
            if since.elapsed() < IDLE_TIMEOUT && is_quiet(&mut conn.wire) {
                return Some(conn);
            }
        }
    }

    /// Looks at, or changes, the connections that are shared.
    pub(super) fn streams<T>(&self, with: impl FnOnce(&mut Streams) -> T) -> T {
        let mut shelf = self.shelf();
        let result = with(&mut shelf.streams);
        if !shelf.streams.is_empty() {
            self.sweep_from_now_on(&mut shelf);
        }
        result
    }

    fn sweep_from_now_on(&self, shelf: &mut Shelf) {
        if !std::mem::replace(&mut shelf.swept, true) {
            drop(Tasks::new().spawn("kept connections", sweep(Arc::downgrade(&self.0))));
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Closes what was kept for too long, what the other side has closed, and what has spoken
    /// unasked.
    fn tidy(&mut self, timeout: Duration) {
        self.idle.retain(|_, of_origin| {
            of_origin
                .retain_mut(|idle| idle.since.elapsed() < timeout && is_quiet(&mut idle.conn.wire));
            !of_origin.is_empty()
        });
        self.count = self.idle.values().map(Vec::len).sum();
        self.streams.tidy(timeout);
    }
}

async fn sweep(shelf: Weak<Mutex<Shelf>>) {
    loop {
        sleep(SWEEP).await;
        let Some(shelf) = shelf.upgrade() else { return };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.tidy(IDLE_TIMEOUT);
        if shelf.count == 0 && shelf.streams.is_empty() {
            shelf.swept = false;
            return;
        }
    }
}

#[cfg(test)]
impl Kept {
    /// What the sweeper does, as if this were how long a connection may wait.
    pub(super) fn tidy(&self, timeout: Duration) {
        self.shelf().tidy(timeout);
    }
}

/// Whether a connection waits, as one must between two requests. Bytes that nobody asked for would
/// be taken for the next answer (RFC 9112 §9.2).
fn is_quiet(wire: &mut Wire) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    let mut nobody = Context::from_waker(Waker::noop());
    matches!(Pin::new(wire).poll_read(&mut nobody, &mut buffer), Poll::Pending)
}
