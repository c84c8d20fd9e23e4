-- Fills a database with jobs of every state but running, as years of work leave them, without
-- going through the verbs one by one. Wants an empty queue, at least one account, and a table
--   CREATE TEMP TABLE fill (jobs INTEGER, first INTEGER, step INTEGER);
-- of one row: how many jobs, when the first was accepted, and milliseconds between two (at least
-- 1). Of a hundred jobs 90 succeeded, 5 failed, 2 were cancelled, 1 waits, 2 are pending.

CREATE TEMP TABLE fill_account AS SELECT ROW_NUMBER() OVER (ORDER BY id) - 1 AS n, id FROM account;
CREATE TEMP TABLE fill_fault (n INTEGER PRIMARY KEY, code TEXT);
INSERT INTO fill_fault VALUES (0, 'URLInvalidError.HttpStatus'), (1, 'URLInvalidError.HttpStatus'),
    (2, 'URLInvalidError.Stalled'), (3, 'URLInvalidError.NotMedia'), (4, 'StorageError');

INSERT INTO job (key, account, state, attempt, rescues, token, due, lease_until, phase, bytes,
    created, deadline, finished, url_hash, reference_id, fault_code, fault_message, url, request,
    claimed)
WITH RECURSIVE
    count (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM count, fill WHERE i + 1 < jobs),
    -- 7919 is prime: states, accounts and faults spread without a pattern.
    chosen AS (
        SELECT i, first + i * step AS created, (i * 7919) % 100 AS part,
            (i * 104729) % (SELECT COUNT(*) FROM fill_account) AS n
        FROM count, fill
    ),
    made AS (
        SELECT i, created, n,
            CASE WHEN part < 90 THEN 3 WHEN part < 95 THEN 4 WHEN part < 97 THEN 5
                WHEN part < 98 THEN 2 ELSE 0 END AS state
        FROM chosen
    )
SELECT
    (created - 1577836800000) << 21, fill_account.id, state, state IN (2, 3, 4), 0,
    state IN (2, 3, 4), CASE WHEN state IN (0, 2) THEN created END, NULL,
    CASE WHEN state = 3 THEN 4 ELSE 0 END, CASE WHEN state = 3 THEN 1000000 + i % 9999 ELSE 0 END,
    created, created + 86400000, CASE WHEN state >= 3 THEN created + 4000 + i % 7777 END,
    -- Not the hash of the URL: these jobs are not found by it.
    i * 2654435761, NULL, CASE WHEN state = 4 THEN fill_fault.code END,
    CASE WHEN state = 4 THEN 'The origin did not do what it should.' END,
    'https://origin' || (i % 50) || '.example/path/to/' || i || '.mp4?sign=' || (i * 7919),
    '{"title":"' || i || '.mp4","extension":"mp4","description":null,"tags":null,"cover_url":null,'
        || '"cate_id":null,"file_size":null,"reference_id":null,"template_group_id":null,'
        || '"workflow_id":null,"storage_location":null,"app_id":null,"user_data":null}',
    CASE WHEN state IN (2, 3, 4) THEN created + 1000 END
FROM made
JOIN fill_account ON fill_account.n = made.n
JOIN fill_fault ON fill_fault.n = (i * 31) % 5;

INSERT INTO attempt (job, token, number, started, ended, ending, bytes, fault_code, fault_message)
SELECT key, 1, 1, claimed, COALESCE(finished, claimed + 500),
    CASE state WHEN 3 THEN 2 WHEN 4 THEN 3 ELSE 1 END, bytes,
    CASE WHEN state = 4 THEN fault_code WHEN state = 2 THEN 'URLInvalidError.Unreachable' END,
    CASE WHEN state <> 3 THEN 'The origin did not do what it should.' END
FROM job WHERE state IN (2, 3, 4) ORDER BY key;

INSERT INTO media (key, account, created, title, media_type, format, content_type, object_key,
    size, sha256, crc64)
SELECT key, account, finished, 'title', 0, 'mp4', 'video/mp4', printf('%016x-1.mp4', key), bytes,
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', key
FROM job WHERE state = 3 ORDER BY key;

INSERT INTO tally (minute, account, what, code, jobs, bytes, millis)
SELECT created / 60000 * 60000, account, 0, '', COUNT(*), 0, 0 FROM job
WHERE created >= (SELECT MAX(created) FROM job) - 172800000 GROUP BY 1, 2;
INSERT INTO tally (minute, account, what, code, jobs, bytes, millis)
SELECT finished / 60000 * 60000, account, CASE state WHEN 3 THEN 1 WHEN 4 THEN 2 ELSE 3 END,
    COALESCE(fault_code, ''), COUNT(*), SUM(bytes), SUM(finished - created) FROM job
WHERE state >= 3 AND finished >= (SELECT MAX(created) FROM job) - 172800000 GROUP BY 1, 2, 3, 4;

DROP TABLE fill_account;
DROP TABLE fill_fault;
