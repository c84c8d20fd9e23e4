//! Copies a database while others read and write it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::SqliteStore;
use super::connect::Place;
use super::failure::Failure;
use crate::store::{StoreError, StoreResult};

/// Times that copying is begun again when another process is just opening the database.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// An object that the media of a database lie in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownObject {
    /// Name of its storage location.
    pub location: String,
    pub object_key: String,
    /// Bytes.
    pub size: u64,
}

impl SqliteStore {
    /// Copies the database `from` as it is at one moment, everything acknowledged before included,
    /// to the new file `to`, which is on stable storage and sound afterwards. Neither readers nor
    /// the writer wait for it.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when `from` cannot be read, `to` exists or cannot be written, or the
    /// copy is not sound.
    pub fn copy(from: &Path, to: &Path) -> StoreResult<()> {
        let engine = |e: std::io::Error| StoreError::Engine(format!("{}: {e}", to.display()));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        drop(made.map_err(engine)?);
        copy_pages(from, to).map_err(|failure| failure.to_store_error())?;
        let problems = Place::inspect(to)?.problems;
        if let Some(problem) = problems.first() {
            return Err(StoreError::Engine(format!("the copy is not sound: {problem}")));
        }
        File::open(to).and_then(|copy| copy.sync_all()).map_err(engine)
    }

    /// Tells `see` of every object that the media of the database at `path` lie in.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when the database cannot be read; the first error of `see`.
    pub fn for_each_object<E: From<StoreError>>(
        path: &Path,
        mut see: impl FnMut(KnownObject) -> Result<(), E>,
    ) -> Result<(), E> {
        let store = |e: rusqlite::Error| E::from(Failure::from(e).to_store_error());
        let db = open(path).map_err(store)?;
        let mut statement = db.prepare(super::sql::OBJECTS_ALL).map_err(store)?;
        let mut rows = statement.query([]).map_err(store)?;
        while let Some(row) = rows.next().map_err(store)? {
            let object = KnownObject {
                location: row.get(0).map_err(store)?,
                object_key: row.get(1).map_err(store)?,
                size: u64::try_from(row.get::<_, i64>(2).map_err(store)?).unwrap_or(0),
            };
            see(object)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn copy_pages(from: &Path, to: &Path) -> Result<(), Failure> {
    let source = open(from)?;
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        for attempt in 1.. {
            // All pages in one step: within one read transaction nobody's writing begins it anew.
            match backup.step(-1)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked if attempt < TRIES => {
                    std::thread::sleep(PAUSE);
                }
                _ => return Err(Failure::Corrupt("the database stays locked".to_owned())),
            }
        }
    }
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}
