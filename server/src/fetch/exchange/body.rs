//! One connection: a request out, the head of the answer in, and then its body, piece by piece.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::NoAnswer;
use super::buffers::{BUFFER, Buffers, Lent};
use super::framing::{BodyFault, Framing};
use super::head::{self, HEAD_LIMIT, Head, HeadFault};
use super::kept::{Kept, Origin};
use crate::fetch::connect::{Greeting, Wire};

/// Read at once while a head is waited for: it comes with all of a small body.
const FIRST_READ: usize = 64 * 1024;
/// Bytes of all interim answers (1xx) before an answer.
const INTERIM_LIMIT: usize = 256 * 1024;
/// Fewest bytes that tell what the other side speaks, and so many that are looked at whether or
/// not a line has ended: what is no answer is known for one soon.
const FEWEST_BYTES: usize = 4;
const FIRST_BYTES: usize = 64;

/// An open connection to an origin.
pub(super) struct Conn {
    pub(super) wire: Wire,
    pub(super) origin: Arc<Origin>,
}

/// What came behind a head.
pub(super) struct Behind {
    bytes: Vec<u8>,
    /// The error behind those bytes: a socket tells of it once, and then of an end.
    error: Option<io::Error>,
    /// Not all of the request could be sent, so the connection was broken before the answer was whole:
    /// its end is none of a body's.
    unsent: bool,
}

impl Conn {
    /// Sends a request and reads the head of the answer; and what came behind it.
    pub(super) async fn ask(
        &mut self,
        request: &Bytes,
        buffers: &Buffers,
    ) -> Result<(Head, Behind), NoAnswer> {
        // Who answers before all of the request was read may close as well: the answer is heard.
        let sent = send(&mut self.wire, request).await;
        let (mut bytes, mut interim, mut later) = (Vec::new(), 0, None);
        let mut greeting = None;
        loop {
            let (wire, most) = (&mut self.wire, FIRST_READ);
            let read = poll_fn(|cx| buffers.poll_read(cx, wire, most, &mut later)).await;
            let read = read.map_err(|error| NoAnswer::Broken(Some(error)))?;
            let ended = read.is_empty();
            let telling = ended
                || bytes.len() < FIRST_BYTES
                || bytes.len() + read.len() >= HEAD_LIMIT
                || read.contains(&b'\n');
            bytes.extend_from_slice(&read);
            drop(read);
            while telling && (bytes.len() >= FEWEST_BYTES || ended && !bytes.is_empty()) {
                let greeting = *greeting.get_or_insert_with(|| Greeting::of(&bytes));
                let head = head::parse(&bytes).map_err(|fault| NoAnswer::Head(fault, greeting))?;
                let Some((head, length)) = head else { break };
                let rest = bytes.split_off(length);
                if !head.is_interim() {
                    let unsent = sent.is_err();
                    return Ok((head, Behind { bytes: rest, error: later, unsent }));
                }
                interim += length;
                if interim > INTERIM_LIMIT {
                    return Err(NoAnswer::Head(HeadFault::TooLarge, greeting));
                }
                bytes = rest;
            }
            if ended {
                return Err(NoAnswer::Broken(sent.err()));
            }
        }
    }
}

async fn send<W: AsyncWrite + Unpin>(wire: &mut W, request: &[u8]) -> io::Result<()> {
    wire.write_all(request).await?;
    wire.flush().await
}

/// The body of an answer in HTTP/1.
pub(in crate::fetch) struct Body {
    /// `None` once nothing more is to be read from it.
    conn: Option<Conn>,
    framing: Framing,
    /// Whether the connection may be used again after the body.
    reusable: bool,
    /// What came with the head.
    first: Vec<u8>,
    /// A fault that is told after the bytes before it.
    fault: Option<BodyFault>,
    later: Option<io::Error>,
    /// See [`Behind`].
    unsent: bool,
    kept: Kept,
    buffers: Buffers,
}

impl Body {
    /// The body behind a head that `conn` brought, with the bytes that came behind the head.
    pub(super) fn new(
        conn: Conn,
        framing: Framing,
        reusable: bool,
        behind: Behind,
        (kept, buffers): (Kept, Buffers),
    ) -> Self {
        let Behind { bytes: first, error: later, unsent } = behind;
        let (conn, fault) = (Some(conn), None);
        let mut body = Self { conn, framing, reusable, first, fault, later, unsent, kept, buffers };
        let came = body.first.len();
        match body.framing.decode(&mut body.first) {
            Ok(decoded) => {
                body.first.truncate(decoded.body);
                body.settle(decoded.used == came);
            }
            Err(fault) => {
                body.first.clear();
                body.break_off(fault);
            }
        }
        body
    }

    /// Bytes still to come where the head announced them.
    pub(in crate::fetch) fn exact_length(&self) -> Option<u64> {
        match &self.framing {
            Framing::Length(left) => Some(*left + self.first.len() as u64),
            Framing::Chunked(_) | Framing::Close => None,
        }
    }

    /// The next bytes; `None` at the end. While it waits it holds no buffer. Its result is the
    /// same however the bytes were split on their way, but for the sizes of the pieces.
    ///
    /// # Errors
    /// When the body breaks off before its end. Bytes before a fault of the framing that came
    /// with it are not handed on.
    pub(in crate::fetch) async fn piece(&mut self) -> Result<Option<Piece>, BodyFault> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Ok(Some(Piece(Held::Owned(first.into()))));
        }
        loop {
            if let Some(fault) = self.fault {
                return Err(fault);
            }
            let Some(conn) = &mut self.conn else { return Ok(None) };
            let enough = usize::try_from(self.framing.wanted()).unwrap_or(BUFFER);
            let (buffers, later) = (&self.buffers, &mut self.later);
            let read = poll_fn(|cx| buffers.poll_read(cx, &mut conn.wire, enough, later)).await;
            let mut lent = match read {
                Ok(lent) => lent,
                Err(error) => {
                    tracing::debug!(%error, "a body broke off");
                    self.break_off(BodyFault::Cut);
                    continue;
                }
            };
            if lent.is_empty() {
                self.conn = None;
                let broken = self.unsent.then_some(BodyFault::Cut);
                self.fault = self.framing.close().err().or(broken);
                continue;
            }
            let came = lent.len();
            match self.framing.decode(lent.filled_mut()) {
                Ok(decoded) => {
                    self.settle(decoded.used == came);
                    if decoded.body > 0 {
                        lent.truncate(decoded.body);
                        return Ok(Some(Piece(Held::Lent(lent))));
                    }
                }
                Err(fault) => self.break_off(fault),
            }
        }
    }

    /// Gives the connection back at the end of the body. `clean`: nothing came behind it, so that
    /// nothing can be taken for the answer to somebody else's request.
    fn settle(&mut self, clean: bool) {
        if self.framing.has_ended()
            && let Some(conn) = self.conn.take()
            && clean
            && self.reusable
        {
            self.kept.put(conn);
        }
    }

    fn break_off(&mut self, fault: BodyFault) {
        self.conn = None;
        self.fault = Some(fault);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("framing", &self.framing).finish_non_exhaustive()
    }
}

/// A piece of a body. It holds a buffer that others wait for: to be dropped before the next wait.
pub struct Piece(Held);

enum Held {
    Lent(Lent),
    Owned(Bytes),
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Owned(bytes))
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Lent(lent) => lent,
            Held::Owned(bytes) => bytes,
        }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}
