-- Schema version 3. Times are milliseconds since the Unix epoch.

CREATE TABLE jobs (
    key             BLOB    PRIMARY KEY,        -- SHA-256 over namespace and id
    namespace       TEXT    NOT NULL,
    job_id          TEXT    NOT NULL,
    tool            TEXT    NOT NULL,
    tenant          TEXT,
    payload_hash    BLOB,
    state           TEXT    NOT NULL,           -- running, retry, done, failed, held, cancelled
    token           BLOB    NOT NULL,
    epoch           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    lease_ends_ms   INTEGER,                    -- only while running
    worker          TEXT,                       -- only while running: whose lease it is
    result          TEXT,                       -- JSON, only when done
    error           TEXT,                       -- JSON
    usage           TEXT    NOT NULL,           -- JSON
    offline         INTEGER NOT NULL,
    callback_url    TEXT,
    callback_state  TEXT,                       -- pending, sent, or why it is dead
    callback_failures INTEGER,
    callback_refusals INTEGER NOT NULL DEFAULT 0, -- in a row, the latest of the failures
    callback_maybe  INTEGER NOT NULL DEFAULT 0, -- a try may have got through
    dead_letter     TEXT    NOT NULL,           -- none, pending, sent
    first_seen_ms   INTEGER NOT NULL,
    claimed_ms      INTEGER NOT NULL,
    settled_ms      INTEGER NOT NULL,
    record_expires_ms INTEGER NOT NULL
);
CREATE INDEX jobs_by_expiry ON jobs (record_expires_ms);
CREATE INDEX jobs_by_worker ON jobs (worker) WHERE worker IS NOT NULL;

CREATE TABLE messages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    queue           TEXT    NOT NULL,
    body            BLOB    NOT NULL,
    namespace       TEXT,                       -- whose job it is; none: the worker's own
    job             BLOB,                       -- its key, where the sender knew it
    message_group   TEXT,
    first_seen_ms   INTEGER NOT NULL,
    visible_at_ms   INTEGER NOT NULL,
    receive_count   INTEGER NOT NULL DEFAULT 0,
    receipt         TEXT,
    worker          TEXT                        -- who received it last
);
CREATE INDEX messages_by_visibility ON messages (queue, visible_at_ms, id);
CREATE INDEX messages_by_job ON messages (job) WHERE job IS NOT NULL;
CREATE INDEX messages_by_worker ON messages (worker) WHERE worker IS NOT NULL;

CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    body            BLOB    NOT NULL,
    message_group   TEXT,
    attributes      TEXT    NOT NULL,           -- JSON: why, of what, since when
    buried_ms       INTEGER NOT NULL
);
CREATE INDEX dead_letters_by_age ON dead_letters (buried_ms);

CREATE TABLE workers (
    id              TEXT    PRIMARY KEY         -- each holds a lock on a file of this name
);

CREATE TABLE batches (
    key             BLOB    PRIMARY KEY,        -- SHA-256 over namespace and id
    batch_id        TEXT    NOT NULL,
    size            INTEGER,
    counted         INTEGER NOT NULL,
    callback_url    TEXT    NOT NULL,
    callback_state  TEXT    NOT NULL,           -- as that of a job
    callback_failures INTEGER NOT NULL,
    callback_refusals INTEGER NOT NULL DEFAULT 0,
    callback_maybe  INTEGER NOT NULL DEFAULT 0,
    delivery_ends_ms INTEGER NOT NULL,
    opened_ms       INTEGER NOT NULL,
    batch_expires_ms INTEGER NOT NULL
);
CREATE INDEX batches_by_expiry ON batches (batch_expires_ms);

CREATE TABLE batch_members (
    batch           BLOB    NOT NULL,
    place           INTEGER NOT NULL,           -- the job's index in the batch
    job             BLOB    NOT NULL,
    is_counted      INTEGER NOT NULL,
    PRIMARY KEY (batch, place)
) WITHOUT ROWID;
CREATE INDEX batch_members_by_job ON batch_members (job, is_counted);

CREATE TABLE requests (
    key             BLOB    PRIMARY KEY,        -- SHA-256 over namespace and the caller's key
    body            BLOB    NOT NULL,           -- SHA-256 over what was asked for
    request_expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX requests_by_expiry ON requests (request_expires_ms);
