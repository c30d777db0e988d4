-- Somebody waits for a job's outcome, or did: a callback, or a batch.

ALTER TABLE jobs ADD COLUMN is_awaited INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET is_awaited = 1
    WHERE callback_url IS NOT NULL OR key IN (SELECT job FROM batch_members);
