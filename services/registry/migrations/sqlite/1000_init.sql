-- Tenants and what they own: credentials, devices with their keys, identity documents. Beside them the deployment's own keys.
CREATE TABLE relying_party (
  id          BLOB     PRIMARY KEY,
  name        TEXT     NOT NULL,
  created_at  INTEGER  NOT NULL,
  disabled_at INTEGER,
  version     INTEGER  NOT NULL
) STRICT;
CREATE INDEX relying_party_created_at ON relying_party (created_at, id);
CREATE TABLE credential (
  id               BLOB     PRIMARY KEY,
  relying_party_id BLOB     NOT NULL REFERENCES relying_party (id),
  kind             TEXT     NOT NULL,
  token            TEXT     NOT NULL,
  sealed_secret    BLOB     NOT NULL,
  created_at       INTEGER  NOT NULL,
  disabled_at      INTEGER,
  version          INTEGER  NOT NULL
) STRICT;
CREATE INDEX credential_relying_party ON credential (relying_party_id, created_at, id);
CREATE TABLE signing_key (
  id             BLOB    PRIMARY KEY,
  kid            TEXT    NOT NULL UNIQUE,
  public_key     TEXT    NOT NULL,
  -- Gone once the key is retired: nobody can sign with it any more.
  sealed_private BLOB,
  created_at     INTEGER NOT NULL,
  retires_at     INTEGER
) STRICT;
-- One key signs, whatever replicas do at once.
CREATE UNIQUE INDEX signing_key_current ON signing_key (retires_at IS NULL) WHERE retires_at IS NULL;
CREATE TABLE device (
  id               TEXT     PRIMARY KEY,
  relying_party_id BLOB     NOT NULL REFERENCES relying_party (id),
  device_key       TEXT     NOT NULL,
  biometric_key    TEXT,
  credential_key   TEXT,
  name             TEXT     NOT NULL,
  platform         TEXT     NOT NULL,
  app_version      TEXT     NOT NULL,
  created_at       INTEGER  NOT NULL,
  updated_at       INTEGER  NOT NULL,
  last_seen_at     INTEGER,
  retired_at       INTEGER,
  version          INTEGER  NOT NULL
) STRICT;
CREATE INDEX device_relying_party ON device (relying_party_id, created_at, id);
CREATE TABLE identity_document (
  id                  BLOB     PRIMARY KEY,
  relying_party_id    BLOB     NOT NULL REFERENCES relying_party (id),
  user_identifier     TEXT     NOT NULL,
  hash                TEXT     NOT NULL,
  type                TEXT     NOT NULL,
  verification_status TEXT     NOT NULL,
  verified_at         INTEGER,
  created_at          INTEGER  NOT NULL,
  version             INTEGER  NOT NULL,
  UNIQUE (relying_party_id, user_identifier, hash)
) STRICT;
CREATE INDEX identity_document_user ON identity_document (relying_party_id, user_identifier, created_at, id);
