-- Authentication challenges, from the question to the proof of its answer.
CREATE TABLE trusonafication (
  id                     BLOB        PRIMARY KEY,
  relying_party_id       BLOB        NOT NULL,
  relying_party_name     TEXT        NOT NULL,
  -- Who is asked: user, device or trucode. The columns of the others are filled once known.
  target                 TEXT        NOT NULL,
  user_identifier        TEXT,
  device_id              TEXT,
  trucode_id             BLOB,
  desired_level          INTEGER     NOT NULL,
  action                 TEXT        NOT NULL,
  resource               TEXT        NOT NULL,
  prompt                 INTEGER     NOT NULL,
  user_presence          INTEGER     NOT NULL,
  show_identity_document INTEGER     NOT NULL,
  -- JSON, to the letter as it was given.
  custom_fields          TEXT,
  callback_url           TEXT,
  number_match           TEXT,
  match_number           TEXT,
  challenge              TEXT        NOT NULL,
  -- JSON: the devices that were told when it was created, to be told when it is over.
  told                   TEXT        NOT NULL,
  created_at             INTEGER NOT NULL,
  updated_at             INTEGER NOT NULL,
  expires_at             INTEGER NOT NULL,
  status                 TEXT        NOT NULL,
  -- The answer.
  result_id              BLOB,
  answered_by            TEXT,
  bound_user             TEXT,
  decision               TEXT,
  number                 TEXT,
  accepted_level         INTEGER,
  reject_reason          TEXT,
  response               TEXT,
  -- JSON: public JWKs, the device key first.
  keys                   TEXT,
  version                INTEGER     NOT NULL
) STRICT;
CREATE INDEX trusonafication_newest ON trusonafication (relying_party_id, created_at, id);
CREATE INDEX trusonafication_of_user ON trusonafication (relying_party_id, user_identifier, created_at, id);
CREATE INDEX trusonafication_of_device ON trusonafication (relying_party_id, device_id, created_at, id);
CREATE INDEX trusonafication_expiring ON trusonafication (expires_at) WHERE status = 'in_progress';
