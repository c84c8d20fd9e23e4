-- What the console asks for.

-- Whether the account may see and do everything. The oldest account is the operator's own.
ALTER TABLE account ADD COLUMN operator BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE account SET operator = TRUE WHERE id = (SELECT MIN(id) FROM account);

-- When the job was claimed last.
ALTER TABLE job ADD COLUMN claimed BIGINT;

ALTER TABLE media ADD COLUMN location TEXT NOT NULL DEFAULT 'default';
ALTER TABLE media ADD COLUMN md5 TEXT;

CREATE INDEX job_fault ON job (account, fault_code, key) WHERE fault_code IS NOT NULL;

-- The attempts that are over. Endings are those of domain::attempt::Ending: 0 handed back, 1 put
-- off, 2 succeeded, 3 failed, 4 expired.
CREATE TABLE attempt (
    job           BIGINT NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    token         BIGINT NOT NULL CHECK (token > 0),
    started       BIGINT NOT NULL,
    ended         BIGINT NOT NULL,
    bytes         BIGINT NOT NULL CHECK (bytes >= 0),
    number        INTEGER NOT NULL CHECK (number > 0),
    ending        SMALLINT NOT NULL CHECK (ending BETWEEN 0 AND 4),
    fault_code    TEXT,
    fault_message TEXT,
    PRIMARY KEY (job, token),
    CHECK ((ending IN (1, 3)) = (fault_code IS NOT NULL)),
    CHECK ((ending IN (1, 3)) = (fault_message IS NOT NULL))
);

-- What happened in a minute: 0 accepted, 1 succeeded, 2 failed, 3 cancelled, 4 put off. The code
-- is the fault's, or empty. In parts, as `queue` is.
CREATE TABLE tally (
    minute  BIGINT NOT NULL,
    account BIGINT NOT NULL,
    what    SMALLINT NOT NULL CHECK (what BETWEEN 0 AND 4),
    code    TEXT COLLATE "C" NOT NULL CHECK ((what IN (2, 4)) = (code <> '')),
    part    SMALLINT NOT NULL,
    jobs    BIGINT NOT NULL CHECK (jobs > 0),
    bytes   BIGINT NOT NULL CHECK (bytes >= 0),
    millis  BIGINT NOT NULL CHECK (millis >= 0),
    PRIMARY KEY (minute, account, what, code, part)
) WITH (fillfactor = 50);
CREATE INDEX tally_account ON tally (account, minute);

-- Who is signed in to the console. The hash is of a random token that only the browser has.
CREATE TABLE console_session (
    hash          BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    access_key_id TEXT COLLATE "C" NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL
);
CREATE INDEX console_session_key ON console_session (access_key_id, created);
CREATE INDEX console_session_expires ON console_session (expires);
