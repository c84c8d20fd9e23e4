//! The database: its schema, its rules, its versions.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::super::link::rows;
use super::super::row;
use super::cluster::{self, Cluster, Version, foreign};
use super::{PostgresStore, fresh, open};
use crate::domain::job::{Phase, StateKind};
use crate::domain::time::Timestamp;
use crate::store::conformance::bed::{self, Bed, at, success};
use crate::store::{CancelVerdict, Desk, NodeRecord, Store, StoreError};

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

/// A rolling update: the schema is migrated while nodes of the release before work on, and those go on
/// until they are replaced. What they may not do is start anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_goes_on_after_the_next_migration_and_cannot_start_again() {
    let test = "a_node_that_runs_goes_on_after_the_next_migration_and_cannot_start_again";
    let Some(cluster) = cluster::shared(MAX, test) else { return };
    let url = cluster.schema().await;
    let old = Arc::new(fresh(&url).await);
    let bed = Bed::new(old.clone()).await;
    let running = bed.one(at(0)).await;
    let claim = bed.claim_one(at(0)).await;
    let urls = [bed::url("a.mp4")];
    assert_eq!(old.job_infos_by_url(bed.account, &urls, at(0)).await.unwrap()[0].len(), 1);
    // As migrations of a release are made: columns with a value of their own, another index, a table.
    let next = "ALTER TABLE job ADD COLUMN later TEXT NOT NULL DEFAULT 'x'; \
        ALTER TABLE node ADD COLUMN later BIGINT NOT NULL DEFAULT 0; \
        ALTER TABLE media ADD COLUMN later BIGINT; \
        ALTER TABLE attempt ADD COLUMN later BIGINT; \
        CREATE INDEX job_later ON job (later, key); CREATE TABLE later (id BIGINT PRIMARY KEY); \
        INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
        VALUES (77, 'later', '2030-01-01T00:00:00Z', '1')";
    foreign(&url).await.batch_execute(next).await.unwrap();
    let node = NodeRecord {
        id: "old".to_owned(),
        address: "h:1".to_owned(),
        roles: "api,worker".to_owned(),
        version: "0".to_owned(),
        started: at(0),
        seen: at(1),
        draining: false,
        transfers: 1,
    };
    old.node_beat(&node).await.unwrap();
    assert_eq!(old.nodes(at(0)).await.unwrap(), [node]);
    assert!(old.job_beat(&[claim.beat(Phase::Downloading, 7)], at(9)).await.unwrap().is_empty());
    bed.finish(claim, success(), at(1)).await;
    assert_eq!(bed.kind(running).await, StateKind::Succeeded);
    let pending = bed.one(at(2)).await;
    assert_eq!(bed.cancel(pending, at(3)).await, CancelVerdict::Canceled(vec![pending]));
    let retried = bed.one(at(4)).await;
    let claim = bed.claim_one(at(4)).await;
    bed.put_off(claim, at(5)).await;
    assert_eq!(bed.claim_one(at(6)).await.job().key, retried);
    assert_eq!(old.job_infos_by_url(bed.account, &urls, at(0)).await.unwrap()[0].len(), 3);
    old.close().await.unwrap();
    let error = PostgresStore::open(&url, 3).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 77, .. }), "{error}");
}

/// What nodes of the schema's version before write of their own accord, as it stood there. A migration
/// that they would break on fails here.
const OF_VERSION_FOUR: &[&str] = &[
    "INSERT INTO node (id, address, roles, version, started, seen, draining) \
        VALUES ('n', 'h:1', 'api', '0', 1, 2, FALSE) ON CONFLICT (id) DO UPDATE SET \
        seen = excluded.seen, draining = excluded.draining",
    "SELECT id, address, roles, version, started, seen, draining FROM node \
        WHERE seen >= 1 ORDER BY started, id LIMIT 9",
];

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_the_version_before_go_on_beside_those_of_this_one() {
    let test = "nodes_of_the_version_before_go_on_beside_those_of_this_one";
    let Some(cluster) = cluster::shared(MAX, test) else { return };
    let url = cluster.schema().await;
    let store = fresh(&url).await;
    let db = foreign(&url).await;
    for statement in OF_VERSION_FOUR {
        db.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let nodes = store.nodes(Timestamp(0)).await.unwrap();
    assert_eq!((nodes.len(), nodes[0].transfers), (1, 0), "it tells of no transfers");
    store.close().await.unwrap();
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
