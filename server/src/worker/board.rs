//! The transfers under way on this node: how far each has come, and the way to stop it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::id::Key;
use crate::domain::job::{Phase, Token};
use crate::store::{Beat, Claim};

/// One transfer. Its job's story writes, the beat and the operations read.
#[derive(Debug)]
pub struct Active {
    key: Key,
    token: Token,
    /// How many were put on the board before it.
    place: u64,
    posted: Instant,
    phase: AtomicU8,
    bytes: AtomicU64,
    /// Announced bytes; [`UNKNOWN`] until known.
    total: AtomicU64,
    /// Whether the phase changed since the last beat.
    stale: AtomicBool,
    /// Whether its end is being written down: a beat that crosses it is refused, and that is right.
    ending: AtomicBool,
    lost: CancellationToken,
}

const UNKNOWN: u64 = u64::MAX;

/// How far a transfer has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    pub bytes: u64,
    pub total: Option<u64>,
}

impl Active {
    fn new(key: Key, token: Token, place: u64) -> Self {
        Self {
            key,
            token,
            place,
            posted: Instant::now(),
            phase: AtomicU8::new(Phase::Processing as u8),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            stale: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            lost: CancellationToken::new(),
        }
    }

    /// How long ago its job was claimed, by a clock that nobody sets.
    pub fn age(&self) -> Duration {
        self.posted.elapsed()
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
        self.stale.store(true, Ordering::SeqCst);
    }

    pub fn received(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn announced(&self, total: Option<u64>) {
        self.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Nothing of the transfer is left but to write down how it ended.
    pub fn ends(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Ready once the lease is gone: whatever is under way must stop.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn beat(&self) -> Beat {
        let phase = usize::from(self.phase.load(Ordering::SeqCst));
        Beat {
            key: self.key,
            token: self.token,
            phase: Phase::ALL.get(phase).copied().unwrap_or(Phase::Processing),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// All transfers of this node, by job. In the order of keys, so that beats come in one order.
#[derive(Debug, Default)]
pub struct Board {
    transfers: Mutex<BTreeMap<Key, Arc<Active>>>,
    /// Transfers that were ever put on it.
    posted: AtomicU64,
}

/// Takes a transfer off the board when dropped.
#[derive(Debug)]
pub struct OnBoard {
    board: Arc<Board>,
    active: Arc<Active>,
}

impl OnBoard {
    pub fn active(&self) -> &Arc<Active> {
        &self.active
    }
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        let mut transfers = self.board.lock();
        // The same job may be back on the board under a newer token.
        if transfers.get(&self.active.key).is_some_and(|a| a.token == self.active.token) {
            transfers.remove(&self.active.key);
        }
    }
}

impl Board {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a claimed job on the board.
    pub fn post(self: &Arc<Self>, claim: &Claim) -> OnBoard {
        let place = self.posted.fetch_add(1, Ordering::Relaxed);
        let active = Arc::new(Active::new(claim.job().key, claim.token(), place));
        self.lock().insert(active.key, active.clone());
        OnBoard { board: self.clone(), active }
    }

    /// How far a job has come, if this node runs it.
    pub fn progress(&self, key: Key) -> Option<Progress> {
        self.lock().get(&key).map(|active| Progress {
            bytes: active.bytes.load(Ordering::Relaxed),
            total: Some(active.total.load(Ordering::Relaxed)).filter(|total| *total != UNKNOWN),
        })
    }

    /// Signs of life, in the order of keys: of the transfers that are `due` by their place, which counts
    /// those that were put on the board before, and of those whose phase changed since the last.
    pub fn beats(&self, due: impl Fn(u64) -> bool) -> Vec<Beat> {
        let transfers = self.lock();
        transfers
            .values()
            .filter(|active| active.stale.swap(false, Ordering::SeqCst) || due(active.place))
            .map(|active| active.beat())
            .collect()
    }

    /// Transfers under way.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Stops the transfer of a lease that is gone; `false` if it ends or had ended by itself.
    pub fn lose(&self, beat: &Beat) -> bool {
        let transfers = self.lock();
        match transfers.get(&beat.key) {
            Some(active) if active.token == beat.token => {
                active.lost.cancel();
                !active.ending.load(Ordering::SeqCst)
            }
            Some(_) | None => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Active>>> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_beat_is_a_lost_lease_unless_the_transfer_is_at_its_end() {
        let board = Board::new();
        let active = Arc::new(Active::new(Key(1), Token(2), 0));
        board.lock().insert(Key(1), Arc::clone(&active));
        let beat = active.beat();
        assert!(!board.lose(&Beat { token: Token(1), ..beat }), "of an earlier lease");
        assert!(!active.lost.is_cancelled());
        assert!(board.lose(&beat));
        assert!(active.lost.is_cancelled());
        active.ends();
        assert!(!board.lose(&beat), "the finish and the beat crossed");
    }
}
