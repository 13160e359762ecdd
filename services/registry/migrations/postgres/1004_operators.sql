-- The people who run the deployment, what they do between signing in and signing out, and what they did. To sign in they are users
-- of a relying party of the deployment's own.
INSERT INTO relying_party (id, name, created_at, version) VALUES ('00000000-0000-0000-0000-000000000001', 'Nodkey console', '2026-01-01T00:00:00Z', 1);
CREATE TABLE operator (
  id                    UUID        PRIMARY KEY,
  name                  TEXT        NOT NULL,
  role                  TEXT        NOT NULL,
  state                 TEXT        NOT NULL,
  invitation_sha256     BYTEA       NOT NULL UNIQUE,
  invitation_expires_at TIMESTAMPTZ NOT NULL,
  -- The phone that took the invitation.
  device_id             TEXT,
  created_at            TIMESTAMPTZ NOT NULL,
  signed_in_at          TIMESTAMPTZ,
  version               BIGINT      NOT NULL
);
CREATE INDEX operator_created_at ON operator (created_at, id);
CREATE TABLE operator_session (
  id                 UUID        PRIMARY KEY,
  operator_id        UUID        NOT NULL REFERENCES operator (id),
  -- One accept begins one session.
  trusonafication_id UUID        NOT NULL UNIQUE,
  sealed_secret      BYTEA       NOT NULL,
  created_at         TIMESTAMPTZ NOT NULL,
  expires_at         TIMESTAMPTZ NOT NULL,
  ended_at           TIMESTAMPTZ
);
CREATE INDEX operator_session_operator ON operator_session (operator_id);
CREATE INDEX operator_session_expires_at ON operator_session (expires_at);
CREATE TABLE audit_entry (
  id               UUID        PRIMARY KEY,
  at               TIMESTAMPTZ NOT NULL,
  -- NULL: whoever holds the operator key.
  operator_id      UUID,
  actor            TEXT        NOT NULL,
  role             TEXT        NOT NULL,
  relying_party_id UUID,
  method           TEXT        NOT NULL,
  request          TEXT        NOT NULL,
  -- Empty until it is known.
  outcome          TEXT        NOT NULL,
  trace_id         TEXT        NOT NULL
);
CREATE INDEX audit_entry_at ON audit_entry (at, id);
CREATE INDEX audit_entry_operator ON audit_entry (operator_id, at, id);
CREATE INDEX audit_entry_relying_party ON audit_entry (relying_party_id, at, id);
