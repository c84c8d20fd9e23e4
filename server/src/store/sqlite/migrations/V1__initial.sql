-- Times are milliseconds since the Unix epoch, UTC. States are those of domain::job::StateKind:
-- 0 pending, 1 running, 2 waiting, 3 succeeded, 4 failed, 5 cancelled.

CREATE TABLE account (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE access_key (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    account       INTEGER NOT NULL REFERENCES account (id),
    sealed_secret BLOB NOT NULL,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created       INTEGER NOT NULL
) STRICT;
CREATE INDEX access_key_account ON access_key (account);

-- Clustered by expiry: new rows go near the end, and forgetting cuts off the beginning.
CREATE TABLE nonce (
    expires INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    PRIMARY KEY (expires, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    account     INTEGER NOT NULL REFERENCES account (id),
    id          TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    keys        TEXT NOT NULL,
    expires     INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expires ON session (expires);

-- Accepted calls; days are counted from 1970-01-01, UTC.
CREATE TABLE quota (
    day     INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES account (id),
    calls   INTEGER NOT NULL,
    PRIMARY KEY (day, account)
) STRICT, WITHOUT ROWID;

-- The large columns come last: reading what rules look at does not touch overflow pages.
CREATE TABLE job (
    key           INTEGER PRIMARY KEY,
    account       INTEGER NOT NULL REFERENCES account (id),
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    rescues       INTEGER NOT NULL CHECK (rescues >= 0),
    -- Of the last claim; 0 before the first.
    token         INTEGER NOT NULL CHECK (token >= 0),
    due           INTEGER,
    lease_until   INTEGER,
    phase         INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 4),
    bytes         INTEGER NOT NULL CHECK (bytes >= 0),
    created       INTEGER NOT NULL,
    deadline      INTEGER NOT NULL,
    finished      INTEGER,
    url_hash      INTEGER NOT NULL,
    reference_id  TEXT,
    fault_code    TEXT,
    fault_message TEXT,
    url           TEXT NOT NULL,
    request       TEXT NOT NULL,
    -- Every state has exactly its data.
    CHECK ((state IN (0, 2)) = (due IS NOT NULL)),
    CHECK ((state = 1) = (lease_until IS NOT NULL)),
    CHECK ((state = 4) = (fault_code IS NOT NULL)),
    CHECK ((state = 4) = (fault_message IS NOT NULL)),
    CHECK ((state >= 3) = (finished IS NOT NULL)),
    CHECK (state <> 1 OR token > 0),
    CHECK (state NOT IN (0, 5) OR token = 0)
) STRICT;

CREATE INDEX job_ready ON job (account, due) WHERE due IS NOT NULL;
CREATE INDEX job_lease ON job (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX job_list ON job (account, state);
-- Two indexes by URL: this one never changes with the state and lists a URL's jobs in order; the
-- other holds only what a cancel can mean, so that it does not read a URL's finished jobs.
CREATE INDEX job_url ON job (account, url_hash);
CREATE INDEX job_url_pending ON job (account, url_hash) WHERE state = 0;
CREATE UNIQUE INDEX job_reference ON job (account, reference_id)
    WHERE reference_id IS NOT NULL AND state < 4;
CREATE INDEX job_forgettable ON job (finished) WHERE state >= 4;

CREATE TRIGGER job_final BEFORE UPDATE ON job WHEN old.state >= 3
BEGIN
    SELECT RAISE (ABORT, 'a job in a final state never changes');
END;

-- How many jobs of an account stand where: what limits and metrics read instead of counting.
CREATE TABLE queue (
    account INTEGER PRIMARY KEY REFERENCES account (id),
    pending INTEGER NOT NULL CHECK (pending >= 0),
    running INTEGER NOT NULL CHECK (running >= 0),
    waiting INTEGER NOT NULL CHECK (waiting >= 0)
) STRICT;

CREATE TRIGGER job_accepted AFTER INSERT ON job
BEGIN
    INSERT INTO queue (account, pending, running, waiting)
    VALUES (new.account, new.state = 0, new.state = 1, new.state = 2)
    ON CONFLICT (account) DO UPDATE SET
        pending = pending + excluded.pending,
        running = running + excluded.running,
        waiting = waiting + excluded.waiting;
END;

CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN old.state <> new.state
BEGIN
    UPDATE queue SET
        pending = pending - (old.state = 0) + (new.state = 0),
        running = running - (old.state = 1) + (new.state = 1),
        waiting = waiting - (old.state = 2) + (new.state = 2)
    WHERE account = new.account;
END;

CREATE TABLE media (
    key          INTEGER PRIMARY KEY REFERENCES job (key),
    account      INTEGER NOT NULL REFERENCES account (id),
    created      INTEGER NOT NULL,
    title        TEXT NOT NULL,
    description  TEXT,
    tags         TEXT,
    cover_url    TEXT,
    cate_id      INTEGER,
    reference_id TEXT,
    user_data    TEXT,
    -- 0 video, 1 audio.
    media_type   INTEGER NOT NULL CHECK (media_type IN (0, 1)),
    format       TEXT NOT NULL,
    content_type TEXT NOT NULL,
    duration     REAL,
    width        INTEGER,
    height       INTEGER,
    bitrate      REAL,
    fps          REAL,
    codec        TEXT,
    object_key   TEXT NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    sha256       TEXT NOT NULL,
    -- The 64 bits as a signed number.
    crc64        INTEGER NOT NULL
) STRICT;
