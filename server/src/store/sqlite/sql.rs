//! Every statement of the SQLite backend, by name. A test prepares them all; another asserts how
//! the hot ones are planned.

/// The columns that [`super::row::job`] reads, in its order.
macro_rules! job_columns {
    () => {
        "key, account, state, attempt, rescues, token, due, lease_until, phase, bytes, created, \
         deadline, finished, fault_code, fault_message, url, request, claimed, renewals, \
         halt_code, halt_message"
    };
}

/// The columns that [`super::row::account`] reads, from its first index on.
macro_rules! account_columns {
    () => {
        "a.id, a.name, a.enabled, a.operator, a.created, a.weight, a.paused"
    };
}

/// The columns that [`super::row::facts_and_object`] reads, from its first index on.
macro_rules! object_columns {
    () => {
        "media_type, format, content_type, duration, width, height, bitrate, fps, codec, \
         object_key, size, sha256, crc64, location, md5"
    };
}

macro_rules! lane_head {
    ($priority:literal) => {
        concat!(
            "(SELECT MIN(due) FROM job INDEXED BY job_ready WHERE job.account = queue.account \
             AND priority = ",
            $priority,
            " AND due IS NOT NULL)"
        )
    };
}

/// The least due time in an account's lanes, one seek for each.
macro_rules! lane_heads {
    () => {
        concat!(
            "(SELECT MIN(due) FROM (SELECT ",
            lane_head!("0"),
            " AS due UNION ALL SELECT ",
            lane_head!("1"),
            " UNION ALL SELECT ",
            lane_head!("2"),
            "))"
        )
    };
}

/// Keys for a page, newest first, with whether the URL has the part that is looked for; the table
/// is not touched unless there is one.
macro_rules! page {
    ($index:literal $rule:literal) => {
        concat!(
            "SELECT key, CASE WHEN ?1 IS NULL THEN 1 ELSE instr(url, ?1) > 0 END FROM job ",
            $index,
            " WHERE key >= ?2 AND key < ?3 ",
            $rule,
            " ORDER BY key DESC LIMIT ?4"
        )
    };
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)+

        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

statements! {
    // Transactions.
    BEGIN_WRITE = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    SAVE = "SAVEPOINT command";
    KEEP = "RELEASE command";
    UNDO = "ROLLBACK TO command";

    // Accounts and keys.
    ACCOUNT_CREATE = "INSERT INTO account (name, enabled, created, operator) VALUES (?1, 1, ?2, ?3) \
        ON CONFLICT (name) DO NOTHING RETURNING id";
    ACCOUNT_LIST = concat!("SELECT ", account_columns!(), " FROM account AS a ORDER BY a.id");
    ACCOUNT_CHANGE = "UPDATE account SET enabled = COALESCE(?2, enabled), \
        weight = COALESCE(?3, weight), paused = COALESCE(?4, paused) WHERE name = ?1";
    ACCOUNT_FIND = concat!("SELECT ", account_columns!(), " FROM account AS a WHERE a.name = ?1");
    KEY_CREATE = "INSERT INTO access_key (id, account, sealed_secret, enabled, created) \
        SELECT ?1, id, ?3, ?4, ?5 FROM account WHERE id = ?2 ON CONFLICT (id) DO NOTHING";
    KEY_LIST = "SELECT id, account, sealed_secret, enabled, created FROM access_key \
        WHERE ?1 IS NULL OR account = ?1 ORDER BY seq";
    KEY_SET_ENABLED = "UPDATE access_key SET enabled = ?2 WHERE id = ?1";
    KEY_DELETE = "DELETE FROM access_key WHERE id = ?1";
    KEY_FIND = concat!(
        "SELECT k.id, k.account, k.sealed_secret, k.enabled, k.created, ",
        account_columns!(),
        " FROM access_key AS k JOIN account AS a ON a.id = k.account WHERE k.id = ?1"
    );

    // Nonces.
    OBJECTS_ALL = "SELECT location, object_key, size FROM media";
    NONCE_ALL = "SELECT expires, hash FROM nonce";
    NONCE_PUT = "INSERT OR IGNORE INTO nonce (expires, hash) VALUES (?1, ?2)";

    // Submission, in the order of judgement.
    SESSION_FIND = "SELECT fingerprint, keys FROM session \
        WHERE account = ?1 AND id = ?2 AND expires > ?3";
    QUOTA_FIND = "SELECT calls FROM quota WHERE day = ?1 AND account = ?2";
    QUEUED = "SELECT pending + waiting + awaiting FROM queue WHERE account = ?1";
    REFERENCE_HOLDER = "SELECT key FROM job INDEXED BY job_reference \
        WHERE account = ?1 AND reference_id = ?2 AND state NOT IN (4, 5)";
    LAST_KEY = "SELECT MAX(key) FROM job";
    JOB_INSERT = "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, \
        bytes, created, deadline, url_hash, reference_id, url, request, priority, host) \
        VALUES (?1, ?2, 0, 0, 0, 0, ?3, 0, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    QUOTA_COUNT = "INSERT INTO quota (day, account, calls) VALUES (?1, ?2, 1) \
        ON CONFLICT (day, account) DO UPDATE SET calls = calls + 1";
    SESSION_PUT = "INSERT OR REPLACE INTO session (account, id, fingerprint, keys, expires) \
        VALUES (?1, ?2, ?3, ?4, ?5)";

    // The claim: who has something queued, then the heads of their lanes.
    CONTENDERS = "SELECT q.account, a.weight, q.running FROM queue AS q \
        JOIN account AS a ON a.id = q.account WHERE q.pending + q.waiting > 0 AND NOT a.paused";
    /// Read up to the first job that can go. A bound on the due time would not end it any sooner.
    LANE = "SELECT due, key, host FROM job INDEXED BY job_ready \
        WHERE account = ?1 AND priority = ?2 AND due IS NOT NULL AND (due, key) > (?3, ?4) \
        ORDER BY due, key";
    CLAIM = concat!(
        "UPDATE job SET state = 1, attempt = attempt + 1, token = token + 1, due = NULL, \
         lease_until = ?2, phase = 0, bytes = 0, claimed = ?3 \
         WHERE key = ?1 AND state IN (0, 2) AND due <= ?3 RETURNING ",
        job_columns!()
    );

    // What workers write: the token in the WHERE clause is the fence.
    BEAT = "UPDATE job SET lease_until = ?3, phase = ?4, bytes = ?5 \
        WHERE key = ?1 AND token = ?2 AND state = 1";
    HAND_BACK = "UPDATE job SET state = 2, due = ?3, lease_until = NULL, \
        attempt = MAX(attempt - 1, 0) WHERE key = ?1 AND token = ?2 AND state = 1";
    RETRY_LATER = "UPDATE job SET state = 2, due = ?3, lease_until = NULL \
        WHERE key = ?1 AND token = ?2 AND state = 1";
    SUCCEED = "UPDATE job SET state = 3, lease_until = NULL, finished = ?3, bytes = ?4 \
        WHERE key = ?1 AND token = ?2 AND state = 1";
    /// The attempt that one of these ends is written before it, fenced in the same way.
    ATTEMPT_END = "INSERT INTO attempt (job, token, number, started, ended, ending, bytes, \
        fault_code, fault_message) \
        SELECT key, token, attempt, COALESCE(claimed, created), ?3, ?4, COALESCE(?5, bytes), ?6, ?7 \
        FROM job WHERE key = ?1 AND token = ?2 AND state = 1 RETURNING bytes";
    FAIL = "UPDATE job SET state = 4, lease_until = NULL, finished = ?3, fault_code = ?4, \
        fault_message = ?5 WHERE key = ?1 AND token = ?2 AND state = 1";
    MEDIA_INSERT = concat!(
        "INSERT INTO media (key, account, created, title, description, tags, cover_url, cate_id, \
         reference_id, user_data, ",
        object_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)"
    );
    /// Before [`EXPIRE`], with the same choice of jobs.
    ATTEMPTS_EXPIRE = "INSERT INTO attempt (job, token, number, started, ended, ending, bytes) \
        SELECT key, token, attempt, COALESCE(claimed, created), ?1, 4, bytes \
        FROM job INDEXED BY job_lease \
        WHERE lease_until <= ?2 ORDER BY lease_until, key LIMIT ?3";
    EXPIRE = "UPDATE job SET state = 2, due = ?1, lease_until = NULL, \
        attempt = MAX(attempt - 1, 0), rescues = rescues + 1 \
        WHERE key IN (SELECT key FROM job INDEXED BY job_lease \
        WHERE lease_until <= ?2 ORDER BY lease_until, key LIMIT ?3)";

    // Another URL for a job: which of these two wins, `deadline` says.
    HALT = "UPDATE job SET state = 6, lease_until = NULL, bytes = ?3, halt_code = ?4, \
        halt_message = ?5 WHERE key = ?1 AND token = ?2 AND state = 1";
    URL_OF = "SELECT state, renewals, url, request FROM job WHERE key = ?1 AND account = ?2";
    REPLACE_URL = "UPDATE job SET state = 2, due = ?3, attempt = 0, renewals = renewals + 1, \
        url = ?4, url_hash = ?5, request = ?6, host = ?7, halt_code = NULL, halt_message = NULL \
        WHERE key = ?1 AND account = ?2 AND state = 6 AND deadline > ?3";
    LAPSE = "UPDATE job SET state = 4, finished = ?1, fault_code = halt_code, \
        fault_message = halt_message || ?3, halt_code = NULL, halt_message = NULL \
        WHERE key IN (SELECT key FROM job INDEXED BY job_awaiting \
        WHERE state = 6 AND deadline <= ?1 ORDER BY deadline, key LIMIT ?2) \
        RETURNING account, created, bytes, fault_code";

    // Cancelling: `state = 0` in the WHERE clause is the whole rule.
    CANCEL = "UPDATE job SET state = 5, due = NULL, finished = ?3 \
        WHERE key = ?1 AND account = ?2 AND state = 0 RETURNING created";
    CANCEL_URL = "UPDATE job INDEXED BY job_url_pending \
        SET state = 5, due = NULL, finished = ?4 \
        WHERE account = ?1 AND url_hash = ?2 AND url = ?3 AND state = 0 RETURNING key, created";
    STATE_OF = "SELECT state FROM job WHERE key = ?1 AND account = ?2";
    NEWEST_OF_URL = "SELECT key, state FROM job INDEXED BY job_url \
        WHERE account = ?1 AND url_hash = ?2 AND url = ?3 ORDER BY key DESC LIMIT 1";

    // Queries.
    INFO_BY_ID = concat!(
        "SELECT ", job_columns!(), " FROM job WHERE key = ?1 AND account = ?2 AND created >= ?3"
    );
    /// A key is never older than its job's creation, so the bound on keys leaves nothing out.
    INFOS_BY_URL = concat!(
        "SELECT ", job_columns!(), " FROM job INDEXED BY job_url \
         WHERE account = ?1 AND url_hash = ?2 AND key >= ?3 AND url = ?4 AND created >= ?5 \
         ORDER BY key DESC LIMIT ?6"
    );
    PAGE_ALL = page!("" "");
    PAGE_STATE = page!("INDEXED BY job_list" "AND account = ?5 AND state = ?6");
    PAGE_FAULT = page!("INDEXED BY job_fault" "AND account = ?5 AND fault_code = ?6");
    /// Every account that ever had a job.
    PAGE_ACCOUNTS = "SELECT account FROM queue";
    JOB_BY_KEY = concat!("SELECT ", job_columns!(), " FROM job WHERE key = ?1");
    STATE_AND_TOKEN = "SELECT state, token FROM job WHERE key = ?1";
    MEDIA_FIND = concat!(
        "SELECT created, title, description, tags, cover_url, cate_id, reference_id, user_data, ",
        object_columns!(),
        " FROM media WHERE key = ?1 AND account = ?2"
    );
    MEDIA_OBJECT = concat!("SELECT ", object_columns!(), " FROM media WHERE key = ?1");
    QUEUE_TOTALS = "SELECT COALESCE(SUM(pending), 0), COALESCE(SUM(running), 0), \
        COALESCE(SUM(waiting), 0), COALESCE(SUM(awaiting), 0) FROM queue";
    /// Of accounts that are not paused: the heads of their lanes.
    OLDEST_READY = concat!(
        "SELECT MIN(at) FROM (SELECT ", lane_heads!(), " AS at \
        FROM queue JOIN account AS a ON a.id = queue.account \
        WHERE pending + waiting > 0 AND NOT a.paused)"
    );

    // The desk.
    ATTEMPTS = "SELECT token, number, started, ended, ending, bytes, fault_code, fault_message \
        FROM attempt WHERE job = ?1 ORDER BY token";
    QUEUES = concat!(
        "SELECT account, pending, running, waiting, ", lane_heads!(), ", awaiting \
        FROM queue WHERE pending + running + waiting + awaiting > 0 \
        ORDER BY pending + running + waiting + awaiting DESC, account LIMIT ?1"
    );
    PENDING_JOB = "SELECT account, due, priority FROM job WHERE key = ?1 AND state = 0";
    AHEAD = "SELECT COUNT(*) FROM (SELECT 1 FROM job INDEXED BY job_ready \
        WHERE account = ?1 AND priority = ?2 AND due IS NOT NULL AND (due, key) < (?3, ?4) LIMIT ?5)";
    TALLY_ADD = "INSERT INTO tally (minute, account, what, code, jobs, bytes, millis) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (minute, account, what, code) DO UPDATE \
        SET jobs = jobs + excluded.jobs, bytes = bytes + excluded.bytes, \
        millis = millis + excluded.millis";
    TALLIES = "SELECT minute, account, what, code, jobs, bytes, millis FROM tally \
        WHERE minute >= ?1 ORDER BY minute DESC, account DESC, what DESC, code DESC LIMIT ?2";
    /// Those of one account: a loose scan of the minutes, then one seek for each.
    TALLY_MINUTE = "SELECT minute FROM tally WHERE minute >= ?1 AND minute < ?2 \
        ORDER BY minute DESC LIMIT 1";
    TALLIES_OF = "SELECT minute, account, what, code, jobs, bytes, millis FROM tally \
        WHERE minute = ?1 AND account = ?2 ORDER BY what DESC, code DESC";
    CONSOLE_OPEN = "INSERT OR REPLACE INTO console_session (hash, access_key_id, created, expires) \
        VALUES (?1, ?2, ?3, ?4)";
    CONSOLE_TRIM = "DELETE FROM console_session WHERE hash IN (SELECT hash \
        FROM console_session INDEXED BY console_session_key WHERE access_key_id = ?1 \
        ORDER BY created DESC, hash DESC LIMIT -1 OFFSET ?2)";
    CONSOLE_FIND = "SELECT hash, access_key_id, created, expires FROM console_session \
        WHERE hash = ?1 AND expires > ?2";
    CONSOLE_CLOSE = "DELETE FROM console_session WHERE hash = ?1";

    // Forgetting.
    FORGET_NONCES = "DELETE FROM nonce WHERE (expires, hash) IN (SELECT expires, hash FROM nonce \
        WHERE expires < ?1 ORDER BY expires, hash LIMIT ?2)";
    FORGET_SESSIONS = "DELETE FROM session WHERE (account, id) IN (SELECT account, id \
        FROM session INDEXED BY session_expires WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    FORGET_CONSOLE = "DELETE FROM console_session WHERE hash IN (SELECT hash \
        FROM console_session INDEXED BY console_session_expires \
        WHERE expires <= ?1 ORDER BY expires, hash LIMIT ?2)";
    FORGET_TALLIES = "DELETE FROM tally WHERE (minute, account, what, code) IN \
        (SELECT minute, account, what, code FROM tally \
        WHERE minute < ?1 ORDER BY minute, account, what, code LIMIT ?2)";
    FORGET_QUOTAS = "DELETE FROM quota WHERE day < ?1";
    FORGET_JOBS = "DELETE FROM job WHERE key IN (SELECT key FROM job INDEXED BY job_forgettable \
        WHERE state >= 4 AND finished < ?1 ORDER BY finished, key LIMIT ?2)";
}
