//! `haulage backup`: copies a node's data while it runs.

use std::path::PathBuf;

use serde_json::json;

use super::screen::{Screen, emit};
use super::setup::{NodeArgs, runtime};
use super::{Failure, Outcome};
use crate::config::size_text;
use crate::door::Clock;
use crate::run::backup::{self, BackupError};
use crate::run::database::Database;

/// Copy the database, the keys and the objects of this machine's node, also while it runs
///
/// Of a node on PostgreSQL, the keys and the objects: the database is backed up with PostgreSQL's own
/// tools, before.
///
/// The copy is a data directory: to restore, copy it to an empty place and start `haulage serve`
/// there. Naming an earlier backup brings that one up to date; its objects are not copied again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A new directory, or that of an earlier backup
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let config = self.node.load()?.config;
        let taken_at = wire::time::format_utc(Clock::System.now().seconds());
        let database = Database::of(&config).map_err(|e| Failure::Usage(e.to_string()))?;
        let is_shared = matches!(database, Database::Shared(_));
        let taken = match &database {
            Database::Embedded(_) => backup::take(&config, &self.to, &taken_at),
            Database::Shared(url) => {
                runtime()?.block_on(backup::take_objects(&config, url, &self.to, &taken_at))
            }
        };
        let saved = taken.map_err(|error| match error {
            BackupError::Foreign(_) | BackupError::Configuration(_) => {
                Failure::Usage(error.to_string())
            }
            BackupError::Object { .. }
            | BackupError::Files(_)
            | BackupError::Io { .. }
            | BackupError::Store(_) => Failure::Cannot(error.to_string()),
        })?;
        let what = if is_shared { "the keys" } else { "the database, the keys" };
        Screen::stderr().say(format!(
            "{} holds {what} and {} objects ({} new, {})",
            self.to.display(),
            saved.objects + saved.kept,
            saved.objects,
            size_text(saved.bytes),
        ));
        if saved.elsewhere > 0 {
            Screen::stderr().say(format!(
                "{} objects lie in other storage locations and are not copied",
                saved.elsewhere
            ));
        }
        if is_shared {
            Screen::stderr().say(
                "the PostgreSQL database is not in it: back that up with pg_dump or pg_basebackup, each time before this command, so that every object it names is here",
            );
        }
        if self.json {
            emit(&json!({
                "Directory": self.to,
                "Objects": saved.objects + saved.kept,
                "NewObjects": saved.objects,
                "NewBytes": saved.bytes,
                "ObjectsElsewhere": saved.elsewhere,
            }));
        }
        Ok(())
    }
}
