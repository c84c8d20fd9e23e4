//! What can go wrong below the verbs, and what follows from it.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

#[derive(Debug)]
pub(super) enum Failure {
    Postgres(tokio_postgres::Error),
    /// There is no connection to be had.
    Pool(PoolError),
    /// The database did not answer in time; nothing was committed.
    Late,
    /// Another host takes writes now; nothing was committed.
    Moved,
    /// The answer to a commit did not come, so nobody knows whether it happened.
    Unknown(String),
    /// A row that this program would not have written.
    Corrupt(String),
    /// The caller asked for what cannot be.
    Refused(String),
}

/// What may help after a failure that is known to have changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remedy {
    Nothing,
    /// The same once more: two transactions were in each other's way.
    Again,
    /// The same once more on another connection: this one is gone, or leads to a server that does
    /// not take writes any more.
    Reconnect,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl Failure {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) | Self::Pool(PoolError::Backend(error)) => error.code(),
            Self::Pool(_)
            | Self::Late
            | Self::Moved
            | Self::Unknown(_)
            | Self::Corrupt(_)
            | Self::Refused(_) => None,
        }
    }

    /// Of a failure before the commit was sent.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Postgres(error) if error.is_closed() => Remedy::Reconnect,
            Self::Postgres(error) => match error.code() {
                None => Remedy::Reconnect,
                Some(code) => remedy_for(code),
            },
            // A new connection is refused for a moment while a server takes over for another.
            Self::Pool(PoolError::Backend(error)) => match error.code() {
                None => Remedy::Reconnect,
                Some(code) => remedy_for(code),
            },
            // It was lost while its session was set up.
            Self::Pool(PoolError::PostCreateHook(_)) | Self::Moved => Remedy::Reconnect,
            Self::Pool(_) | Self::Late | Self::Unknown(_) | Self::Corrupt(_) | Self::Refused(_) => {
                Remedy::Nothing
            }
        }
    }

    /// Whether a failed commit certainly did not happen. Everything else is unknown: a server that
    /// shuts down while it waits for its standby has committed.
    pub(super) fn is_certain(error: &tokio_postgres::Error) -> bool {
        error.code().is_some_and(|code| {
            let class = &code.code()[..2];
            (class == "40" && *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN) || class == "23"
        })
    }

    /// Whether the connection may be in a state that nobody expects.
    pub(super) fn spoils_the_connection(&self) -> bool {
        match self {
            Self::Late | Self::Moved | Self::Unknown(_) => true,
            // A statement that was cut short may have left an advisory lock behind.
            Self::Postgres(_) => {
                self.remedy() == Remedy::Reconnect || self.code() == Some(&SqlState::QUERY_CANCELED)
            }
            Self::Pool(_) | Self::Corrupt(_) | Self::Refused(_) => false,
        }
    }

    /// Whether a batch may succeed one by one: one of it has something that cannot be stored.
    pub(super) fn is_about_one(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Postgres(_) => {
                self.code().is_some_and(|code| matches!(&code.code()[..2], "22" | "23" | "54"))
            }
            Self::Pool(_) | Self::Late | Self::Moved | Self::Unknown(_) | Self::Corrupt(_) => false,
        }
    }

    /// The same for callers. The server's own message names tables and columns; what holds values,
    /// its detail, is left out.
    pub(super) fn to_store_error(&self) -> StoreError {
        if self.code() == Some(&SqlState::DISK_FULL) {
            return StoreError::Full;
        }
        match self {
            Self::Postgres(error) => StoreError::Engine(describe(error)),
            Self::Pool(PoolError::Backend(error)) => {
                StoreError::Engine(format!("no connection to the database: {}", describe(error)))
            }
            Self::Pool(PoolError::Closed) => StoreError::Closed,
            Self::Pool(PoolError::Timeout(_)) => {
                StoreError::Engine("no connection to the database was free in time".to_owned())
            }
            Self::Pool(other) => {
                StoreError::Engine(format!("no connection to the database: {other}"))
            }
            Self::Late => StoreError::Engine("the database did not answer in time".to_owned()),
            Self::Moved => {
                StoreError::Engine("another host of the database takes writes now".to_owned())
            }
            Self::Unknown(why) => StoreError::Unknown(why.clone()),
            Self::Corrupt(what) => StoreError::Corrupt(what.clone()),
            Self::Refused(what) => StoreError::Engine(what.clone()),
        }
    }
}

fn remedy_for(code: &SqlState) -> Remedy {
    match &code.code()[..2] {
        "40" => Remedy::Again,
        // Connection exceptions; a server that stops, starts or has no room for one more.
        "08" | "57" if *code != SqlState::QUERY_CANCELED => Remedy::Reconnect,
        "53" if *code == SqlState::TOO_MANY_CONNECTIONS => Remedy::Reconnect,
        // What was the primary is a standby now.
        "25" if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Remedy::Reconnect,
        // Left alone too long in a transaction: this process was stopped in the middle of it.
        "25" if *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Remedy::Reconnect,
        _ => Remedy::Nothing,
    }
}

/// A failure in words, without values.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
