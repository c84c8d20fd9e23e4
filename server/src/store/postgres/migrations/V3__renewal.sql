-- Jobs whose URL was refused while bytes of them are here: state 6, awaiting a URL
-- (domain::job::State::AwaitingUrl). The wait ends at the job's deadline.

ALTER TABLE job
    DROP CONSTRAINT job_state_check,
    ADD CONSTRAINT job_state_check CHECK (state BETWEEN 0 AND 6),
    DROP CONSTRAINT job_finished,
    ADD CONSTRAINT job_finished CHECK ((state IN (3, 4, 5)) = (finished IS NOT NULL)),
    -- How often the URL was replaced.
    ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0 CHECK (renewals >= 0),
    -- How the origin refused the URL.
    ADD COLUMN halt_code TEXT COLLATE "C",
    ADD COLUMN halt_message TEXT COLLATE "C",
    ADD CONSTRAINT job_halt_code CHECK ((state = 6) = (halt_code IS NOT NULL)),
    ADD CONSTRAINT job_halt_message CHECK ((state = 6) = (halt_message IS NOT NULL));

CREATE INDEX job_awaiting ON job (deadline, key) WHERE state = 6;

-- A job that awaits a URL may still make its medium, so it holds its reference id.
DROP INDEX job_reference;
CREATE UNIQUE INDEX job_reference ON job (account, reference_id)
    WHERE reference_id IS NOT NULL AND state NOT IN (4, 5);

DROP TRIGGER job_final ON job;
CREATE TRIGGER job_final BEFORE UPDATE ON job FOR EACH ROW WHEN (OLD.state IN (3, 4, 5))
    EXECUTE FUNCTION job_is_final ();

ALTER TABLE queue ADD COLUMN awaiting BIGINT NOT NULL DEFAULT 0;
