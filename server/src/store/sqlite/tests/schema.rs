//! The file: its schema, its rules, its versions.

use std::thread;

use super::super::SqliteStore;
use super::Disk;
use crate::store::conformance::bed::{at, success};
use crate::store::{Store, StoreError};

/// Tables with their columns, and the other objects by name: a change of the schema is a new
/// migration and shows here.
#[tokio::test]
async fn the_schema_is_the_one_we_know() {
    let disk = Disk::new();
    disk.open().await;
    let db = disk.foreign();
    let mut objects = db
        .prepare(
            "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' \
             AND name <> 'refinery_schema_history' ORDER BY type DESC, name",
        )
        .unwrap();
    let objects: Vec<(String, String, String)> = objects
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut out = String::new();
    for (kind, name, table) in objects {
        let list = if kind == "index" {
            format!("SELECT COALESCE(name, '?') FROM pragma_index_info('{name}')")
        } else {
            format!("SELECT name || ' ' || type FROM pragma_table_info('{name}')")
        };
        let parts: Vec<String> = db
            .prepare(&list)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        out += &format!("{kind} {name} on {table}: {}\n", parts.join(", "));
    }
    insta::assert_snapshot!(out, @"");
}

#[tokio::test]
async fn settings_make_a_commit_durable() {
    let disk = Disk::new();
    let store = disk.open().await;
    let settings = store
        .writer
        .call(|write| {
            let read = |name: &str| -> Result<String, rusqlite::Error> {
                write.db.query_row(
                    &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
                    [],
                    |row| row.get(0),
                )
            };
            Ok(["journal_mode", "synchronous", "foreign_keys", "cell_size_check", "mmap_size"]
                .map(|name| read(name).unwrap_or_default()))
        })
        .await
        .unwrap();
    // 2 is FULL.
    assert_eq!(settings, ["wal", "2", "1", "1", "0"]);
}

#[tokio::test]
async fn the_database_itself_refuses_what_the_rules_forbid() {
    let disk = Disk::new();
    let (_store, bed) = disk.bed().await;
    let key = bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    bed.finish(claim, success(), at(1)).await;
    let pending = bed.one(at(2)).await;
    let db = disk.foreign();
    for (key, change) in [
        (key, "state = 0, due = 1, finished = NULL"),
        (key, "bytes = 0"),
        (pending, "state = 1"),
        (pending, "state = 1, due = NULL, lease_until = 5"),
        (pending, "due = NULL"),
        (pending, "state = 3, due = NULL"),
        (pending, "state = 4, due = NULL, finished = 1"),
        (pending, "state = 6, due = NULL, finished = 1"),
        (pending, "lease_until = 5"),
        (pending, "account = 999"),
        (pending, "due = 'soon'"),
    ] {
        let done = db.execute(&format!("UPDATE job SET {change} WHERE key = {}", key.0), []);
        assert!(done.is_err(), "{change}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let disk = Disk::new();
    let store = disk.open().await;
    store.close().await.unwrap();
    drop(store);
    let db = disk.foreign();
    db.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (7, 'later', '2030-01-01T00:00:00Z', '1')",
        [],
    )
    .unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let before = std::fs::read(disk.path()).unwrap();
    let error = SqliteStore::open(&disk.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 7, known: 1 }), "{error}");
    assert_eq!(std::fs::read(disk.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let disk = Disk::new();
    let text = "this is not a database, but somebody's notes\n".repeat(100);
    std::fs::write(disk.path(), &text).unwrap();
    let error = SqliteStore::open_blocking(&disk.path()).unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert_eq!(std::fs::read_to_string(disk.path()).unwrap(), text);
}

#[test]
fn a_missing_directory_is_made_and_an_unusable_one_is_named() {
    let disk = Disk::new();
    let deep = disk.0.path().join("a/b/haulage.db");
    SqliteStore::open_blocking(&deep).unwrap();
    let inside_a_file = deep.join("haulage.db");
    let error = SqliteStore::open_blocking(&inside_a_file).unwrap_err();
    assert!(error.to_string().contains("haulage.db"), "{error}");
}

#[test]
fn processes_that_open_a_new_database_at_once_all_succeed() {
    for _ in 0..5 {
        let disk = Disk::new();
        let path = disk.path();
        thread::scope(|scope| {
            let openers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| SqliteStore::open_blocking(&path).map(drop)))
                .collect();
            for opener in openers {
                opener.join().unwrap().unwrap();
            }
        });
        let db = disk.foreign();
        let versions: i64 = db
            .query_row("SELECT COUNT(*) FROM refinery_schema_history", [], |row| row.get(0))
            .unwrap();
        assert_eq!(versions, 1);
    }
}
