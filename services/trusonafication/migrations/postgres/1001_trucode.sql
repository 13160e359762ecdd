-- Secure QR codes and who paired them.
CREATE TABLE trucode (
  id               UUID        PRIMARY KEY,
  relying_party_id UUID        NOT NULL,
  -- The jti of the payload: the QR code tells it, and not the id.
  reference        TEXT        NOT NULL UNIQUE,
  payload          TEXT        NOT NULL,
  origin           TEXT        NOT NULL,
  place            TEXT        NOT NULL,
  match_number     TEXT,
  created_at       TIMESTAMPTZ NOT NULL,
  expires_at       TIMESTAMPTZ NOT NULL,
  -- Who paired it.
  identifier       TEXT,
  version          BIGINT      NOT NULL
);
CREATE INDEX trucode_old ON trucode (expires_at);
CREATE INDEX trusonafication_of_trucode ON trusonafication (relying_party_id, trucode_id) WHERE trucode_id IS NOT NULL;
