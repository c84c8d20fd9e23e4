//! Opening the database file: checks before anything is touched, settings, migrations.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use refinery::{Migration, Runner};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::failure::Failure;
use crate::store::{StoreError, StoreResult};

/// Older versions can corrupt a database that two connections write and checkpoint at once (the
/// WAL-reset bug, fixed in SQLite 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a statement waits for a foreign process (`haulage key create`) to end its transaction.
const BUSY: Duration = Duration::from_secs(10);

/// Pages of write-ahead log after which it is copied into the database: 32 MiB. Large, because a
/// random update dirties whole pages and copying them less often merges more of them.
const CHECKPOINT_PAGES: u32 = 8_192;
/// Bytes that the log file keeps after a checkpoint.
const WAL_KEPT: u32 = 64 << 20;
/// Page caches, in KiB: of the writer and of each reader.
const WRITER_CACHE_KIB: u32 = 8 << 10;
const READER_CACHE_KIB: u32 = 1 << 10;
/// More than there are statements.
const STATEMENTS_KEPT: usize = 96;

/// Times that opening is tried again when another process opens or migrates the same file.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// `f_type` of file systems whose locks and fsync SQLite must not rely on: NFS, SMB, CIFS, SMB2
/// (statfs(2)).
#[cfg(target_os = "linux")]
const NETWORK_FILE_SYSTEMS: [i64; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];

/// Most problems of a damaged file that are told.
const PROBLEMS_LIMIT: usize = 3;

/// What a look at a database file shows.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Version of the file's schema; 0 when it has none yet.
    pub schema: u32,
    /// The newest version that this program knows.
    pub known: u32,
    /// Version of SQLite.
    pub engine: &'static str,
    /// What is wrong with the file; empty when it is sound.
    pub problems: Vec<String>,
}

/// Where the database is; opens connections to it.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

fn migrations() -> Result<Vec<Migration>, refinery::Error> {
    let initial = Migration::unapplied("V1__initial", include_str!("migrations/V1__initial.sql"))?;
    let console = Migration::unapplied("V2__console", include_str!("migrations/V2__console.sql"))?;
    let renewal = Migration::unapplied("V3__renewal", include_str!("migrations/V3__renewal.sql"))?;
    let flow = Migration::unapplied("V4__flow", include_str!("migrations/V4__flow.sql"))?;
    let nodes = Migration::unapplied("V5__nodes", include_str!("migrations/V5__nodes.sql"))?;
    Ok(vec![initial, console, renewal, flow, nodes])
}

impl Place {
    /// Makes the database or brings it up to date.
    pub(super) fn prepare(path: &Path) -> StoreResult<Self> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::Engine(format!(
                "SQLite {} has a bug that corrupts databases; 3.51.3 is the oldest that does not",
                rusqlite::version()
            )));
        }
        let engine = |e: std::io::Error| StoreError::Engine(format!("{}: {e}", path.display()));
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        std::fs::create_dir_all(directory).map_err(engine)?;
        if is_on_network(directory).map_err(engine)? {
            return Err(StoreError::Engine(format!(
                "{} is on a network file system, which cannot keep a database safe",
                path.display()
            )));
        }
        // Made here, since SQLite would let others read it; its log takes over the mode. URLs of
        // sources carry secrets.
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(engine)?;
        let place = Self(path.to_owned());
        let mut tries = 1;
        loop {
            match place.migrate() {
                // Lost a race against another process that opens the same file: it has done what
                // was to be done, or is about to.
                Err(Trouble::Passing(_)) if tries < OPEN_TRIES => {
                    tries += 1;
                    std::thread::sleep(OPEN_PAUSE);
                }
                Err(Trouble::Passing(e) | Trouble::Lasting(e)) => return Err(e),
                Ok(()) => break,
            }
        }
        // The file's name must survive a power cut; from here on durability is SQLite's business.
        File::open(directory).and_then(|d| d.sync_all()).map_err(engine)?;
        Ok(place)
    }

    /// Looks at an existing file without changing it.
    pub(super) fn inspect(path: &Path) -> StoreResult<Inspection> {
        let lasting = |e: refinery::Error| StoreError::Engine(e.to_string());
        let known = migrations().map_err(lasting)?.iter().map(|m| count(m.version())).max();
        let place = Self(path.to_owned());
        let schema = place.version().map_err(|failure| failure.to_store_error())?;
        let problems = place.problems().map_err(|failure| failure.to_store_error())?;
        let known = known.unwrap_or(0);
        Ok(Inspection { schema, known, engine: rusqlite::version(), problems })
    }

    /// What SQLite finds wrong with the file (its `quick_check`).
    fn problems(&self) -> Result<Vec<String>, Failure> {
        let connection = self.reader()?;
        let query = format!("PRAGMA quick_check({PROBLEMS_LIMIT})");
        let mut statement = connection.prepare(&query)?;
        let found: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    fn migrate(&self) -> Result<(), Trouble> {
        let lasting = |e: refinery::Error| Trouble::Lasting(StoreError::Engine(e.to_string()));
        let migrations = migrations().map_err(lasting)?;
        let known = migrations.iter().map(|m| count(m.version())).max().unwrap_or(0);
        let found = match self.version() {
            Err(failure) if failure.is_unfinished() => {
                self.roll_back()?;
                self.version()?
            }
            found => found?,
        };
        if found > known {
            return Err(Trouble::Lasting(StoreError::Newer { found, known }));
        }
        let mut connection = self.writer()?;
        if found == known {
            return Ok(());
        }
        // Each migration is one transaction that takes the write lock at its start. The loser of a
        // race fails because the tables are there, and finds nothing to do when it looks again.
        connection.set_transaction_behavior(rusqlite::TransactionBehavior::Immediate);
        let runner = Runner::new(&migrations).set_grouped(true);
        runner
            .run(&mut connection)
            .map(drop)
            .map_err(|e| Trouble::Passing(StoreError::Engine(e.to_string())))
    }

    /// The schema version of the file, 0 for an empty one; changes nothing.
    fn version(&self) -> Result<u32, Failure> {
        version(&self.reader()?)
    }

    /// Undoes what a crash left unfinished from before the file had its write-ahead log: the power
    /// went, or the process was killed, while the file was being made. SQLite does it when somebody
    /// who may write looks at the file; whoever may only read is refused.
    fn roll_back(&self) -> Result<(), Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.0, flags)?;
        settings(&connection, READER_CACHE_KIB)?;
        version(&connection).map(drop)
    }

    /// A connection that may write; only the writer's thread holds one.
    pub(super) fn writer(&self) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.0, flags)?;
        settings(&connection, WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // An answer is an acknowledgement: each commit waits for its fsync.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
        Ok(connection)
    }

    /// A connection that cannot write.
    pub(super) fn reader(&self) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.0, flags)?;
        settings(&connection, READER_CACHE_KIB)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

fn version(connection: &Connection) -> Result<u32, Failure> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'", [], |_| {
            Ok(())
        })
        .optional()?;
    if exists.is_none() {
        return Ok(0);
    }
    let query = "SELECT COALESCE(MAX(version), 0) FROM refinery_schema_history";
    Ok(connection.query_row(query, [], |row| row.get(0))?)
}

fn settings(connection: &Connection, cache_kib: u32) -> Result<(), Failure> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // A mapped file turns an I/O error into a signal that ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_on_network(directory: &Path) -> std::io::Result<bool> {
    let kind = rustix::fs::statfs(directory)?.f_type;
    Ok(NETWORK_FILE_SYSTEMS.contains(&(kind & 0xffff_ffff)))
}

/// Other systems number their file systems in their own ways; there the operator must know.
#[cfg(not(target_os = "linux"))]
fn is_on_network(_directory: &Path) -> std::io::Result<bool> {
    Ok(false)
}

/// Whether trying again can help.
enum Trouble {
    Passing(StoreError),
    Lasting(StoreError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let error = failure.to_store_error();
        if failure.is_busy() { Self::Passing(error) } else { Self::Lasting(error) }
    }
}

fn count(version: impl TryInto<u32>) -> u32 {
    version.try_into().unwrap_or(u32::MAX)
}
