//! What only this backend promises: durability, one writer, plans, migrations.

mod differential;
mod durable;
mod many;
mod migration;
mod pages;
mod plans;
mod schema;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::SqliteStore;
use crate::store::conformance::bed::Bed;

/// A directory with a database file in it.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("haulage.db")
    }

    async fn open(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(&self.path()).await.unwrap())
    }

    /// A store with two accounts.
    async fn bed(&self) -> (Arc<SqliteStore>, Bed) {
        let store = self.open().await;
        let bed = Bed::new(store.clone()).await;
        (store, bed)
    }

    /// A connection of another program.
    fn foreign(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection
    }
}
