//! The file: its schema, its rules, its versions.

use std::os::unix::fs::PermissionsExt;
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
        out += &format!("{kind} {name} on {table}({})\n", parts.join(", "));
    }
    insta::assert_snapshot!(out, @r"
    trigger attempt_limit on attempt()
    trigger job_accepted on job()
    trigger job_final on job()
    trigger job_moved on job()
    table access_key on access_key(seq INTEGER, id TEXT, account INTEGER, sealed_secret BLOB, enabled INTEGER, created INTEGER)
    table account on account(id INTEGER, name TEXT, enabled INTEGER, created INTEGER, operator INTEGER, weight INTEGER, paused INTEGER)
    table attempt on attempt(job INTEGER, token INTEGER, number INTEGER, started INTEGER, ended INTEGER, ending INTEGER, bytes INTEGER, fault_code TEXT, fault_message TEXT)
    table console_session on console_session(hash BLOB, access_key_id TEXT, created INTEGER, expires INTEGER)
    table job on job(key INTEGER, account INTEGER, state INTEGER, attempt INTEGER, rescues INTEGER, token INTEGER, due INTEGER, lease_until INTEGER, phase INTEGER, bytes INTEGER, created INTEGER, deadline INTEGER, finished INTEGER, url_hash INTEGER, reference_id TEXT, fault_code TEXT, fault_message TEXT, url TEXT, request TEXT, claimed INTEGER, renewals INTEGER, halt_code TEXT, halt_message TEXT, priority INTEGER, host INTEGER)
    table media on media(key INTEGER, account INTEGER, created INTEGER, title TEXT, description TEXT, tags TEXT, cover_url TEXT, cate_id INTEGER, reference_id TEXT, user_data TEXT, media_type INTEGER, format TEXT, content_type TEXT, duration REAL, width INTEGER, height INTEGER, bitrate REAL, fps REAL, codec TEXT, object_key TEXT, size INTEGER, sha256 TEXT, crc64 INTEGER, location TEXT, md5 TEXT)
    table nonce on nonce(expires INTEGER, hash BLOB)
    table queue on queue(account INTEGER, pending INTEGER, running INTEGER, waiting INTEGER, awaiting INTEGER)
    table quota on quota(day INTEGER, account INTEGER, calls INTEGER)
    table session on session(account INTEGER, id TEXT, fingerprint BLOB, keys TEXT, expires INTEGER)
    table tally on tally(minute INTEGER, account INTEGER, what INTEGER, code TEXT, jobs INTEGER, bytes INTEGER, millis INTEGER)
    index access_key_account on access_key(account)
    index console_session_expires on console_session(expires)
    index console_session_key on console_session(access_key_id, created)
    index job_awaiting on job(deadline)
    index job_fault on job(account, fault_code)
    index job_forgettable on job(finished)
    index job_lease on job(lease_until)
    index job_list on job(account, state)
    index job_ready on job(account, priority, due, key, host)
    index job_reference on job(account, reference_id)
    index job_url on job(account, url_hash)
    index job_url_pending on job(account, url_hash)
    index session_expires on session(expires)
    ");
}

#[tokio::test]
async fn settings_make_a_commit_durable() {
    let disk = Disk::new();
    let store = disk.open().await;
    let settings = store
        .writer
        .call(|write| {
            let read = |name: &str| -> Result<String, rusqlite::Error> {
                let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
                let value = write.db.query_row(&format!("PRAGMA {name}"), [], value)?;
                Ok(match value {
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                })
            };
            let names = ["journal_mode", "synchronous", "foreign_keys", "cell_size_check"];
            let values = names.map(|name| read(name).unwrap());
            // A build without memory maps answers nothing.
            let mapped = read("mmap_size").unwrap_or_else(|_| "0".to_owned());
            Ok((values, mapped))
        })
        .await
        .unwrap();
    // 2 is FULL.
    assert_eq!(settings, (["wal", "2", "1", "1"].map(str::to_owned), "0".to_owned()));
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
        (pending, "state = 7, due = NULL, finished = 1"),
        (pending, "state = 6, due = NULL"),
        (pending, "state = 6, due = NULL, halt_code = 'c'"),
        (pending, "state = 6, due = NULL, halt_code = 'c', halt_message = 'm', finished = 1"),
        (pending, "state = 6, halt_code = 'c', halt_message = 'm'"),
        (pending, "halt_code = 'c', halt_message = 'm'"),
        (pending, "renewals = -1"),
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
    assert!(matches!(error, StoreError::Newer { found: 7, known: 5 }), "{error}");
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
    let store = SqliteStore::open_blocking(&deep).unwrap();
    // Nobody else reads the URLs in it.
    for name in ["haulage.db", "haulage.db-wal"] {
        let mode = std::fs::metadata(deep.with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(store);
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
        assert_eq!(versions, 5);
    }
}
