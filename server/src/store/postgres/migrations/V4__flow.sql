-- What decides whose job goes next: weights and pauses of accounts, priorities and hosts of jobs.

-- An account's share of the slots, and whether its queue is paused.
ALTER TABLE account
    ADD COLUMN weight SMALLINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    ADD COLUMN paused BOOLEAN NOT NULL DEFAULT FALSE;

-- Priorities are those of domain::priority: 0 low, 1 normal, 2 high. The host is that of the
-- source's URL, hashed; 0 where a job is older than this column.
ALTER TABLE job
    ADD COLUMN priority SMALLINT NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 2),
    ADD COLUMN host BIGINT NOT NULL DEFAULT 0;

-- For each account and priority a lane, in order. A claim reads heads of lanes, and passes over
-- jobs of full hosts without reading their rows.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (account, priority, due, key, host) WHERE due IS NOT NULL;
