-- Users under the number another system knows them by. Without an integration its id is the nil UUID.
CREATE TABLE identifier (
  relying_party_id UUID        NOT NULL,
  integration_id   UUID        NOT NULL,
  identifier       TEXT        NOT NULL,
  trusona_id       TEXT        NOT NULL,
  created_at       TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (relying_party_id, integration_id, identifier)
);
CREATE INDEX identifier_of_trusona_id ON identifier (relying_party_id, integration_id, trusona_id, created_at, identifier);
