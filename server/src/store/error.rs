//! How the store fails.

/// A failure of the store itself; the change it was asked for did not happen, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room for the change. Reading and cancelling still work from the reserve.
    #[error("the store's disk is full")]
    Full,
    /// The engine refused or failed.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// Written by a newer version of Haulage.
    #[error(
        "the database has schema version {found}, newer than {known}, which this program knows; start the newer program"
    )]
    Newer { found: u32, known: u32 },
    /// Written by an older version of Haulage, or by none yet, and nobody migrates it unasked.
    #[error(
        "the database has schema version {found}, older than {known}, which this program needs; run `haulage migrate`"
    )]
    Unmigrated { found: u32, known: u32 },
    /// The engine was lost while it was to make a change durable: nobody knows whether the change
    /// happened. Reading again shows it.
    #[error("the store was lost in the middle of a change, which may have happened: {0}")]
    Unknown(String),
    /// A row does not make sense: damage, or a foreign hand.
    #[error("the store holds an unreadable row: {0}")]
    Corrupt(String),
}

pub type StoreResult<T> = Result<T, StoreError>;
