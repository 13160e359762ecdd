-- Which device belongs to which user of the relying party.
CREATE TABLE binding (
  id               BLOB    PRIMARY KEY,
  relying_party_id BLOB    NOT NULL,
  user_identifier  TEXT    NOT NULL,
  device_id        TEXT    NOT NULL,
  created_at       INTEGER NOT NULL,
  activated_at     INTEGER,
  deactivated_at   INTEGER,
  version          INTEGER NOT NULL
) STRICT;
-- A device has one living binding at most.
CREATE UNIQUE INDEX binding_living ON binding (relying_party_id, device_id) WHERE deactivated_at IS NULL;
CREATE INDEX binding_newest ON binding (relying_party_id, created_at, id);
CREATE INDEX binding_of_user ON binding (relying_party_id, user_identifier, created_at, id);

-- One row a user ever bound; changing it lets one change of the user's set of devices follow the other.
CREATE TABLE bound_user (
  relying_party_id BLOB    NOT NULL,
  user_identifier  TEXT    NOT NULL,
  version          INTEGER NOT NULL,
  PRIMARY KEY (relying_party_id, user_identifier)
) STRICT, WITHOUT ROWID;

-- One row a device ever bound or retired; changing it keeps a device from being bound while it is retired.
CREATE TABLE known_device (
  relying_party_id BLOB    NOT NULL,
  device_id        TEXT    NOT NULL,
  retired          INTEGER NOT NULL,
  PRIMARY KEY (relying_party_id, device_id)
) STRICT, WITHOUT ROWID;
