-- Jobs whose URL was refused while bytes of them are here: state 6, awaiting a URL
-- (domain::job::State::AwaitingUrl). The wait ends at the job's deadline.

-- Two rules of the table grow by the state. SQLite has no statement for that, and to copy a table of
-- millions of jobs would stop the server for minutes, and delete attempts by their foreign key. The
-- way that is left is the one SQLite documents for changes that touch no row (lang_altertable.html,
-- section 8); the triggers made below tell other connections of the new schema.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql,
        'CHECK (state BETWEEN 0 AND 5)',
        'CHECK (state BETWEEN 0 AND 6)'),
        'CHECK ((state >= 3) = (finished IS NOT NULL))',
        'CHECK ((state IN (3, 4, 5)) = (finished IS NOT NULL))')
    WHERE type = 'table' AND name = 'job';
PRAGMA writable_schema = RESET;

-- How often the URL was replaced.
ALTER TABLE job ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0 CHECK (renewals >= 0);
-- How the origin refused the URL.
ALTER TABLE job ADD COLUMN halt_code TEXT CHECK ((state = 6) = (halt_code IS NOT NULL));
ALTER TABLE job ADD COLUMN halt_message TEXT CHECK ((state = 6) = (halt_message IS NOT NULL));

CREATE INDEX job_awaiting ON job (deadline) WHERE state = 6;

-- A job that awaits a URL may still make its medium, so it holds its reference id.
DROP INDEX job_reference;
CREATE UNIQUE INDEX job_reference ON job (account, reference_id)
    WHERE reference_id IS NOT NULL AND state NOT IN (4, 5);

DROP TRIGGER job_final;
CREATE TRIGGER job_final BEFORE UPDATE ON job WHEN old.state IN (3, 4, 5)
BEGIN
    SELECT RAISE (ABORT, 'a job in a final state never changes');
END;

ALTER TABLE queue ADD COLUMN awaiting INTEGER NOT NULL DEFAULT 0 CHECK (awaiting >= 0);

DROP TRIGGER job_moved;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN old.state <> new.state
BEGIN
    UPDATE queue SET
        pending = pending - (old.state = 0) + (new.state = 0),
        running = running - (old.state = 1) + (new.state = 1),
        waiting = waiting - (old.state = 2) + (new.state = 2),
        awaiting = awaiting - (old.state = 6) + (new.state = 6)
    WHERE account = new.account;
END;
