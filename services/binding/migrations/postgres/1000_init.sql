-- Which device belongs to which user of the relying party.
CREATE TABLE binding (
  id               UUID        PRIMARY KEY,
  relying_party_id UUID        NOT NULL,
  user_identifier  TEXT        NOT NULL,
  device_id        TEXT        NOT NULL,
  created_at       TIMESTAMPTZ NOT NULL,
  activated_at     TIMESTAMPTZ,
  deactivated_at   TIMESTAMPTZ,
  version          BIGINT      NOT NULL
);
-- A device has one living binding at most.
CREATE UNIQUE INDEX binding_living ON binding (relying_party_id, device_id) WHERE deactivated_at IS NULL;
CREATE INDEX binding_newest ON binding (relying_party_id, created_at, id);
CREATE INDEX binding_of_user ON binding (relying_party_id, user_identifier, created_at, id);

-- One row a user ever bound; changing it lets one change of the user's set of devices follow the other.
CREATE TABLE bound_user (
  relying_party_id UUID   NOT NULL,
  user_identifier  TEXT   NOT NULL,
  version          BIGINT NOT NULL,
  PRIMARY KEY (relying_party_id, user_identifier)
);

-- One row a device ever bound or retired; changing it keeps a device from being bound while it is retired.
CREATE TABLE known_device (
  relying_party_id UUID    NOT NULL,
  device_id        TEXT    NOT NULL,
  retired          BOOLEAN NOT NULL,
  PRIMARY KEY (relying_party_id, device_id)
);
