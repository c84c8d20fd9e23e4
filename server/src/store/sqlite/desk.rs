//! Attempts, tallies and console sessions.

use async_trait::async_trait;

use super::SqliteStore;
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::time::Timestamp;
use crate::store::{AccountQueue, ConsoleSession, Desk, StoreError, StoreResult, Tally};

fn later<T>() -> StoreResult<T> {
    Err(StoreError::Engine("not there yet".to_owned()))
}

#[async_trait]
impl Desk for SqliteStore {
    async fn job_attempts(&self, _keys: &[Key]) -> StoreResult<Vec<(Key, Vec<Attempt>)>> {
        later()
    }

    async fn queues(&self) -> StoreResult<Vec<AccountQueue>> {
        later()
    }

    async fn tallies(
        &self,
        _account: Option<AccountId>,
        _since: Timestamp,
    ) -> StoreResult<Vec<Tally>> {
        later()
    }

    async fn session_open(&self, _session: ConsoleSession) -> StoreResult<()> {
        later()
    }

    async fn session_find(
        &self,
        _hash: &[u8; 32],
        _now: Timestamp,
    ) -> StoreResult<Option<ConsoleSession>> {
        later()
    }

    async fn session_close(&self, _hash: &[u8; 32]) -> StoreResult<bool> {
        later()
    }
}
