//! The schema: its versions, and bringing a database to the newest. Migrations run when an operator
//! says so (`haulage migrate`), never when a node starts: with several nodes, that is a moment to
//! choose. Under an advisory lock, because refinery itself does not expect company.

use refinery::{Migration, Runner};
use tokio_postgres::Client;

use super::failure::describe;
use crate::store::{StoreError, StoreResult};

/// Held by whoever migrates; of the same family as the locks in the statements.
const LOCK: &str = "SELECT pg_advisory_lock(1212241228, 0)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(1212241228, 0)";
const HISTORY_EXISTS: &str = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
const VERSION: &str = "SELECT COALESCE(MAX(version), 0)::BIGINT FROM refinery_schema_history";

fn migrations() -> Result<Vec<Migration>, refinery::Error> {
    let initial = Migration::unapplied("V1__initial", include_str!("migrations/V1__initial.sql"))?;
    let console = Migration::unapplied("V2__console", include_str!("migrations/V2__console.sql"))?;
    let renewal = Migration::unapplied("V3__renewal", include_str!("migrations/V3__renewal.sql"))?;
    let flow = Migration::unapplied("V4__flow", include_str!("migrations/V4__flow.sql"))?;
    let nodes = Migration::unapplied("V5__nodes", include_str!("migrations/V5__nodes.sql"))?;
    Ok(vec![initial, console, renewal, flow, nodes])
}

fn engine(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(error.to_string())
}

fn lost(error: tokio_postgres::Error) -> StoreError {
    StoreError::Engine(describe(&error))
}

/// The newest version that this program knows.
pub(super) fn known() -> StoreResult<u32> {
    let versions = migrations().map_err(engine)?;
    let newest = versions.iter().map(|migration| migration.version()).max();
    Ok(newest.map_or(0, count))
}

/// The version of the database's schema; 0 when it has none yet.
pub(super) async fn found(client: &Client) -> StoreResult<u32> {
    let exists: bool =
        client.query_one(HISTORY_EXISTS, &[]).await.and_then(|row| row.try_get(0)).map_err(lost)?;
    if !exists {
        return Ok(0);
    }
    let version: i64 =
        client.query_one(VERSION, &[]).await.and_then(|row| row.try_get(0)).map_err(lost)?;
    Ok(count(version))
}

/// Whether the schema is the one that this program works with.
///
/// # Errors
/// [`StoreError::Newer`] or [`StoreError::Unmigrated`] when it is another.
pub(super) async fn check(client: &Client) -> StoreResult<()> {
    let (found, known) = (found(client).await?, known()?);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found < known {
        return Err(StoreError::Unmigrated { found, known });
    }
    Ok(())
}

/// Brings the schema up to date; any number of callers may do so at once. A database of a newer
/// version is left as it is.
pub(super) async fn run(client: &mut Client) -> StoreResult<()> {
    client.query(LOCK, &[]).await.map_err(lost)?;
    let migrated = run_locked(client).await;
    let unlocked = client.query(UNLOCK, &[]).await.map_err(lost);
    migrated.and(unlocked.map(drop))
}

async fn run_locked(client: &mut Client) -> StoreResult<()> {
    let (found, known) = (found(client).await?, known()?);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    let migrations = migrations().map_err(engine)?;
    Runner::new(&migrations).set_grouped(true).run_async(client).await.map(drop).map_err(engine)
}

fn count(version: impl TryInto<u32>) -> u32 {
    version.try_into().unwrap_or(u32::MAX)
}
