-- Whether a presence key counts as a person's presence, and since when the device has it (NULL: since before this was noted).
ALTER TABLE device ADD COLUMN biometric_counts BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE device ADD COLUMN credential_counts BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE device ADD COLUMN biometric_since TIMESTAMPTZ;
ALTER TABLE device ADD COLUMN credential_since TIMESTAMPTZ;
-- Presence keys that have proven that a device holds them: each is one device's.
CREATE TABLE proven_key (
  thumbprint TEXT PRIMARY KEY,
  device_id  TEXT NOT NULL REFERENCES device (id) ON DELETE CASCADE
);
CREATE INDEX proven_key_of_device ON proven_key (device_id);
-- Nobody can tell whose a key is that several devices have named.
CREATE TABLE shared_key AS
  SELECT jwk FROM (
    SELECT biometric_key AS jwk, id FROM device WHERE biometric_key IS NOT NULL
    UNION SELECT credential_key AS jwk, id FROM device WHERE credential_key IS NOT NULL
  ) AS named GROUP BY jwk HAVING COUNT(*) > 1;
UPDATE device SET biometric_counts = FALSE WHERE biometric_key IN (SELECT jwk FROM shared_key);
UPDATE device SET credential_counts = FALSE WHERE credential_key IN (SELECT jwk FROM shared_key);
DROP TABLE shared_key;
