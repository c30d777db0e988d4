-- Since when a callback fails, and is refused; ends that a job was brought back from.

ALTER TABLE jobs ADD COLUMN callback_failing_since_ms INTEGER;
ALTER TABLE jobs ADD COLUMN callback_refused_since_ms INTEGER;
ALTER TABLE batches ADD COLUMN callback_failing_since_ms INTEGER;
ALTER TABLE batches ADD COLUMN callback_refused_since_ms INTEGER;

-- In batch_members, is_counted is one more than the number of the end the job was counted with.
ALTER TABLE jobs ADD COLUMN past TEXT;          -- JSON, an array; none as long as there was none
UPDATE jobs SET attention = 'callback', attention_ms = settled_ms + 7200000
    WHERE state IN ('done', 'failed') AND callback_state = 'pending' AND attention IS NULL;
