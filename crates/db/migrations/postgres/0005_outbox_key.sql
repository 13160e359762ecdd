-- The ordering key of an event, by which the next one about the same thing finds out whether it still waits. Empty: written by a build of
-- before.
ALTER TABLE outbox ADD COLUMN key TEXT NOT NULL DEFAULT '';
CREATE INDEX outbox_key ON outbox (key, seq);
