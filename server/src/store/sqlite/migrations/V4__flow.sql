-- What decides whose job goes next: weights and pauses of accounts, priorities and hosts of jobs.
-- Rows stay where they are: columns are added, none is rewritten. One index is made anew.

-- An account's share of the slots, and whether its queue is paused.
ALTER TABLE account ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);
ALTER TABLE account ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));

-- Priorities are those of domain::priority: 0 low, 1 normal, 2 high. The host is that of the
-- source's URL, hashed; 0 where a job is older than this column. Both are read from the index
-- alone, so it does no harm that they lie behind the large columns.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 2);
ALTER TABLE job ADD COLUMN host INTEGER NOT NULL DEFAULT 0;

-- For each account and priority a lane, in order. A claim reads heads of lanes, and passes over
-- jobs of full hosts without reading their rows.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (account, priority, due, key, host) WHERE due IS NOT NULL;
