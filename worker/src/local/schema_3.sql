-- From schema version 2 to 3: whose job a message holds and which, requests that may be repeated.

ALTER TABLE messages ADD COLUMN namespace TEXT;
ALTER TABLE messages ADD COLUMN job BLOB;
CREATE INDEX messages_by_job ON messages (job) WHERE job IS NOT NULL;
CREATE TABLE requests (
    key             BLOB    PRIMARY KEY,
    body            BLOB    NOT NULL,
    request_expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX requests_by_expiry ON requests (request_expires_ms);
