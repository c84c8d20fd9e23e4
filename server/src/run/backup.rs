//! A backup of a node with the embedded database, taken while it runs.
//!
//! Of a node on PostgreSQL, the keys and the objects; the database is backed up with PostgreSQL's own
//! tools, before.
//!
//! The database is copied first, as it is at one moment. Objects are never changed and never
//! removed while a medium names them, so those that the copy names can be copied afterwards.

use std::path::{Path, PathBuf};

use crate::blob::BlobError;
use crate::blob::copying::Copier;
use crate::config::Config;
use crate::domain::id::Key;
use crate::domain::media::DEFAULT_LOCATION;
use crate::door::vault::KEY_FILE;
use crate::run::first_key::CREDENTIALS_FILE;
use crate::run::serve::{DATABASE_FILE, OBJECTS_DIR, StartError, database_path};
use crate::run::storage::local_objects;
use crate::store::postgres::{KnownObject, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// Written last: a directory without it is no whole backup.
pub const MARK: &str = "BACKUP.json";
/// The copy of the database until it has its name.
const NEW_DATABASE: &str = "haulage.db.new";
/// There while a backup without a database is under way, and after one that was broken off.
const UNFINISHED: &str = "BACKUP.unfinished";
/// Objects asked for at once.
const BATCH: usize = 1_000;

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
    copy_keys(config, &copier)?;
    let mut saved = Saved::default();
    SqliteStore::for_each_object(&to.join(DATABASE_FILE), |object| {
        saved.copy(&copier, objects.as_deref(), &object.location, object.object_key, object.size)
    })?;
    copier.write(MARK, &mark(taken_at, &saved))?;
    Ok(saved)
}

/// Backs up the keys and the objects of a node on the PostgreSQL database of `url`, as [`take`] does;
/// not the database.
///
/// # Errors
/// [`BackupError`]; `to` holds no [`MARK`] of this run then.
pub async fn take_objects(
    config: &Config,
    url: &str,
    to: &Path,
    taken_at: &str,
) -> Result<Saved, BackupError> {
    let objects = local_objects(config);
    check_target(to)?;
    let store = PostgresStore::open(url, 1).await?;
    let copier = Copier::into_dir(to.to_owned())?;
    copier.write(UNFINISHED, "")?;
    remove(&to.join(MARK))?;
    copy_keys(config, &copier)?;
    let mut saved = Saved::default();
    let mut after = Key(-1);
    loop {
        let known = store.objects_after(after, BATCH).await?;
        let Some(last) = known.last() else { break };
        after = last.key;
        for object in known {
            let KnownObject { location, object_key, size, .. } = object;
            saved.copy(&copier, objects.as_deref(), &location, object_key, size)?;
        }
    }
    store.close().await?;
    copier.write(MARK, &mark(taken_at, &saved))?;
    remove(&to.join(UNFINISHED))?;
    Ok(saved)
}

fn copy_keys(config: &Config, copier: &Copier) -> Result<(), BackupError> {
    let key = config.master_key_file.clone().unwrap_or_else(|| config.data_dir.join(KEY_FILE));
    for (from, name) in
        [(key, KEY_FILE), (config.data_dir.join(CREDENTIALS_FILE), CREDENTIALS_FILE)]
    {
        if from.exists() {
            copier.copy(&from, name, None)?;
        }
    }
    Ok(())
}

impl Saved {
    /// Copies an object that the database names.
    fn copy(
        &mut self,
        copier: &Copier,
        objects: Option<&Path>,
        location: &str,
        key: String,
        size: u64,
    ) -> Result<(), BackupError> {
        // Objects in buckets and in further directories are for whoever keeps those.
        let Some(objects) = objects.filter(|_| location == DEFAULT_LOCATION) else {
            self.elsewhere += 1;
            return Ok(());
        };
        match copier.copy(&objects.join(&key), &format!("{OBJECTS_DIR}/{key}"), Some(size)) {
            Ok(true) => {
                self.objects += 1;
                self.bytes += size;
            }
            Ok(false) => self.kept += 1,
            Err(error) => return Err(BackupError::Object { key, error }),
        }
        Ok(())
    }
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
    let is_ours =
        [MARK, NEW_DATABASE, DATABASE_FILE, UNFINISHED].iter().any(|name| to.join(name).exists());
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
