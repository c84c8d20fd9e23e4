//! Every statement of the PostgreSQL backend, by name. A test prepares them all; another asserts how
//! the hot ones are planned.
//!
//! A column whose index must not be taken for the better one is written `account + 0`.
//!
//! Rows are locked in the order of their keys, and counters after everything else, in their own
//! order: transactions that lock what they need in one order cannot wait for each other in a circle.

/// The columns that [`super::row::job`] reads, in its order.
macro_rules! job_columns {
    () => {
        "job.key, job.account, job.state::BIGINT, job.attempt::BIGINT, job.rescues::BIGINT, \
         job.token, job.due, job.lease_until, job.phase::BIGINT, job.bytes, job.created, \
         job.deadline, job.finished, job.fault_code, job.fault_message, job.url, job.request, \
         job.claimed, job.renewals::BIGINT, job.halt_code, job.halt_message"
    };
}

/// How many columns that is.
pub(super) const JOB_COLUMNS: usize = 21;

/// The columns that [`super::row::account`] reads, from its first index on.
macro_rules! account_columns {
    () => {
        "a.id, a.name, a.enabled, a.operator, a.created, a.weight::BIGINT, a.paused"
    };
}

/// The columns that [`super::row::facts_and_object`] reads, from its first index on.
macro_rules! object_columns {
    () => {
        "media.media_type::BIGINT, media.format, media.content_type, media.duration, media.width, \
         media.height, media.bitrate, media.fps, media.codec, media.object_key, media.size, \
         media.sha256, media.crc64, media.location, media.md5"
    };
}

/// A worker's last word on a claim, fenced by its token: the attempt is written down as it was, the
/// oldest beyond those kept goes, and the job changes. `$1` is the key, `$2` the token, `$3` the time,
/// `$4` the ending, `$5` the size or nothing, `$6` and `$7` the fault.
macro_rules! ending {
    ($change:literal) => {
        concat!(
            "WITH held AS (SELECT key, token, attempt, COALESCE(claimed, created) AS started, \
             COALESCE($5::BIGINT, bytes) AS bytes, account, created, state FROM job \
             WHERE key = $1 AND token = $2 AND state = 1 FOR UPDATE), \
             noted AS (INSERT INTO attempt (job, token, number, started, ended, ending, bytes, \
             fault_code, fault_message) \
             SELECT key, token, attempt, started, $3, $4::SMALLINT, bytes, $6::TEXT, $7::TEXT \
             FROM held), \
             cut AS (DELETE FROM attempt USING held \
             WHERE attempt.job = held.key AND attempt.token <= held.token - 50) \
             UPDATE job SET ",
            $change,
            " FROM held WHERE job.key = held.key RETURNING held.bytes, held.account, held.created"
        )
    };
}

/// For each account of `busy` the heads of its lanes, one seek for each.
macro_rules! lane_heads {
    () => {
        "CROSS JOIN (VALUES (0::SMALLINT), (1::SMALLINT), (2::SMALLINT)) AS lane (priority) \
         CROSS JOIN LATERAL (SELECT job.due FROM job WHERE job.account = busy.account \
         AND job.priority = lane.priority AND job.due IS NOT NULL \
         ORDER BY job.due, job.key LIMIT 1) AS first"
    };
}

/// Keys of one stretch of an index, newest first, with whether the URL has the part that is looked
/// for. The stretch is written as a range of the whole index, so that no other index can seem as
/// good: a state may be rare.
macro_rules! page {
    ($column:literal $kind:literal) => {
        concat!(
            "SELECT key, CASE WHEN $1::TEXT IS NULL THEN TRUE ELSE strpos(url, $1) > 0 END \
             FROM job WHERE (account, ",
            $column,
            ", key) >= ($5::BIGINT, $6::",
            $kind,
            ", $2::BIGINT) AND (account, ",
            $column,
            ", key) < ($5, $6, $3::BIGINT) AND ",
            $column,
            " IS NOT NULL ORDER BY account DESC, ",
            $column,
            " DESC, key DESC LIMIT $4"
        )
    };
}

/// The first rows of several stretches at once, with the stretch's place.
macro_rules! page_begin {
    ($column:literal $kind:literal) => {
        concat!(
            "SELECT stretch.place, found.key, found.hit FROM \
             unnest($5::BIGINT[], $6::",
            $kind,
            "[]) WITH ORDINALITY AS stretch (account, what, place) CROSS JOIN LATERAL \
             (SELECT job.key, CASE WHEN $1::TEXT IS NULL THEN TRUE \
             ELSE strpos(job.url, $1) > 0 END AS hit FROM job \
             WHERE (job.account, job.",
            $column,
            ", job.key) >= (stretch.account, stretch.what, $2::BIGINT) AND (job.account, job.",
            $column,
            ", job.key) < (stretch.account, stretch.what, $3::BIGINT) AND job.",
            $column,
            " IS NOT NULL ORDER BY job.account DESC, job.",
            $column,
            " DESC, job.key DESC LIMIT $4) AS found ORDER BY stretch.place, found.key DESC"
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
    /// The database's time. Not that of the transaction's start: it may have waited.
    NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";

    // Accounts and keys.
    ACCOUNT_CREATE = "INSERT INTO account (name, enabled, created, operator) \
        VALUES ($1, TRUE, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING id";
    ACCOUNT_LIST = concat!("SELECT ", account_columns!(), " FROM account AS a ORDER BY a.id");
    ACCOUNT_CHANGE = concat!(
        "UPDATE account AS a SET enabled = COALESCE($2, a.enabled), \
         weight = COALESCE($3::SMALLINT, a.weight), paused = COALESCE($4, a.paused) \
         WHERE a.name = $1 RETURNING ",
        account_columns!()
    );
    KEY_CREATE = "INSERT INTO access_key (id, account, sealed_secret, enabled, created) \
        SELECT $1, id, $3, $4, $5 FROM account WHERE id = $2 ON CONFLICT (id) DO NOTHING";
    KEY_LIST = "SELECT id, account, sealed_secret, enabled, created FROM access_key \
        WHERE $1::BIGINT IS NULL OR account = $1 ORDER BY seq";
    KEY_SET_ENABLED = "UPDATE access_key SET enabled = $2 WHERE id = $1";
    KEY_DELETE = "DELETE FROM access_key WHERE id = $1";
    KEY_FIND = concat!(
        "SELECT k.id, k.account, k.sealed_secret, k.enabled, k.created, ",
        account_columns!(),
        " FROM access_key AS k JOIN account AS a ON a.id = k.account WHERE k.id = $1"
    );

    // Nonces, many at once.
    NONCE_SEEN = "SELECT expires FROM nonce WHERE hash = $1 AND NOT over";
    NONCE_OVER = "WITH past AS (SELECT nonce.hash FROM nonce JOIN \
        unnest($1::BYTEA[], $2::BIGINT[]) AS wanted (hash, now) ON wanted.hash = nonce.hash \
        WHERE NOT nonce.over AND nonce.expires <= wanted.now ORDER BY nonce.hash \
        FOR UPDATE OF nonce) \
        UPDATE nonce SET over = TRUE FROM past WHERE nonce.hash = past.hash AND NOT nonce.over";
    NONCE_TAKE = "INSERT INTO nonce (hash, expires) \
        SELECT hash, expires FROM unnest($1::BYTEA[], $2::BIGINT[]) AS wanted (hash, expires) \
        ORDER BY hash ON CONFLICT (hash) WHERE NOT over DO NOTHING RETURNING hash";

    // Submission, many at once, in the order of judgement. The lock makes one account's submissions
    // wait for each other on all nodes, so that what is read after it is what is judged by.
    SUBMIT_LOCK = "SELECT id FROM account WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    SESSIONS_FIND = "SELECT account, id, fingerprint, keys, expires FROM session JOIN \
        unnest($1::BIGINT[], $2::TEXT[]) AS wanted (account, id) USING (account, id)";
    QUOTAS_FIND = "SELECT day, account, calls FROM quota JOIN \
        unnest($1::BIGINT[], $2::BIGINT[]) AS wanted (day, account) USING (day, account)";
    QUEUED = "SELECT account, SUM(pending + waiting + awaiting)::BIGINT FROM queue \
        WHERE account = ANY($1) GROUP BY account";
    REFERENCES_HELD = "SELECT wanted.account, wanted.id FROM \
        unnest($1::BIGINT[], $2::TEXT[]) AS wanted (account, id) \
        WHERE EXISTS (SELECT 1 FROM job WHERE job.account = wanted.account \
        AND job.reference_id = wanted.id AND job.reference_id IS NOT NULL \
        AND job.state NOT IN (4, 5))";
    KEYS_TAKE = "SELECT job_keys($1, $2)";
    JOBS_INSERT = "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, \
        bytes, created, deadline, url_hash, reference_id, url, request, priority, host) \
        SELECT key, account, 0, 0, 0, 0, created, 0, 0, created, deadline, url_hash, \
        reference_id, url, request, priority, host \
        FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], \
        $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::SMALLINT[], $10::BIGINT[]) AS new \
        (key, account, created, deadline, url_hash, reference_id, url, request, priority, host)";
    QUOTAS_COUNT = "INSERT INTO quota (day, account, calls) \
        SELECT day, account, calls FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) \
        AS new (day, account, calls) ORDER BY day, account \
        ON CONFLICT (day, account) DO UPDATE SET calls = quota.calls + excluded.calls";
    SESSION_PUT = "INSERT INTO session (account, id, fingerprint, keys, expires) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, id) DO UPDATE SET \
        fingerprint = excluded.fingerprint, keys = excluded.keys, expires = excluded.expires";

    // The claim: who has something queued, the heads of their lanes, then what was chosen of them.
    CLAIM_LOCK = "SELECT pg_advisory_xact_lock(1212241228, 2)";
    CONTENDERS = "SELECT a.id, a.weight::BIGINT, busy.running FROM (SELECT account, \
        SUM(running)::BIGINT AS running FROM queue GROUP BY account \
        HAVING SUM(pending + waiting) > 0) AS busy \
        JOIN account AS a ON a.id = busy.account WHERE NOT a.paused";
    /// Of each lane at most `$7` entries behind a place, without the keys `$6`. First which lane it
    /// is, from 1.
    LANES = "SELECT lane.place, found.due, found.key, found.host FROM \
        unnest($1::BIGINT[], $2::SMALLINT[], $3::BIGINT[], $4::BIGINT[]) WITH ORDINALITY \
        AS lane (account, priority, due, key, place) CROSS JOIN LATERAL \
        (SELECT job.due, job.key, job.host FROM job WHERE job.account = lane.account \
        AND job.priority = lane.priority AND (job.due, job.key) > (lane.due, lane.key) \
        AND job.due <= $5 AND job.key <> ALL($6::BIGINT[]) \
        ORDER BY job.due, job.key LIMIT $7) AS found";
    /// Rows that another transaction holds are passed over.
    CLAIM_HOLD = "SELECT key, state::BIGINT FROM job WHERE key = ANY($1) AND due + 0 <= $2 \
        ORDER BY key FOR UPDATE SKIP LOCKED";
    CLAIM = concat!(
        "UPDATE job SET state = 1, attempt = attempt + 1, token = token + 1, due = NULL, \
         lease_until = $3, phase = 0, bytes = 0, claimed = $2 \
         WHERE key = ANY($1) AND due + 0 <= $2 RETURNING ",
        job_columns!()
    );

    // What workers write: the token in the WHERE clause is the fence.
    BEAT = "WITH held AS (SELECT job.key, beat.phase, beat.bytes FROM job JOIN \
        unnest($1::BIGINT[], $2::BIGINT[], $3::SMALLINT[], $4::BIGINT[]) \
        AS beat (key, token, phase, bytes) ON job.key = beat.key AND job.token = beat.token \
        WHERE job.state = 1 ORDER BY job.key FOR UPDATE OF job) \
        UPDATE job SET lease_until = $5, phase = held.phase, bytes = held.bytes \
        FROM held WHERE job.key = held.key RETURNING job.key, job.token";
    HAND_BACK = ending!(
        "state = 2, due = $8, lease_until = NULL, attempt = GREATEST(job.attempt - 1, 0)"
    );
    RETRY_LATER = ending!("state = 2, due = $8, lease_until = NULL");
    SUCCEED = ending!("state = 3, lease_until = NULL, finished = $3, bytes = held.bytes");
    FAIL = ending!(
        "state = 4, lease_until = NULL, finished = $3, fault_code = $6, fault_message = $7"
    );
    MEDIA_INSERT = "INSERT INTO media (key, account, created, title, description, tags, cover_url, \
        cate_id, reference_id, user_data, media_type, format, content_type, duration, width, \
        height, bitrate, fps, codec, object_key, size, sha256, crc64, location, md5) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::BIGINT, $12, $13, $14, $15, $16, \
        $17, $18, $19, $20, $21, $22, $23, $24, $25)";
    /// Leases that ended by `$2`; not before the database's own clock says so, unless `$4`.
    EXPIRE = "WITH over AS (SELECT key, token, attempt, COALESCE(claimed, created) AS started, \
        bytes FROM job WHERE lease_until <= $2 AND ($4 OR lease_until <= \
        (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT) \
        ORDER BY lease_until, key LIMIT $3 FOR UPDATE SKIP LOCKED), \
        noted AS (INSERT INTO attempt (job, token, number, started, ended, ending, bytes) \
        SELECT key, token, attempt, started, $1, 4, bytes FROM over), \
        cut AS (DELETE FROM attempt USING over \
        WHERE attempt.job = over.key AND attempt.token <= over.token - 50) \
        UPDATE job SET state = 2, due = $1, lease_until = NULL, \
        attempt = GREATEST(job.attempt - 1, 0), rescues = rescues + 1 \
        FROM over WHERE job.key = over.key RETURNING job.account";

    // Another URL for a job: which of these two wins, `deadline` says.
    HALT = ending!(
        "state = 6, lease_until = NULL, bytes = held.bytes, halt_code = $6, halt_message = $7"
    );
    URL_OF = "SELECT state::BIGINT, renewals::BIGINT, url, request FROM job \
        WHERE key = $1 AND account + 0 = $2 FOR UPDATE";
    REPLACE_URL = "UPDATE job SET state = 2, due = $3, attempt = 0, renewals = renewals + 1, \
        url = $4, url_hash = $5, request = $6, host = $7, halt_code = NULL, halt_message = NULL \
        WHERE key = $1 AND account + 0 = $2 AND state + 0 = 6 AND deadline > $3";
    LAPSE = "WITH over AS (SELECT key FROM job WHERE state = 6 AND deadline <= $1 \
        ORDER BY deadline, key LIMIT $2 FOR UPDATE SKIP LOCKED) \
        UPDATE job SET state = 4, finished = $1, fault_code = halt_code, \
        fault_message = halt_message || $3, halt_code = NULL, halt_message = NULL \
        FROM over WHERE job.key = over.key \
        RETURNING job.account, job.created, job.bytes, job.fault_code";

    // Cancelling: `state = 0` under the lock is the whole rule.
    CANCEL = "WITH wanted AS (SELECT key FROM job \
        WHERE key = ANY($1) AND account = $2 AND state = 0 ORDER BY key FOR UPDATE) \
        UPDATE job SET state = 5, due = NULL, finished = $3 FROM wanted \
        WHERE job.key = wanted.key RETURNING job.key, job.created";
    /// With the place of the URL, from 1.
    CANCEL_URLS = "WITH wanted AS (SELECT job.key, asked.place FROM job JOIN \
        unnest($2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS asked (url_hash, url, place) \
        ON job.url_hash = asked.url_hash AND job.url = asked.url \
        WHERE job.account = $1 AND job.state = 0 ORDER BY job.key FOR UPDATE OF job) \
        UPDATE job SET state = 5, due = NULL, finished = $4 FROM wanted \
        WHERE job.key = wanted.key RETURNING job.key, job.created, wanted.place";
    /// A job that is pending now was submitted after the cancel, which left none pending.
    STATES_OF = "SELECT key, state::BIGINT FROM job \
        WHERE key = ANY($1) AND account + 0 = $2 AND state <> 0";
    NEWEST_OF_URLS = "SELECT asked.place, found.key, found.state::BIGINT FROM \
        unnest($2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS asked (url_hash, url, place) \
        CROSS JOIN LATERAL (SELECT job.key, job.state FROM job WHERE job.account = $1 \
        AND job.url_hash = asked.url_hash AND job.url = asked.url AND job.state <> 0 \
        ORDER BY job.key DESC LIMIT 1) AS found";

    // Queries.
    INFOS_BY_ID = concat!(
        "SELECT ", job_columns!(), " FROM job \
         WHERE key = ANY($1) AND account + 0 = $2 AND created >= $3"
    );
    /// A key is never older than its job's creation, so the bound on keys leaves nothing out.
    INFOS_BY_URL = concat!(
        "SELECT ", job_columns!(), ", asked.place FROM \
         unnest($2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS asked (url_hash, url, place) \
         CROSS JOIN LATERAL (SELECT * FROM job AS found WHERE found.account = $1 \
         AND found.url_hash = asked.url_hash AND found.key >= $4 AND found.url = asked.url \
         AND found.created >= $5 ORDER BY found.key DESC LIMIT $6) AS job \
         ORDER BY asked.place, job.key DESC"
    );
    PAGE_ALL = "SELECT key, CASE WHEN $1::TEXT IS NULL THEN TRUE ELSE strpos(url, $1) > 0 END \
        FROM job WHERE key >= $2 AND key < $3 ORDER BY key DESC LIMIT $4";
    PAGE_STATE = page!("state" "SMALLINT");
    PAGE_FAULT = page!("fault_code" "TEXT");
    PAGE_BEGIN_STATE = page_begin!("state" "SMALLINT");
    PAGE_BEGIN_FAULT = page_begin!("fault_code" "TEXT");
    /// Every account that ever had a job.
    PAGE_ACCOUNTS = "SELECT DISTINCT account FROM queue ORDER BY account";
    JOBS_BY_KEY = concat!("SELECT ", job_columns!(), " FROM job WHERE key = ANY($1)");
    STATES_AND_TOKENS = "SELECT key, state::BIGINT, token FROM job WHERE key = ANY($1)";
    /// Of a job and, if it has one, its medium: one statement, so that both are of one moment.
    MEDIA_FIND = concat!(
        "SELECT job.key, job.state::BIGINT, media.created, media.title, media.description, \
         media.tags, media.cover_url, media.cate_id, media.reference_id, media.user_data, ",
        object_columns!(),
        " FROM job LEFT JOIN media ON media.key = job.key WHERE job.account = $2 AND job.key = $1"
    );
    MEDIA_BY_REFERENCE = concat!(
        "SELECT job.key, job.state::BIGINT, media.created, media.title, media.description, \
         media.tags, media.cover_url, media.cate_id, media.reference_id, media.user_data, ",
        object_columns!(),
        " FROM job LEFT JOIN media ON media.key = job.key WHERE job.account = $2 \
         AND job.reference_id = $1 AND job.reference_id IS NOT NULL AND job.state NOT IN (4, 5)"
    );
    MEDIA_OBJECTS = concat!(
        "SELECT media.key, ", object_columns!(), " FROM media WHERE media.key = ANY($1)"
    );
    /// The stored objects after a key, for a backup.
    OBJECTS_AFTER = "SELECT key, location, object_key, size FROM media \
        WHERE key > $1 ORDER BY key LIMIT $2";
    QUEUE_TOTALS = "SELECT COALESCE(SUM(pending), 0)::BIGINT, COALESCE(SUM(running), 0)::BIGINT, \
        COALESCE(SUM(waiting), 0)::BIGINT, COALESCE(SUM(awaiting), 0)::BIGINT FROM queue";
    /// Of accounts that are not paused: the heads of their lanes.
    OLDEST_READY = concat!(
        "SELECT MIN(first.due) FROM (SELECT account FROM queue GROUP BY account \
         HAVING SUM(pending + waiting) > 0) AS busy JOIN account AS a ON a.id = busy.account ",
        lane_heads!(),
        " WHERE NOT a.paused"
    );

    // Counters: the part of this session.
    QUEUE_ADD = "INSERT INTO queue (account, part, pending, running, waiting, awaiting) \
        SELECT account, (pg_backend_pid() % 16)::SMALLINT, pending, running, waiting, awaiting \
        FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[]) \
        AS new (account, pending, running, waiting, awaiting) ORDER BY account \
        ON CONFLICT (account, part) DO UPDATE SET pending = queue.pending + excluded.pending, \
        running = queue.running + excluded.running, waiting = queue.waiting + excluded.waiting, \
        awaiting = queue.awaiting + excluded.awaiting";
    TALLY_ADD = "INSERT INTO tally (minute, account, what, code, part, jobs, bytes, millis) \
        SELECT minute, account, what, code, (pg_backend_pid() % 16)::SMALLINT, jobs, bytes, millis \
        FROM unnest($1::BIGINT[], $2::BIGINT[], $3::SMALLINT[], $4::TEXT[], $5::BIGINT[], \
        $6::BIGINT[], $7::BIGINT[]) AS new (minute, account, what, code, jobs, bytes, millis) \
        ORDER BY minute, account, what, code \
        ON CONFLICT (minute, account, what, code, part) DO UPDATE \
        SET jobs = tally.jobs + excluded.jobs, bytes = tally.bytes + excluded.bytes, \
        millis = tally.millis + excluded.millis";

    // The desk.
    ATTEMPTS = "SELECT job, token, number::BIGINT, started, ended, ending::BIGINT, bytes, \
        fault_code, fault_message FROM attempt WHERE job = ANY($1) ORDER BY job, token";
    QUEUES = concat!(
        "SELECT busy.account, busy.pending, busy.running, busy.waiting, \
         (SELECT MIN(first.due) FROM (SELECT 1) AS one ",
        lane_heads!(),
        "), busy.awaiting FROM (SELECT account, \
         SUM(pending)::BIGINT AS pending, SUM(running)::BIGINT AS running, \
         SUM(waiting)::BIGINT AS waiting, SUM(awaiting)::BIGINT AS awaiting FROM queue \
         GROUP BY account HAVING SUM(pending + running + waiting + awaiting) > 0) AS busy \
         ORDER BY busy.pending + busy.running + busy.waiting + busy.awaiting DESC, busy.account \
         LIMIT $1"
    );
    PENDING_JOBS = "SELECT key, account, due, priority::BIGINT FROM job \
        WHERE key = ANY($1) AND state + 0 = 0";
    /// How many entries of each lane stand before a place, counted up to `$5`.
    AHEAD = "SELECT lane.place, counted.ahead FROM \
        unnest($1::BIGINT[], $2::SMALLINT[], $3::BIGINT[], $4::BIGINT[]) WITH ORDINALITY \
        AS lane (account, priority, due, key, place) CROSS JOIN LATERAL \
        (SELECT COUNT(*) AS ahead FROM (SELECT 1 FROM job WHERE job.account = lane.account \
        AND job.priority = lane.priority AND job.due IS NOT NULL \
        AND (job.due, job.key) < (lane.due, lane.key) \
        ORDER BY job.due, job.key LIMIT $5) AS before) AS counted";
    TALLIES = "SELECT minute, account, what::BIGINT, code, SUM(jobs)::BIGINT, SUM(bytes)::BIGINT, \
        SUM(millis)::BIGINT FROM tally WHERE minute >= $1 GROUP BY minute, account, what, code \
        ORDER BY minute DESC, account DESC, what DESC, code DESC LIMIT $2";
    TALLIES_OF = "SELECT minute, account, what::BIGINT, code, SUM(jobs)::BIGINT, \
        SUM(bytes)::BIGINT, SUM(millis)::BIGINT FROM tally WHERE minute >= $1 AND account = $3 \
        GROUP BY minute, account, what, code ORDER BY minute DESC, what DESC, code DESC LIMIT $2";
    CONSOLE_OPEN = "INSERT INTO console_session (hash, access_key_id, created, expires) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO UPDATE SET \
        access_key_id = excluded.access_key_id, created = excluded.created, \
        expires = excluded.expires";
    CONSOLE_TRIM = "DELETE FROM console_session WHERE hash IN (SELECT hash FROM console_session \
        WHERE access_key_id = $1 ORDER BY created DESC, hash DESC OFFSET $2)";
    CONSOLE_FIND = "SELECT hash, access_key_id, created, expires FROM console_session \
        WHERE hash = $1";
    CONSOLE_CLOSE = "DELETE FROM console_session WHERE hash = $1";

    // The installation, its nodes, and what they share.
    MASTER_KEY_KEEP = "INSERT INTO installation (one, master_key) VALUES (TRUE, $1) \
        ON CONFLICT (one) DO NOTHING";
    MASTER_KEY_FIND = "SELECT master_key FROM installation";
    /// Changes nothing. What commits it is a primary whose standby still follows it.
    STILL_PRIMARY = "UPDATE installation SET one = TRUE WHERE one";
    NODE_BEAT = "INSERT INTO node (id, address, roles, version, started, seen, draining, transfers) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET \
        seen = excluded.seen, draining = excluded.draining, transfers = excluded.transfers";
    NODE_LEAVE = "DELETE FROM node WHERE id = $1";
    NODES = "SELECT id, address, roles, version, started, seen, draining, transfers FROM node \
        WHERE seen >= $1 ORDER BY started, id LIMIT $2";
    RATE_TAKE = "SELECT given, wait FROM rate_take($1, $2, $3, $4)";

    // Forgetting. Rows that another node forgets at the same time are passed over.
    FORGET_NONCES = "DELETE FROM nonce WHERE ctid IN (SELECT ctid FROM nonce \
        WHERE expires < $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
    FORGET_SESSIONS = "DELETE FROM session WHERE (account, id) IN (SELECT account, id \
        FROM session WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
    FORGET_CONSOLE = "DELETE FROM console_session WHERE hash IN (SELECT hash \
        FROM console_session WHERE expires <= $1 ORDER BY expires, hash LIMIT $2 \
        FOR UPDATE SKIP LOCKED)";
    /// With all their parts.
    FORGET_TALLIES = "WITH old AS (SELECT minute, account, what, code FROM tally \
        WHERE minute < $1 GROUP BY minute, account, what, code \
        ORDER BY minute, account, what, code LIMIT $2), \
        gone AS (DELETE FROM tally USING old WHERE tally.minute = old.minute \
        AND tally.account = old.account AND tally.what = old.what AND tally.code = old.code) \
        SELECT COUNT(*) FROM old";
    FORGET_NODES = "DELETE FROM node WHERE seen < $1";
    FORGET_QUOTAS = "DELETE FROM quota WHERE day < $1";
    FORGET_JOBS = "DELETE FROM job WHERE key IN (SELECT key FROM job \
        WHERE state >= 4 AND finished < $1 ORDER BY finished, key LIMIT $2 FOR UPDATE SKIP LOCKED)";
}
