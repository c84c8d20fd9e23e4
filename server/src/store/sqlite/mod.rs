//! The store in one SQLite file: what a single node runs on.
//!
//! Writes go through one thread that commits everything queued at once (`writer`); reads through
//! a few read-only connections (`readers`). Another process may write the same file (`haulage key
//! create`): every write transaction takes the write lock at its start, so each waits for the other
//! and none fails.
//!
//! Fencing tokens are counted for each job: a claim takes the job's last token plus one, in the
//! statement that claims.

mod accounts;
mod backup;
mod claims;
mod connect;
mod counts;
mod desk;
mod failure;
mod jobs;
mod pages;
mod queries;
mod readers;
mod row;
mod sql;
mod submit;
mod verbs;
mod writer;

#[cfg(test)]
pub(super) mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

pub use self::backup::KnownObject;
pub use self::connect::Inspection;
use self::connect::Place;
use self::failure::Failure;
use self::readers::Readers;
use self::writer::Writer;
use super::StoreResult;
use super::nonces::Nonces;
use crate::domain::time::Timestamp;

/// See the module.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    nonces: Mutex<Nonces>,
}

impl SqliteStore {
    /// Opens the database file, making it and its directory when they are missing, and brings its
    /// schema up to date. Any number of processes may open one file, at the same time too.
    ///
    /// # Errors
    /// [`StoreError::Newer`](super::StoreError::Newer) for a file of a newer Haulage, which stays as
    /// it is; [`StoreError::Engine`](super::StoreError::Engine) when the file or its directory
    /// cannot be used.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&path));
        opened.await.unwrap_or_else(|_| Err(Failure::Panicked.to_store_error()))
    }

    /// Looks at an existing database file without changing it, for the operator; it reads the whole
    /// file.
    ///
    /// # Errors
    /// [`StoreError::Engine`](super::StoreError::Engine) when it cannot be read or is no database.
    pub fn inspect(path: &Path) -> StoreResult<Inspection> {
        Place::inspect(path)
    }

    fn open_blocking(path: &Path) -> StoreResult<Self> {
        let place = Place::prepare(path)?;
        let nonces = load_nonces(&place).map_err(|failure| failure.to_store_error())?;
        let readers = Readers::new(place.clone());
        let writer = Writer::start(place, readers.clone())?;
        Ok(Self { writer, readers, nonces: Mutex::new(nonces) })
    }

    fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().expect("nobody panics while holding the nonces")
    }
}

fn load_nonces(place: &Place) -> Result<Nonces, Failure> {
    let mut nonces = Nonces::default();
    let db = place.reader()?;
    let mut statement = db.prepare(sql::NONCE_ALL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        nonces.restore(row.get(1)?, Timestamp(row.get(0)?));
    }
    Ok(nonces)
}
