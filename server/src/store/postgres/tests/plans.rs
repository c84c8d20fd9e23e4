//! How the statements are planned: none that runs often may slow down as the queue grows.

use super::super::{connect, sql};
use super::cluster::{self, Version, foreign};
use super::fresh;
use crate::store::Store;

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_understood_by_the_engine() {
    let test = "every_statement_is_understood_by_the_engine";
    for version in [Version::Fifteen, Version::Eighteen] {
        let Some(cluster) = cluster::shared(version, test) else { return };
        let url = cluster.schema().await;
        fresh(&url).await.close().await.unwrap();
        let db = foreign(&url).await;
        assert!(sql::ALL.len() > 40);
        for (name, statement) in sql::ALL {
            if let Err(error) = db.prepare(statement).await {
                panic!("{version:?} {name}: {error:?}");
            }
        }
    }
}

/// Statement, the index that its search must use, and the table that it searches.
const HOT: &[(&str, &str, &str)] = &[
    ("KEY_FIND", sql::KEY_FIND, "access_key_id_key"),
    ("NONCE_SEEN", sql::NONCE_SEEN, "nonce_live"),
    ("NONCE_OVER", sql::NONCE_OVER, "nonce_live"),
    ("SUBMIT_LOCK", sql::SUBMIT_LOCK, "account_pkey"),
    ("SESSIONS_FIND", sql::SESSIONS_FIND, "session_pkey"),
    ("QUOTAS_FIND", sql::QUOTAS_FIND, "quota_pkey"),
    ("QUEUED", sql::QUEUED, "queue_pkey"),
    ("REFERENCES_HELD", sql::REFERENCES_HELD, "job_reference"),
    ("LANES", sql::LANES, "job_ready"),
    ("CLAIM_HOLD", sql::CLAIM_HOLD, "job_pkey"),
    ("CLAIM", sql::CLAIM, "job_pkey"),
    ("BEAT", sql::BEAT, "job_pkey"),
    ("HAND_BACK", sql::HAND_BACK, "job_pkey"),
    ("RETRY_LATER", sql::RETRY_LATER, "job_pkey"),
    ("SUCCEED", sql::SUCCEED, "job_pkey"),
    ("FAIL", sql::FAIL, "job_pkey"),
    ("EXPIRE", sql::EXPIRE, "job_lease"),
    ("HALT", sql::HALT, "job_pkey"),
    ("URL_OF", sql::URL_OF, "job_pkey"),
    ("REPLACE_URL", sql::REPLACE_URL, "job_pkey"),
    ("LAPSE", sql::LAPSE, "job_awaiting"),
    ("CANCEL", sql::CANCEL, "job_pkey"),
    ("CANCEL_URLS", sql::CANCEL_URLS, "job_url_pending"),
    ("STATES_OF", sql::STATES_OF, "job_pkey"),
    ("NEWEST_OF_URLS", sql::NEWEST_OF_URLS, "job_url"),
    ("INFOS_BY_ID", sql::INFOS_BY_ID, "job_pkey"),
    ("INFOS_BY_URL", sql::INFOS_BY_URL, "job_url"),
    ("PAGE_ALL", sql::PAGE_ALL, "job_pkey"),
    ("PAGE_STATE", sql::PAGE_STATE, "job_list"),
    ("PAGE_FAULT", sql::PAGE_FAULT, "job_fault"),
    ("PAGE_BEGIN_STATE", sql::PAGE_BEGIN_STATE, "job_list"),
    ("PAGE_BEGIN_FAULT", sql::PAGE_BEGIN_FAULT, "job_fault"),
    ("MEDIA_FIND", sql::MEDIA_FIND, "media_pkey"),
    ("MEDIA_OBJECTS", sql::MEDIA_OBJECTS, "media_pkey"),
    ("OLDEST_READY", sql::OLDEST_READY, "job_ready"),
    ("QUEUES", sql::QUEUES, "job_ready"),
    ("PENDING_JOBS", sql::PENDING_JOBS, "job_pkey"),
    ("AHEAD", sql::AHEAD, "job_ready"),
    ("ATTEMPTS", sql::ATTEMPTS, "attempt_pkey"),
    ("CONSOLE_FIND", sql::CONSOLE_FIND, "console_session_pkey"),
    ("FORGET_JOBS", sql::FORGET_JOBS, "job_forgettable"),
    ("FORGET_NONCES", sql::FORGET_NONCES, "nonce_expires"),
];

/// Those that sessions of readers run ([`connect::READER`]).
const READS: &[&str] = &[
    "KEY_FIND",
    "NONCE_SEEN",
    "INFOS_BY_ID",
    "INFOS_BY_URL",
    "PAGE_ALL",
    "PAGE_STATE",
    "PAGE_FAULT",
    "PAGE_BEGIN_STATE",
    "PAGE_BEGIN_FAULT",
    "MEDIA_FIND",
    "MEDIA_OBJECTS",
    "OLDEST_READY",
    "QUEUES",
    "PENDING_JOBS",
    "AHEAD",
    "ATTEMPTS",
    "CONSOLE_FIND",
];

/// Two accounts with pending jobs, jobs of every other state, and what belongs to them.
const MANY: &str = "INSERT INTO account (id, name, enabled, created) \
    VALUES (1, 'a', TRUE, 0), (2, 'b', TRUE, 0); \
    INSERT INTO job (key, account, state, attempt, rescues, token, due, lease_until, phase, bytes, \
    created, deadline, finished, url_hash, fault_code, fault_message, url, request) \
    SELECT n, 1 + n % 2, s, 0, 0, CASE WHEN s IN (0, 5) THEN 0 ELSE 1 END, \
    CASE WHEN s IN (0, 2) THEN n END, CASE WHEN s = 1 THEN n END, 0, 0, n, n, \
    CASE WHEN s >= 3 THEN n END, n % 1000, CASE WHEN s = 4 THEN 'URLInvalidError.Empty' END, \
    CASE WHEN s = 4 THEN 'm' END, 'http://h/' || n % 1000, '{}' \
    FROM (SELECT n, CASE WHEN n % 10 < 5 THEN 0 ELSE n % 10 - 4 END AS s \
    FROM generate_series(1, 60000) AS n) AS jobs; \
    INSERT INTO queue SELECT account, 0, COUNT(*) FILTER (WHERE state = 0), \
    COUNT(*) FILTER (WHERE state = 1), COUNT(*) FILTER (WHERE state = 2) FROM job GROUP BY account; \
    INSERT INTO access_key (id, account, sealed_secret, enabled, created) \
    SELECT 'K' || n, 1, '', TRUE, 0 FROM generate_series(1, 5000) AS n; \
    INSERT INTO console_session SELECT sha256(n::TEXT::BYTEA), 'K1', n, n \
    FROM generate_series(1, 5000) AS n; \
    INSERT INTO nonce (hash, expires) SELECT sha256(n::TEXT::BYTEA), n \
    FROM generate_series(1, 50000) AS n";

/// Asked of a version that plans without values (16 and newer), once with the statistics from when
/// the tables were empty, and once with new ones.
#[tokio::test(flavor = "multi_thread")]
async fn hot_statements_go_by_their_index_whatever_the_statistics_say() {
    let test = "hot_statements_go_by_their_index_whatever_the_statistics_say";
    let Some(cluster) = cluster::shared(Version::Eighteen, test) else { return };
    let url = cluster.schema().await;
    fresh(&url).await.close().await.unwrap();
    let db = foreign(&url).await;
    db.batch_execute(connect::SESSION).await.unwrap();
    let mut wrong: Vec<String> = Vec::new();
    // Nobody analyzes in between.
    let quiet = "ALTER TABLE job SET (autovacuum_enabled = off); \
        ALTER TABLE nonce SET (autovacuum_enabled = off); ANALYZE";
    db.batch_execute(quiet).await.unwrap();
    for fill in [MANY, "ANALYZE"] {
        db.batch_execute(fill).await.unwrap();
        for (name, statement, index) in HOT {
            let sort = if READS.contains(name) { "off" } else { "on" };
            let duty = format!("SET enable_sort = {sort}; SET enable_incremental_sort = {sort}");
            db.batch_execute(&duty).await.unwrap();
            let plan = format!("EXPLAIN (GENERIC_PLAN, COSTS OFF) {statement}");
            let said = db.simple_query(&plan).await.unwrap();
            let lines = said.iter().filter_map(|line| match line {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            let plan: Vec<&str> = lines.collect();
            let plan = plan.join("\n");
            let is_searched = plan.contains(&format!("using {index} "));
            let tables = ["job", "media", "nonce", "attempt"];
            let is_read_whole =
                tables.iter().any(|table| plan.contains(&format!("Seq Scan on {table}")));
            // What is sorted is what was asked about, never a queue.
            let is_claim = ["LANES", "AHEAD", "OLDEST_READY"].contains(name);
            if !is_searched || is_read_whole || (is_claim && plan.contains("Sort")) {
                wrong.push(format!("{name}:\n{plan}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
