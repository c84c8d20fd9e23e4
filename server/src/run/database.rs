//! The database that a node works on: the embedded one, which is the node's own, or PostgreSQL, which
//! several nodes share.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::serve::{StartError, database_path};
use super::timekeeping;
use crate::config::Config;
use crate::door::Clock;
use crate::door::schedule::Schedule;
use crate::door::vault::Vault;
use crate::ops::SESSION_WINDOW;
use crate::store::postgres::{Inspection, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreResult};

/// Where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Embedded(PathBuf),
    /// The URL of a PostgreSQL database, with its password.
    Shared(String),
}

impl fmt::Debug for Database {
    /// Without the URL, which has a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(path) => write!(f, "Embedded({})", path.display()),
            Self::Shared(_) => f.write_str("Shared(..)"),
        }
    }
}

/// An open database.
#[derive(Clone, Debug)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    /// The time of day: the database's, where nodes share it.
    pub clock: Clock,
    /// The time that jobs go by.
    pub schedule: Schedule,
    pub is_shared: bool,
}

impl Database {
    /// The one that the configuration names.
    ///
    /// # Errors
    /// [`StartError::Database`] when it is of no engine that this program knows.
    pub fn of(config: &Config) -> Result<Self, StartError> {
        match &config.database_url {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Shared(url.clone()))
            }
            Some(_) | None => database_path(config).map(Self::Embedded),
        }
    }

    /// Opens it. The embedded one is made, and brought to this program's schema; a shared one must
    /// be migrated, and of an installation with this master key.
    ///
    /// # Errors
    /// [`StartError::Store`], and [`StartError::OtherMasterKey`].
    pub async fn open(&self, config: &Config, vault: &Vault) -> Result<Opened, StartError> {
        match self {
            Self::Embedded(path) => {
                let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path).await?);
                let clock = Clock::System;
                let schedule = Schedule::alone(clock.clone(), SESSION_WINDOW);
                timekeeping::begin(&schedule, store.as_ref()).await?;
                Ok(Opened { store, clock, schedule, is_shared: false })
            }
            Self::Shared(url) => {
                let store = PostgresStore::open(url, config.database_connections).await?;
                if !store.keep_master_key(vault.derive("fingerprint")).await? {
                    store.close().await?;
                    return Err(StartError::OtherMasterKey);
                }
                tracing::info!(
                    database = store.shown(),
                    version = store.server_version(),
                    "works on PostgreSQL"
                );
                let clock = store.clock();
                let schedule = Schedule::of(clock.clone());
                Ok(Opened { store: Arc::new(store), clock, schedule, is_shared: true })
            }
        }
    }

    /// Brings it to this program's schema.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn migrate(&self) -> StoreResult<()> {
        match self {
            // Opening migrates.
            Self::Embedded(path) => SqliteStore::open(path).await?.close().await,
            Self::Shared(url) => PostgresStore::migrate(url).await,
        }
    }

    /// Looks at a shared one; `None` for the embedded one.
    pub async fn inspect(&self) -> Option<StoreResult<Inspection>> {
        match self {
            Self::Embedded(_) => None,
            Self::Shared(url) => Some(PostgresStore::inspect(url).await),
        }
    }
}

/// Opens the master key, or makes one: in the file that the configuration names, or in the data
/// directory.
///
/// # Errors
/// When it cannot be read or made.
pub fn open_vault(config: &Config) -> io::Result<Vault> {
    match &config.master_key_file {
        None => Vault::open(&config.data_dir),
        Some(path) => Vault::open_file(path),
    }
}
