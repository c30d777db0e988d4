-- How far the members of a batch were read by those who had no time for all of them.

ALTER TABLE batches ADD COLUMN reading TEXT;    -- JSON
