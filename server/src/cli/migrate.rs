//! `haulage migrate`: brings the schema of the database up to this program's.

use serde_json::json;

use super::Outcome;
use super::screen::{Screen, emit};
use super::setup::NodeArgs;

/// Bring the database to the schema of this version
///
/// The embedded database does so by itself whenever it is opened; this is for doing it at a time of
/// your choice.
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
        // Opening migrates; a database of a newer version is refused there.
        self.node.open().await?.close().await?;
        Screen::stderr().say("the database has the schema of this version");
        if self.json {
            emit(&json!({ "Status": "Current" }));
        }
        Ok(())
    }
}
