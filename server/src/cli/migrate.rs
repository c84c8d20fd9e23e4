//! `haulage migrate`: brings the schema of the database up to this program's.

use serde_json::json;

use super::screen::{Screen, emit};
use super::setup::{NodeArgs, store_failure};
use super::{Failure, Outcome};
use crate::run::database::Database;

/// Bring the database to the schema of this version
///
/// The embedded database does so by itself whenever it is opened. A PostgreSQL database, which
/// several nodes share, is migrated by this alone; `serve` refuses an older one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        let config = self.node.load()?.config;
        let database = Database::of(&config).map_err(|e| Failure::Usage(e.to_string()))?;
        // A database of a newer version is refused there.
        database.migrate().await.map_err(store_failure)?;
        Screen::stderr().say("the database has the schema of this version");
        if self.json {
            emit(&json!({ "Status": "Current" }));
        }
        Ok(())
    }
}
