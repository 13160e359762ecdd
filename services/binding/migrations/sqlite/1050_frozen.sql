-- Users who are frozen: a row until the release. `device_id` is the device that froze its user.
CREATE TABLE frozen_user (
  relying_party_id BLOB    NOT NULL,
  user_identifier  TEXT    NOT NULL,
  frozen_at        INTEGER NOT NULL,
  frozen_by        TEXT    NOT NULL,
  device_id        TEXT,
  note             TEXT    NOT NULL,
  PRIMARY KEY (relying_party_id, user_identifier)
) STRICT, WITHOUT ROWID;

-- Proofs of phones' calls that changed something, so that none does so twice. Each is valid for a minute before and after it was made.
CREATE TABLE used_proof (
  -- The device identifier, a dot, and the jti of the proof.
  id      TEXT PRIMARY KEY,
  used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX used_proof_age ON used_proof (used_at);

-- What waits for its activation code, oldest first.
CREATE INDEX binding_inactive ON binding (relying_party_id, created_at, id) WHERE activated_at IS NULL AND deactivated_at IS NULL;
