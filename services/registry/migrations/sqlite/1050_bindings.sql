-- After how many hours an inactive binding ends; 0: never, as in relying parties of before, and in those that a release of before creates.
ALTER TABLE relying_party ADD COLUMN inactive_hours INTEGER NOT NULL DEFAULT 0;
