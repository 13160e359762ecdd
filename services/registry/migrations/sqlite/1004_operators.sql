-- The people who run the deployment, what they do between signing in and signing out, and what they did. To sign in they are users
-- of a relying party of the deployment's own.
INSERT INTO relying_party (id, name, created_at, version) VALUES (X'00000000000000000000000000000001', 'Nodkey console', 1767225600000000, 1);
CREATE TABLE operator (
  id                    BLOB        PRIMARY KEY,
  name                  TEXT        NOT NULL,
  role                  TEXT        NOT NULL,
  state                 TEXT        NOT NULL,
  invitation_sha256     BLOB        NOT NULL UNIQUE,
  invitation_expires_at INTEGER     NOT NULL,
  -- The phone that took the invitation.
  device_id             TEXT,
  created_at            INTEGER     NOT NULL,
  signed_in_at          INTEGER,
  version               INTEGER     NOT NULL
) STRICT;
CREATE INDEX operator_created_at ON operator (created_at, id);
CREATE TABLE operator_session (
  id                 BLOB        PRIMARY KEY,
  operator_id        BLOB        NOT NULL REFERENCES operator (id),
  -- One accept begins one session.
  trusonafication_id BLOB        NOT NULL UNIQUE,
  sealed_secret      BLOB        NOT NULL,
  created_at         INTEGER     NOT NULL,
  expires_at         INTEGER     NOT NULL,
  ended_at           INTEGER
) STRICT;
CREATE INDEX operator_session_operator ON operator_session (operator_id);
CREATE INDEX operator_session_expires_at ON operator_session (expires_at);
CREATE TABLE audit_entry (
  id               BLOB        PRIMARY KEY,
  at               INTEGER     NOT NULL,
  -- NULL: whoever holds the operator key.
  operator_id      BLOB,
  actor            TEXT        NOT NULL,
  role             TEXT        NOT NULL,
  relying_party_id BLOB,
  method           TEXT        NOT NULL,
  request          TEXT        NOT NULL,
  -- Empty until it is known.
  outcome          TEXT        NOT NULL,
  trace_id         TEXT        NOT NULL
) STRICT;
CREATE INDEX audit_entry_at ON audit_entry (at, id);
CREATE INDEX audit_entry_operator ON audit_entry (operator_id, at, id);
CREATE INDEX audit_entry_relying_party ON audit_entry (relying_party_id, at, id);
