-- How much a relying party may hold, and how fast: JSON, absent members have their defaults.
ALTER TABLE relying_party ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
-- Whether a binding was ever about to be made for a device. Those of before are taken to be in use; of the others there is a limit.
ALTER TABLE device ADD COLUMN in_use INTEGER NOT NULL DEFAULT 1;
CREATE INDEX device_unbound ON device (relying_party_id) WHERE in_use = FALSE;
