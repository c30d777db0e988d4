-- Batches that are closed, cancelled and count rejected jobs; what needs attention is found by
-- sparse indexes.

ALTER TABLE jobs ADD COLUMN metadata TEXT;      -- JSON, of jobs in batches and deferred callbacks
ALTER TABLE jobs ADD COLUMN deferred_ms INTEGER; -- when its callback was deferred last
ALTER TABLE jobs ADD COLUMN attention TEXT;     -- callback, dead_callback, held
ALTER TABLE jobs ADD COLUMN attention_ms INTEGER; -- from when on
UPDATE jobs SET deferred_ms = settled_ms WHERE callback_failures > 0;
UPDATE jobs SET attention = 'held', attention_ms = settled_ms WHERE state = 'held';
UPDATE jobs SET attention = 'callback', attention_ms = settled_ms
    WHERE state IN ('done', 'failed') AND callback_state = 'pending' AND callback_failures > 0;
UPDATE jobs SET attention = 'dead_callback', attention_ms = settled_ms
    WHERE state IN ('done', 'failed') AND callback_state NOT IN ('pending', 'sent');
CREATE INDEX jobs_by_attention ON jobs (attention, attention_ms) WHERE attention IS NOT NULL;

ALTER TABLE batches ADD COLUMN expired_ms INTEGER; -- when it was closed with what there was
ALTER TABLE batches ADD COLUMN is_cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN look_after_ms INTEGER NOT NULL DEFAULT 0; -- as long as its callback is owed
ALTER TABLE batches ADD COLUMN attention TEXT;  -- batch, dead_batch_callback
ALTER TABLE batches ADD COLUMN attention_ms INTEGER; -- from when on
UPDATE batches SET look_after_ms = batch_expires_ms;
UPDATE batches SET attention = 'batch', attention_ms = batch_expires_ms
    WHERE callback_state = 'pending';
UPDATE batches SET attention = 'dead_batch_callback', attention_ms = batch_expires_ms
    WHERE callback_state NOT IN ('pending', 'sent');
CREATE INDEX batches_by_attention ON batches (attention, attention_ms) WHERE attention IS NOT NULL;

-- A rejected member has no job: its key is empty, and this says what it was, as JSON.
ALTER TABLE batch_members ADD COLUMN rejection TEXT;
