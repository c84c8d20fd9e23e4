//! The database: its schema, its rules, its versions.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::super::link::rows;
use super::super::row;
use super::cluster::{self, Cluster, Version, foreign};
use super::{PostgresStore, fresh, open};
use crate::store::conformance::bed::{Bed, at, success};
use crate::store::{Store, StoreError};

const MAX: Version = Version::Eighteen;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_migrate_at_once_all_succeed() {
    let test = "nodes_that_migrate_at_once_all_succeed";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    for _ in 0..3 {
        let url = cluster.schema().await;
        let migrated = join_all((0..6).map(|_| PostgresStore::migrate(&url))).await;
        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        let db = foreign(&url).await;
        let versions = "SELECT COUNT(*) FROM refinery_schema_history";
        let versions: i64 = db.query_one(versions, &[]).await.unwrap().get(0);
        assert_eq!(versions, i64::from(super::super::migrate::known().unwrap()));
        open(&url).await.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_is_refused_with_what_to_do_and_left_as_it_is() {
    let test = "another_schema_is_refused_with_what_to_do_and_left_as_it_is";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    let error = PostgresStore::open(&url, 3).await.unwrap_err();
    assert!(matches!(error, StoreError::Unmigrated { found: 0, .. }), "{error}");
    assert!(error.to_string().contains("haulage migrate"), "{error}");
    let db = foreign(&url).await;
    let tables = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()";
    let count: i64 = db.query_one(tables, &[]).await.unwrap().get(0);
    assert_eq!(count, 0);

    PostgresStore::migrate(&url).await.unwrap();
    let later = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
        VALUES (77, 'later', '2030-01-01T00:00:00Z', '1')";
    db.batch_execute(later).await.unwrap();
    for error in [
        PostgresStore::open(&url, 3).await.map(drop).unwrap_err(),
        PostgresStore::migrate(&url).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Newer { found: 77, .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_what_the_rules_forbid() {
    let test = "the_database_itself_refuses_what_the_rules_forbid";
    let Some(cluster) = cluster::shared(MAX, test) else { return };
    let url = cluster.schema().await;
    let store = Arc::new(fresh(&url).await);
    let bed = Bed::new(store.clone()).await;
    let key = bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    bed.finish(claim, success(), at(1)).await;
    let pending = bed.one(at(2)).await;
    let db = foreign(&url).await;
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
        (pending, "halt_code = 'c', halt_message = 'm'"),
        (pending, "renewals = -1"),
        (pending, "lease_until = 5"),
        (pending, "account = 999"),
    ] {
        let change = format!("UPDATE job SET {change} WHERE key = {}", key.0);
        assert!(db.batch_execute(&change).await.is_err(), "{change}");
    }
    store.close().await.unwrap();
}

/// A version of a schema is what its migrations say: columns of both engines by name.
#[tokio::test(flavor = "multi_thread")]
async fn both_engines_keep_the_same_columns() {
    let test = "both_engines_keep_the_same_columns";
    let Some(cluster) = cluster::shared(Version::Fifteen, test) else { return };
    let url = cluster.schema().await;
    fresh(&url).await.close().await.unwrap();
    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns \
        WHERE table_schema = current_schema() AND table_name <> 'refinery_schema_history'";
    let here = foreign(&url).await.query(columns, &[]).await.unwrap();
    let here: std::collections::BTreeSet<String> = here.iter().map(|row| row.get(0)).collect();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    crate::store::sqlite::SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let there = crate::store::sqlite::tests::columns(&path);
    let only_here: Vec<&String> = here.difference(&there).collect();
    let only_there: Vec<&String> = there.difference(&here).collect();
    // Counters are in parts, a used-up nonce may stand beside its successor, and what nodes share
    // has tables of its own.
    let own = |column: &&&String| {
        let tables = ["node.", "installation.", "rate."];
        !column.ends_with(".part")
            && **column != "nonce.over"
            && !tables.iter().any(|table| column.starts_with(table))
    };
    assert_eq!(only_here.iter().filter(own).collect::<Vec<_>>(), Vec::<&&String>::new());
    assert_eq!(only_there, Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_breaks_the_promise_is_told_of_and_its_sessions_wait_for_the_disk() {
    let test = "a_server_that_breaks_the_promise_is_told_of_and_its_sessions_wait_for_the_disk";
    let settings = ["synchronous_commit=off", "full_page_writes=off"];
    let Some(cluster) = Cluster::start(Version::Fifteen, &settings) else {
        return cluster::skip(test, Version::Fifteen);
    };
    let url = cluster.schema().await;
    let store = fresh(&url).await;
    let told = PostgresStore::inspect(&url).await.unwrap().server.warnings.join("\n");
    for word in ["fsync = off", "full_page_writes = off", "synchronous_commit = off"] {
        assert!(told.contains(word), "{told}");
    }
    let setting = store.link.read((), |db, ()| {
        async move {
            let shown = rows(db, "SHOW synchronous_commit", &[]).await?;
            row::get::<String>(&shown[0], 0)
        }
        .boxed()
    });
    assert_eq!(setting.await.unwrap(), "on");
    store.close().await.unwrap();
}
