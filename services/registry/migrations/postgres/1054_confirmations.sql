-- Where a session of an operator's began and with what, for its owner to recognize it by; empty of those of before.
ALTER TABLE operator_session ADD COLUMN client_address TEXT NOT NULL DEFAULT '';
ALTER TABLE operator_session ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
CREATE INDEX operator_session_created_at ON operator_session (created_at, id);
-- What operators are to confirm, or have confirmed, on their phones.
CREATE TABLE operator_confirmation (
  id                 UUID        PRIMARY KEY,
  operator_id        UUID        NOT NULL REFERENCES operator (id),
  -- What it is for: `package.Service/Method`, whom it is done for (NULL: nobody), and SHA-256 of the message, or of a stream.
  method             TEXT        NOT NULL,
  relying_party_id   UUID,
  request_sha256     BYTEA       NOT NULL,
  -- What the phone shows.
  trusonafication_id UUID        NOT NULL UNIQUE,
  action             TEXT        NOT NULL,
  resource           TEXT        NOT NULL,
  created_at         TIMESTAMPTZ NOT NULL,
  expires_at         TIMESTAMPTZ NOT NULL,
  -- When it was used, once, and for which entry of the audit log; NULL: not yet.
  used_at            TIMESTAMPTZ,
  audit_entry_id     UUID
);
CREATE INDEX operator_confirmation_created_at ON operator_confirmation (created_at, id);
CREATE INDEX operator_confirmation_operator ON operator_confirmation (operator_id);
-- Operators are prompted by name from now on: who has stolen a session wears nobody down.
UPDATE relying_party SET tolerant_prompts = FALSE WHERE id = '00000000-0000-0000-0000-000000000001';
