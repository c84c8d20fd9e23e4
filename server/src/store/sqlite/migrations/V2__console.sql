-- What the console asks for. Rows stay where they are: columns are added, none is rewritten.

-- Whether the account may see and do everything. The oldest account is the operator's own.
ALTER TABLE account ADD COLUMN operator INTEGER NOT NULL DEFAULT 0 CHECK (operator IN (0, 1));
UPDATE account SET operator = 1 WHERE id = (SELECT MIN(id) FROM account);

-- When the job was claimed last.
ALTER TABLE job ADD COLUMN claimed INTEGER;

ALTER TABLE media ADD COLUMN location TEXT NOT NULL DEFAULT 'default';
ALTER TABLE media ADD COLUMN md5 TEXT;

-- Lists of one fault; the key comes last, as in every index. It costs a write only when a job fails.
-- Lists over all accounts merge those of each: an index by state alone would make every cancel half
-- as dear again.
CREATE INDEX job_fault ON job (account, fault_code) WHERE fault_code IS NOT NULL;

-- The attempts that are over. Endings are those of domain::attempt::Ending: 0 handed back, 1 put
-- off, 2 succeeded, 3 failed, 4 expired.
CREATE TABLE attempt (
    job           INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    token         INTEGER NOT NULL CHECK (token > 0),
    number        INTEGER NOT NULL CHECK (number > 0),
    started       INTEGER NOT NULL,
    ended         INTEGER NOT NULL,
    ending        INTEGER NOT NULL CHECK (ending BETWEEN 0 AND 4),
    bytes         INTEGER NOT NULL CHECK (bytes >= 0),
    fault_code    TEXT,
    fault_message TEXT,
    PRIMARY KEY (job, token),
    CHECK ((ending IN (1, 3)) = (fault_code IS NOT NULL)),
    CHECK ((ending IN (1, 3)) = (fault_message IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Every claim of a job takes its last token plus one, so the newest 50 have the highest tokens.
CREATE TRIGGER attempt_limit AFTER INSERT ON attempt WHEN new.token > 50
BEGIN
    DELETE FROM attempt WHERE job = new.job AND token <= new.token - 50;
END;

-- What happened in a minute: 0 accepted, 1 succeeded, 2 failed, 3 cancelled, 4 put off. The code
-- is the fault's, or empty.
CREATE TABLE tally (
    minute  INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES account (id),
    what    INTEGER NOT NULL CHECK (what BETWEEN 0 AND 4),
    code    TEXT NOT NULL CHECK ((what IN (2, 4)) = (code <> '')),
    jobs    INTEGER NOT NULL CHECK (jobs > 0),
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    millis  INTEGER NOT NULL CHECK (millis >= 0),
    PRIMARY KEY (minute, account, what, code)
) STRICT, WITHOUT ROWID;

-- Who is signed in to the console. The hash is of a random token that only the browser has.
CREATE TABLE console_session (
    hash          BLOB PRIMARY KEY CHECK (length(hash) = 32),
    access_key_id TEXT NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX console_session_key ON console_session (access_key_id, created);
CREATE INDEX console_session_expires ON console_session (expires);
