//! A large body over several connections (ADR 0014): while the first answer comes, the next pieces of
//! the file are asked for by Range; bytes are handed on in order all the same, so that checkpoints and
//! digests know nothing of it.
//!
//! It begins with one piece on the side. Only when that has come, whole and of the same version,
//! before the first answer got there is the first answer let go; then one more connection with each
//! piece that came well, up to the limit. A refusal halves them. Whatever is odd before the first
//! answer was let go costs nothing: it goes on alone.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::FetchError;
use super::client::Fetcher;
use super::exchange::Piece;
use super::host_slots::Place;
use super::manners::Offence;
use super::pieces::{Segment, Way};
use super::source::Source;
use super::verdict::error;
use crate::domain::fault::{FaultClass, Retry};
use crate::run::tasks::Tasks;

/// Bytes of one piece. With the number of connections it bounds what a transfer holds in memory, and
/// what a fault can cost.
pub(super) const SEGMENT: u64 = 4 << 20;
/// The first piece on the side begins this many pieces ahead: it has come before the first answer is
/// there, unless the connections take from each other.
const HEAD_START: u64 = 2;
/// Times that the rest of pieces is asked for again in one transfer.
const AGAIN: u32 = 3;

/// The body of a source, by one connection or by several.
pub struct Spread {
    source: Source,
    /// Position in the file of the next byte to hand on.
    position: u64,
    /// Position before which the first answer is let go; behind its end while it is alone.
    until: u64,
    /// What the first answer sent beyond that position, in case it goes on alone.
    beyond: Vec<u8>,
    plan: Option<Box<Plan>>,
}

/// What is asked for besides the first answer.
struct Plan {
    fetcher: Fetcher,
    way: Way,
    /// Connections at most, the first answer's included.
    most: usize,
    /// Pieces that may be under way now.
    width: usize,
    /// Where the next piece begins.
    next: u64,
    ahead: VecDeque<Ahead>,
    /// The place at the host that the first answer gave back: the transfer never loses its last one.
    own: Option<Place>,
    again: u32,
    /// A place among the transfers of the node that may hold pieces in memory.
    _budget: OwnedSemaphorePermit,
}

/// A piece that was asked for. Dropped, it is given up.
struct Ahead {
    end: u64,
    state: State,
}

/// What came, and the transfer's own place at the host if it was asked with that.
type Come = Option<(Segment, Option<Place>)>;

enum State {
    UnderWay(Task),
    /// `None`: its task broke.
    Here(Come),
}

/// What the first piece on the side tells of its origin.
enum Proof {
    Missing,
    Sound,
    Failed,
}

struct Task(JoinHandle<Come>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ahead {
    fn is_here(&self) -> bool {
        match &self.state {
            State::UnderWay(task) => task.0.is_finished(),
            State::Here(_) => true,
        }
    }

    /// Waits until it is here.
    async fn come(&mut self) {
        if let State::UnderWay(task) = &mut self.state {
            let come = (&mut task.0).await.ok().flatten();
            self.state = State::Here(come);
        }
    }

    /// The transfer's own place, once it is here, if it was asked with that.
    fn give_back(&mut self) -> Option<Place> {
        match &mut self.state {
            State::UnderWay(_) | State::Here(None) => None,
            State::Here(Some((_, own))) => own.take(),
        }
    }

    /// Once it is here.
    fn into_come(self) -> Come {
        match self.state {
            State::UnderWay(_) => None,
            State::Here(come) => come,
        }
    }
}

/// Some bytes of the body. Drop it before you wait for anything, as [`Piece`].
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    len: usize,
}

#[derive(Debug)]
enum Bytes {
    First(Piece),
    Segment(Vec<u8>),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::First(piece) => &piece[..self.len],
            Bytes::Segment(bytes) => &bytes[..self.len],
        }
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes: Bytes::Segment(bytes) }
    }
}

impl From<Piece> for Chunk {
    fn from(piece: Piece) -> Self {
        Self { len: piece.len(), bytes: Bytes::First(piece) }
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spread")
            .field("source", &self.source)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Spread {
    /// The body by one connection alone.
    pub(super) fn alone(source: Source) -> Self {
        let position = source.offset();
        Self { source, position, until: u64::MAX, beyond: Vec::new(), plan: None }
    }

    /// The body by up to `most` connections.
    pub(super) fn over(
        source: Source,
        fetcher: Fetcher,
        way: Way,
        most: usize,
        budget: OwnedSemaphorePermit,
    ) -> Self {
        let position = source.offset();
        let until = position + HEAD_START * SEGMENT;
        let plan = Plan {
            fetcher,
            way,
            most,
            width: 1,
            next: until,
            ahead: VecDeque::new(),
            own: None,
            again: 0,
            _budget: budget,
        };
        Self { source, position, until, beyond: Vec::new(), plan: Some(Box::new(plan)) }
    }

    /// What the head of the first answer said.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The next bytes of the body, as [`Source::chunk`].
    ///
    /// # Errors
    /// The fault that ended the body before its end.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, FetchError> {
        if !self.source.is_closed() {
            self.look_aside().await;
        }
        let room = self.until.saturating_sub(self.position);
        let beyond = std::mem::take(&mut self.beyond);
        let chunk = match &mut self.plan {
            None if !beyond.is_empty() => Some(Chunk::from(beyond)),
            None => self.source.chunk().await?.map(Chunk::from),
            Some(plan) if self.source.is_closed() => plan.next_piece(self.position).await?,
            Some(plan) => {
                plan.widen();
                let chunk = self.source.chunk().await?;
                chunk.map(|piece| before(piece, room, &mut self.beyond))
            }
        };
        self.position += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    /// Connections that it may have from here on.
    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        self.plan.as_ref().map_or(1, |plan| plan.most)
    }

    /// Waits until all pieces that were asked for have come, or failed.
    #[cfg(test)]
    pub(super) async fn settle(&mut self) {
        if let Some(plan) = &mut self.plan {
            for ahead in &mut plan.ahead {
                ahead.come().await;
            }
        }
    }

    /// While the first answer comes: what of the piece on the side? If that is sound, more are asked
    /// for, and the first answer is let go where the piece begins. If it is not there by then, the
    /// connections take from each other; if it failed, the origin does not like several. Then the
    /// first answer goes on alone.
    async fn look_aside(&mut self) {
        let Some(plan) = &mut self.plan else { return };
        let is_due = self.position >= self.until;
        match plan.proof().await {
            Proof::Sound if is_due => plan.own = self.source.close(),
            Proof::Sound => plan.grow(),
            Proof::Missing if is_due => self.plan = None,
            Proof::Missing => {}
            Proof::Failed => self.plan = None,
        }
    }
}

/// The first `room` bytes of a piece; those beyond are set aside.
fn before(piece: Piece, room: u64, beyond: &mut Vec<u8>) -> Chunk {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let len = piece.len().min(room);
    beyond.extend_from_slice(&piece[len..]);
    Chunk { len, bytes: Bytes::First(piece) }
}

impl Plan {
    /// Asks for more pieces, as far as width, the host's places and the end of the file allow.
    fn widen(&mut self) {
        while self.ahead.len() < self.width && self.next < self.way.total {
            let own = self.own.take();
            let further = match &own {
                Some(_) => None,
                None => match self.fetcher.place_now(&self.way) {
                    Some(further) => Some(further),
                    // What is left is for others: no more connections, and no fault.
                    None => return,
                },
            };
            let (from, end) = (self.next, (self.next + SEGMENT).min(self.way.total));
            let ahead = self.ask(from, end, own, further);
            self.ahead.push_back(ahead);
            self.next = end;
        }
    }

    /// Asks for a piece. The transfer keeps its own place; a further one is given back as soon as the
    /// piece has come, so that whoever waits for one gets it.
    fn ask(&self, from: u64, end: u64, own: Option<Place>, further: Option<Place>) -> Ahead {
        let (fetcher, way) = (self.fetcher.clone(), self.way.clone());
        let task = Tasks::new().spawn("fetch a piece", async move {
            let segment = fetcher.segment(&way, from, end).await;
            drop(further);
            (segment, own)
        });
        Ahead { end, state: State::UnderWay(Task(task)) }
    }

    /// What became of the first piece on the side.
    async fn proof(&mut self) -> Proof {
        let Some(ahead) = self.ahead.front_mut().filter(|ahead| ahead.is_here()) else {
            return Proof::Missing;
        };
        ahead.come().await;
        let State::Here(Some((segment, _))) = &ahead.state else { return Proof::Failed };
        match &segment.end {
            Ok(()) => Proof::Sound,
            Err((offence, _)) => {
                let offence = *offence;
                self.note(offence);
                Proof::Failed
            }
        }
    }

    /// One connection more beside the first answer, when those that there are have nothing to do.
    fn grow(&mut self) {
        if self.width + 1 < self.most && self.ahead.iter().all(Ahead::is_here) {
            self.width += 1;
        }
    }

    /// The bytes at `position`, which the next piece begins with.
    async fn next_piece(&mut self, position: u64) -> Result<Option<Chunk>, FetchError> {
        while position < self.way.total {
            self.widen();
            let Some(mut ahead) = self.ahead.pop_front() else { return Err(lost()) };
            ahead.come().await;
            let end = ahead.end;
            let Some((segment, own)) = ahead.into_come() else { return Err(lost()) };
            self.own = self.own.take().or(own);
            let came = position + segment.bytes.len() as u64;
            match segment.end {
                Ok(()) => {
                    self.width = (self.width + 1).min(self.most);
                    self.widen();
                }
                Err((offence, fault)) => {
                    self.note(offence);
                    self.ask_again(came, end, offence, fault).await?;
                }
            }
            if came > position {
                return Ok(Some(Chunk::from(segment.bytes)));
            }
        }
        Ok(None)
    }

    /// Asks for the rest of a piece once more, when all others under way have ended: an origin that
    /// takes one connection then has it free.
    async fn ask_again(
        &mut self,
        from: u64,
        end: u64,
        offence: Offence,
        fault: FetchError,
    ) -> Result<(), FetchError> {
        self.width = (self.width / 2).max(1);
        self.most = self.width;
        match offence {
            Offence::Refused | Offence::Broken if self.again < AGAIN => self.again += 1,
            Offence::Refused | Offence::Broken | Offence::Mishandled | Offence::Changed => {
                return Err(fault);
            }
        }
        for ahead in &mut self.ahead {
            ahead.come().await;
            self.own = self.own.take().or_else(|| ahead.give_back());
        }
        let own = self.own.take();
        let ahead = self.ask(from, end, own, None);
        self.ahead.push_front(ahead);
        Ok(())
    }

    fn note(&self, offence: Offence) {
        self.fetcher.note(&self.way, offence, self.width);
    }
}

fn lost() -> FetchError {
    let message = "Haulage lost track of a piece of the source.";
    error(FaultClass::Internal, Retry::Backoff, message)
}
