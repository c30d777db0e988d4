-- When the next try of a callback is due after one that failed; the largest body a batch's may have.

ALTER TABLE jobs ADD COLUMN callback_due_ms INTEGER;
ALTER TABLE batches ADD COLUMN callback_due_ms INTEGER;
ALTER TABLE batches ADD COLUMN max_body_bytes INTEGER; -- as whoever delivered it first had it
