-- What the console tells of each node beside that it is there. A node of the release before goes on
-- without it: the column has a value of its own.
ALTER TABLE node ADD COLUMN transfers BIGINT NOT NULL DEFAULT 0;
