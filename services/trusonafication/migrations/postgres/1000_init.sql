-- Authentication challenges, from the question to the proof of its answer.
CREATE TABLE trusonafication (
  id                     UUID        PRIMARY KEY,
  relying_party_id       UUID        NOT NULL,
  relying_party_name     TEXT        NOT NULL,
  -- Who is asked: user, device or trucode. The columns of the others are filled once known.
  target                 TEXT        NOT NULL,
  user_identifier        TEXT,
  device_id              TEXT,
  trucode_id             UUID,
  desired_level          INTEGER     NOT NULL,
  action                 TEXT        NOT NULL,
  resource               TEXT        NOT NULL,
  prompt                 BOOLEAN     NOT NULL,
  user_presence          BOOLEAN     NOT NULL,
  show_identity_document BOOLEAN     NOT NULL,
  -- JSON, to the letter as it was given.
  custom_fields          TEXT,
  callback_url           TEXT,
  number_match           TEXT,
  match_number           TEXT,
  challenge              TEXT        NOT NULL,
  -- JSON: the devices that were told when it was created, to be told when it is over.
  told                   TEXT        NOT NULL,
  created_at             TIMESTAMPTZ NOT NULL,
  updated_at             TIMESTAMPTZ NOT NULL,
  expires_at             TIMESTAMPTZ NOT NULL,
  status                 TEXT        NOT NULL,
  -- The answer.
  result_id              UUID,
  answered_by            TEXT,
  bound_user             TEXT,
  decision               TEXT,
  number                 TEXT,
  accepted_level         INTEGER,
  reject_reason          TEXT,
  response               TEXT,
  -- JSON: public JWKs, the device key first.
  keys                   TEXT,
  version                BIGINT      NOT NULL
);
CREATE INDEX trusonafication_newest ON trusonafication (relying_party_id, created_at, id);
CREATE INDEX trusonafication_of_user ON trusonafication (relying_party_id, user_identifier, created_at, id);
CREATE INDEX trusonafication_of_device ON trusonafication (relying_party_id, device_id, created_at, id);
CREATE INDEX trusonafication_expiring ON trusonafication (expires_at) WHERE status = 'in_progress';
