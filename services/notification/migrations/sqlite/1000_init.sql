-- What is to be told to whom: webhook endpoints, every delivery with its attempts, and where phones are woken.
CREATE TABLE endpoint (
  id               BLOB        PRIMARY KEY,
  relying_party_id BLOB        NOT NULL,
  url              TEXT        NOT NULL,
  -- JSON: the event types it wants; empty: all.
  event_types      TEXT        NOT NULL,
  sealed_secret    BLOB        NOT NULL,
  created_at       INTEGER     NOT NULL
) STRICT;
CREATE INDEX endpoint_newest ON endpoint (relying_party_id, created_at, id);

CREATE TABLE delivery (
  id                 BLOB        PRIMARY KEY,
  relying_party_id   BLOB        NOT NULL,
  trusonafication_id BLOB        NOT NULL,
  event_type         TEXT        NOT NULL,
  -- Whose secret signs it; NULL for a callback_url.
  endpoint_id        BLOB,
  url                TEXT        NOT NULL,
  -- JSON, sent as it is, the same at every attempt.
  body               TEXT        NOT NULL,
  state              TEXT        NOT NULL,
  attempt_count      INTEGER     NOT NULL,
  -- While somebody sends it: when they are given up.
  next_attempt_at    INTEGER     NOT NULL,
  created_at         INTEGER     NOT NULL,
  version            INTEGER     NOT NULL
) STRICT;
CREATE INDEX delivery_newest ON delivery (relying_party_id, created_at, id);
CREATE INDEX delivery_of_trusonafication ON delivery (relying_party_id, trusonafication_id);
CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE state = 'pending';

CREATE TABLE attempt (
  delivery_id BLOB        NOT NULL REFERENCES delivery (id),
  number      INTEGER     NOT NULL,
  started_at  INTEGER     NOT NULL,
  duration_ms INTEGER     NOT NULL,
  -- 0 when there was no answer.
  status_code INTEGER     NOT NULL,
  error       TEXT        NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT;

CREATE TABLE push_registration (
  relying_party_id BLOB        NOT NULL,
  device_id        TEXT        NOT NULL,
  provider         TEXT        NOT NULL,
  sealed_details   BLOB        NOT NULL,
  updated_at       INTEGER     NOT NULL,
  PRIMARY KEY (relying_party_id, device_id)
) STRICT;
