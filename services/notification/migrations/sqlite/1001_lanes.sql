-- Endpoints can be switched off, are switched off when they fail for days, and have keys that can be exchanged. Deliveries are
-- worked off by lane, so that no receiver delays another.

-- Endpoints of before have no public key; there was no release with any.
DELETE FROM endpoint;
ALTER TABLE endpoint RENAME COLUMN sealed_secret TO sealed_keys;
-- The keys of before, which sign, too, until then.
ALTER TABLE endpoint ADD COLUMN sealed_previous_keys BLOB;
ALTER TABLE endpoint ADD COLUMN previous_keys_until INTEGER;
ALTER TABLE endpoint ADD COLUMN enabled INTEGER     NOT NULL DEFAULT 1;
-- owner, gone, failing; empty while it is on.
ALTER TABLE endpoint ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoint ADD COLUMN disabled_at INTEGER;
-- Since when every attempt has failed.
ALTER TABLE endpoint ADD COLUMN failing_since INTEGER;
ALTER TABLE endpoint ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- <relying party>/<endpoint, or origin of the callback_url>
ALTER TABLE delivery ADD COLUMN lane TEXT NOT NULL DEFAULT '';
-- Attempts made before it was sent again: the schedule counts from there.
ALTER TABLE delivery ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN occurred_at INTEGER;
UPDATE delivery SET occurred_at = created_at, lane = 'before/' || url;
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (lane, next_attempt_at) WHERE state = 'pending';

-- The first of the answer.
ALTER TABLE attempt ADD COLUMN response TEXT NOT NULL DEFAULT '';
