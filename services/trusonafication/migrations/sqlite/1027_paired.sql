-- When a code was paired: a look finds the browsers that missed the wake by it. NULL also where it was paired before this was noted.
ALTER TABLE trucode ADD COLUMN paired_at INTEGER;
CREATE INDEX trucode_paired ON trucode (paired_at, id) WHERE paired_at IS NOT NULL;
