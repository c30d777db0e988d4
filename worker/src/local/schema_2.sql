-- From schema version 1 to 2: why a callback is dead, and what its tries say of the next one.

ALTER TABLE jobs ADD COLUMN callback_refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN callback_maybe INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN callback_refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN callback_maybe INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET callback_state = 'exhausted' WHERE callback_state = 'dead';
UPDATE batches SET callback_state = 'exhausted' WHERE callback_state = 'dead';
