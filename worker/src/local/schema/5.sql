-- A message may ask for a replay of the run that failed in this epoch.

ALTER TABLE messages ADD COLUMN replay_of INTEGER;
