-- Why a phone is to be woken: what is over wakes nobody any more.

-- As version while push_cause has every cause: a release before changes version alone.
ALTER TABLE push ADD COLUMN causes_version BIGINT;
CREATE TABLE push_cause (
  relying_party_id UUID NOT NULL,
  device_id        TEXT NOT NULL,
  -- The id of a trusonafication; notice: another phone has joined.
  cause            TEXT NOT NULL,
  PRIMARY KEY (relying_party_id, device_id, cause),
  FOREIGN KEY (relying_party_id, device_id) REFERENCES push (relying_party_id, device_id) ON DELETE CASCADE
);
CREATE INDEX push_cause_of ON push_cause (cause, relying_party_id, device_id);
