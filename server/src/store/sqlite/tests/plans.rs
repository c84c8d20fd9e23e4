//! How the statements are planned: none that runs often may slow down as the queue grows.

use super::super::sql;
use super::Disk;

#[tokio::test]
async fn every_statement_is_understood_by_the_engine() {
    let disk = Disk::new();
    disk.open().await;
    let db = disk.foreign();
    assert!(sql::ALL.len() > 40);
    for (name, statement) in sql::ALL {
        if let Err(error) = db.prepare(statement) {
            panic!("{name}: {error}");
        }
    }
}

/// Statement and the index (or key) that its search must use.
const HOT: &[(&str, &str, &str)] = &[
    ("KEY_FIND", sql::KEY_FIND, "sqlite_autoindex_access_key_1 (id=?)"),
    ("SESSION_FIND", sql::SESSION_FIND, "PRIMARY KEY (account=? AND id=?)"),
    ("QUOTA_FIND", sql::QUOTA_FIND, "PRIMARY KEY (day=? AND account=?)"),
    ("QUEUED", sql::QUEUED, "INTEGER PRIMARY KEY (rowid=?)"),
    ("REFERENCE_HOLDER", sql::REFERENCE_HOLDER, "job_reference (account=? AND reference_id=?)"),
    ("LAST_KEY", sql::LAST_KEY, "SEARCH job"),
    ("CONTENDERS", sql::CONTENDERS, "SEARCH a USING INTEGER PRIMARY KEY (rowid=?)"),
    ("LANE", sql::LANE, "COVERING INDEX job_ready (account=? AND priority=? AND due>?)"),
    ("CLAIM", sql::CLAIM, "INTEGER PRIMARY KEY (rowid=?)"),
    ("BEAT", sql::BEAT, "INTEGER PRIMARY KEY (rowid=?)"),
    ("HAND_BACK", sql::HAND_BACK, "INTEGER PRIMARY KEY (rowid=?)"),
    ("RETRY_LATER", sql::RETRY_LATER, "INTEGER PRIMARY KEY (rowid=?)"),
    ("SUCCEED", sql::SUCCEED, "INTEGER PRIMARY KEY (rowid=?)"),
    ("FAIL", sql::FAIL, "INTEGER PRIMARY KEY (rowid=?)"),
    ("EXPIRE", sql::EXPIRE, "INDEX job_lease (lease_until<?)"),
    ("HALT", sql::HALT, "INTEGER PRIMARY KEY (rowid=?)"),
    ("URL_OF", sql::URL_OF, "INTEGER PRIMARY KEY (rowid=?)"),
    ("REPLACE_URL", sql::REPLACE_URL, "INTEGER PRIMARY KEY (rowid=?)"),
    ("LAPSE", sql::LAPSE, "INDEX job_awaiting (deadline<?)"),
    ("CANCEL", sql::CANCEL, "INTEGER PRIMARY KEY (rowid=?)"),
    ("CANCEL_URL", sql::CANCEL_URL, "job_url_pending (account=? AND url_hash=?)"),
    ("STATE_OF", sql::STATE_OF, "INTEGER PRIMARY KEY (rowid=?)"),
    ("NEWEST_OF_URL", sql::NEWEST_OF_URL, "job_url (account=? AND url_hash=?)"),
    ("INFO_BY_ID", sql::INFO_BY_ID, "INTEGER PRIMARY KEY (rowid=?)"),
    ("INFOS_BY_URL", sql::INFOS_BY_URL, "job_url (account=? AND url_hash=? AND rowid>?)"),
    ("PAGE_ALL", sql::PAGE_ALL, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    (
        "PAGE_STATE",
        sql::PAGE_STATE,
        "INDEX job_list (account=? AND state=? AND rowid>? AND rowid<?)",
    ),
    (
        "PAGE_FAULT",
        sql::PAGE_FAULT,
        "INDEX job_fault (account=? AND fault_code=? AND rowid>? AND rowid<?)",
    ),
    ("PENDING_JOB", sql::PENDING_JOB, "INTEGER PRIMARY KEY (rowid=?)"),
    (
        "AHEAD",
        sql::AHEAD,
        "COVERING INDEX job_ready (account=? AND priority=? AND due>? AND due<?)",
    ),
    ("ATTEMPT_END", sql::ATTEMPT_END, "INTEGER PRIMARY KEY (rowid=?)"),
    ("ATTEMPTS_EXPIRE", sql::ATTEMPTS_EXPIRE, "INDEX job_lease (lease_until<?)"),
    ("ATTEMPTS", sql::ATTEMPTS, "PRIMARY KEY (job=?)"),
    ("TALLIES", sql::TALLIES, "PRIMARY KEY (minute>?)"),
    ("TALLY_MINUTE", sql::TALLY_MINUTE, "PRIMARY KEY (minute>? AND minute<?)"),
    ("TALLIES_OF", sql::TALLIES_OF, "PRIMARY KEY (minute=? AND account=?)"),
    ("CONSOLE_FIND", sql::CONSOLE_FIND, "PRIMARY KEY (hash=?)"),
    ("CONSOLE_CLOSE", sql::CONSOLE_CLOSE, "PRIMARY KEY (hash=?)"),
    ("CONSOLE_TRIM", sql::CONSOLE_TRIM, "INDEX console_session_key (access_key_id=?)"),
    ("FORGET_CONSOLE", sql::FORGET_CONSOLE, "INDEX console_session_expires (expires<?)"),
    ("FORGET_TALLIES", sql::FORGET_TALLIES, "PRIMARY KEY (minute<?)"),
    ("JOB_BY_KEY", sql::JOB_BY_KEY, "INTEGER PRIMARY KEY (rowid=?)"),
    ("STATE_AND_TOKEN", sql::STATE_AND_TOKEN, "INTEGER PRIMARY KEY (rowid=?)"),
    ("MEDIA_FIND", sql::MEDIA_FIND, "INTEGER PRIMARY KEY (rowid=?)"),
    ("MEDIA_OBJECT", sql::MEDIA_OBJECT, "INTEGER PRIMARY KEY (rowid=?)"),
    (
        "OLDEST_READY",
        sql::OLDEST_READY,
        "COVERING INDEX job_ready (account=? AND priority=? AND due>?)",
    ),
    ("FORGET_NONCES", sql::FORGET_NONCES, "PRIMARY KEY (expires<?)"),
    ("FORGET_SESSIONS", sql::FORGET_SESSIONS, "session_expires (expires<?)"),
    ("FORGET_QUOTAS", sql::FORGET_QUOTAS, "PRIMARY KEY (day<?)"),
    ("FORGET_JOBS", sql::FORGET_JOBS, "INDEX job_forgettable (finished<?)"),
];

#[tokio::test]
async fn hot_statements_search_and_never_scan_or_sort_jobs() {
    let disk = Disk::new();
    disk.open().await;
    let db = disk.foreign();
    for (name, statement, expected) in HOT {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let none = vec![None::<i64>; explain.parameter_count()];
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(none), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(expected), "{name} does not use {expected}:\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{name} sorts:\n{plan}");
        for table in ["job", "media", "nonce", "session", "quota", "access_key", "attempt", "tally"]
        {
            assert!(!plan.contains(&format!("SCAN {table}")), "{name} scans:\n{plan}");
        }
    }
}
