//! A backup of a node with the embedded database, taken while it runs.
//!
//! The database is copied first, as it is at one moment. Objects are never changed and never
//! removed while a medium names them, so those that the copy names can be copied afterwards.

use std::path::{Path, PathBuf};

use crate::blob::BlobError;
use crate::blob::copying::Copier;
use crate::config::Config;
use crate::domain::media::DEFAULT_LOCATION;
use crate::door::vault::KEY_FILE;
use crate::run::first_key::CREDENTIALS_FILE;
use crate::run::serve::{DATABASE_FILE, OBJECTS_DIR, StartError, database_path};
use crate::run::storage::local_objects;
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;

/// Written last: a directory without it is no whole backup.
pub const MARK: &str = "BACKUP.json";
/// The copy of the database until it has its name.
const NEW_DATABASE: &str = "haulage.db.new";

/// What a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// Objects that this run copied, and their bytes.
    pub objects: u64,
    pub bytes: u64,
    /// Objects that an earlier run had copied.
    pub kept: u64,
    /// Objects in other storage locations: theirs to keep.
    pub elsewhere: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} is not empty and not an earlier backup; name a new directory")]
    Foreign(PathBuf),
    #[error("the object {key}, which the database names, cannot be copied: {error}")]
    Object { key: String, error: BlobError },
    #[error(transparent)]
    Files(#[from] BlobError),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Configuration(#[from] StartError),
}

/// Backs the node of `config` up into `to`: a new directory, or that of an earlier backup, whose
/// objects are kept and whose database is replaced. Blocks.
///
/// # Errors
/// [`BackupError`]; `to` holds no [`MARK`] of this run then.
pub fn take(config: &Config, to: &Path, taken_at: &str) -> Result<Saved, BackupError> {
    let database = database_path(config)?;
    // Objects in buckets and in further directories are for whoever keeps those.
    let objects = local_objects(config);
    check_target(to)?;
    let copier = Copier::into_dir(to.to_owned())?;
    remove(&to.join(MARK))?;
    remove(&to.join(NEW_DATABASE))?;
    SqliteStore::copy(&database, &to.join(NEW_DATABASE))?;
    // Under its name only when it is whole.
    copier.copy(&to.join(NEW_DATABASE), DATABASE_FILE, None)?;
    remove(&to.join(NEW_DATABASE))?;
    for file in [KEY_FILE, CREDENTIALS_FILE] {
        let from = config.data_dir.join(file);
        if from.exists() {
            copier.copy(&from, file, None)?;
        }
    }
    let mut saved = Saved::default();
    SqliteStore::for_each_object(&to.join(DATABASE_FILE), |object| {
        let local = objects.as_ref().filter(|_| object.location == DEFAULT_LOCATION);
        let Some(objects) = local else {
            saved.elsewhere += 1;
            return Ok(());
        };
        let from = objects.join(&object.object_key);
        let name = format!("{OBJECTS_DIR}/{}", object.object_key);
        match copier.copy(&from, &name, Some(object.size)) {
            Ok(true) => {
                saved.objects += 1;
                saved.bytes += object.size;
            }
            Ok(false) => saved.kept += 1,
            Err(error) => {
                return Err(BackupError::Object { key: object.object_key, error });
            }
        }
        Ok(())
    })?;
    copier.write(MARK, &mark(taken_at, &saved))?;
    Ok(saved)
}

fn mark(taken_at: &str, saved: &Saved) -> String {
    let mark = serde_json::json!({
        "Haulage": env!("CARGO_PKG_VERSION"),
        "TakenAt": taken_at,
        "Objects": saved.objects + saved.kept,
        "ObjectsElsewhere": saved.elsewhere,
    });
    format!("{mark:#}\n")
}

/// Nothing of somebody else's is written over.
fn check_target(to: &Path) -> Result<(), BackupError> {
    let io = |error| BackupError::Io { path: to.to_owned(), error };
    let mut entries = match std::fs::read_dir(to) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    let is_ours = [MARK, NEW_DATABASE, DATABASE_FILE].iter().any(|name| to.join(name).exists());
    // A running node's directory is the last place for its backup.
    let is_live = to.join(crate::run::serve::LOCK_FILE).exists();
    if is_live || (entries.next().is_some() && !is_ours) {
        return Err(BackupError::Foreign(to.to_owned()));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BackupError::Io { path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}
