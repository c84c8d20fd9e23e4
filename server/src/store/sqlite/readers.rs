//! A few read-only connections. A read is one transaction, so its statements see one state of the
//! database, which includes every change acknowledged before it began.

use std::fmt;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use super::connect::Place;
use super::failure::Failure;
use crate::store::{StoreError, StoreResult};

/// Reads that run at once; more wait their turn.
const READERS: u32 = 4;

#[derive(Clone)]
pub(super) struct Readers(Arc<Pool>);

struct Pool {
    place: Place,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers(..)")
    }
}

impl Readers {
    pub(super) fn new(place: Place) -> Self {
        let turns = Arc::new(Semaphore::new(READERS as usize));
        Self(Arc::new(Pool { place, turns, idle: Mutex::default() }))
    }

    pub(super) async fn read<T, F>(&self, query: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = pool.read(query);
            drop(turn);
            answer
        });
        match answer.await {
            Ok(answer) => answer.map_err(|failure| failure.to_store_error()),
            Err(_) => Err(Failure::Panicked.to_store_error()),
        }
    }

    /// Waits for reads under way and closes the connections; later reads answer
    /// [`StoreError::Closed`].
    pub(super) async fn close(&self) {
        if let Ok(turns) = self.0.turns.acquire_many(READERS).await {
            turns.forget();
            self.0.turns.close();
        }
        self.0.idle().clear();
    }

    /// Closes idle connections, so that the next reads open new ones.
    pub(super) fn renew(&self) {
        self.0.idle().clear();
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().expect("nobody panics while holding the list of idle connections")
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.place.reader()?,
        };
        let transaction = connection.transaction()?;
        let answer = query(&transaction);
        let ended = transaction.commit();
        let sound = ended.is_ok() && !matches!(&answer, Err(e) if e.spoils_the_connection());
        if sound {
            self.idle().push(connection);
        }
        answer
    }
}
