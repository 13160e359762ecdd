-- When a session was last used, to the minute; NULL: not since it began.
ALTER TABLE operator_session ADD COLUMN seen_at INTEGER;
-- Sessions of before are used until the upgrade, as far as anybody can tell.
UPDATE operator_session SET seen_at = CAST(unixepoch() AS INTEGER) * 1000000;
