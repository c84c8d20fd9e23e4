//! What can go wrong below the verbs, and what follows from it.

use rusqlite::ErrorCode;

use crate::store::StoreError;

#[derive(Debug)]
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    /// A row that this program would not have written.
    Corrupt(String),
    /// A verb panicked: a bug of ours.
    Panicked,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Corrupt(_) | Self::Panicked => None,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// Whether a connection that only reads met a transaction that a crash left, which must be
    /// undone first.
    pub(super) fn is_unfinished(&self) -> bool {
        self.code() == Some(ErrorCode::ReadOnly)
    }

    /// Whether the connection may no longer be trusted: after a failed write or fsync, what it
    /// believes and what is on the disk may differ (PostgreSQL's lesson of 2018).
    pub(super) fn spoils_the_connection(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Corrupt(_) => false,
            Self::Sqlite(_) => matches!(
                self.code(),
                Some(
                    ErrorCode::SystemIoFailure
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::CannotOpen
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::InternalMalfunction
                        | ErrorCode::OutOfMemory
                )
            ),
        }
    }

    /// The same for callers. SQLite's messages name tables and columns, never values.
    pub(super) fn to_store_error(&self) -> StoreError {
        match self {
            Self::Sqlite(_) if self.is_full() => StoreError::Full,
            Self::Sqlite(error) if self.spoils_the_connection() => StoreError::Engine(format!(
                "{error}; whether the change happened shows when it is read again"
            )),
            Self::Sqlite(error) => StoreError::Engine(error.to_string()),
            Self::Corrupt(what) => StoreError::Corrupt(what.clone()),
            Self::Panicked => StoreError::Engine("a verb of the store panicked".to_owned()),
        }
    }
}
