-- What every service has: events on their way out, events seen, events given up, answers to repeat.
CREATE TABLE outbox (
  seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         UUID        NOT NULL UNIQUE,
  subject    TEXT        NOT NULL,
  payload    BYTEA       NOT NULL,
  headers    TEXT        NOT NULL,
  created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE inbox (
  consumer TEXT        NOT NULL,
  event_id UUID        NOT NULL,
  seen_at  TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_seen_at ON inbox (seen_at);
CREATE TABLE dead_letter (
  consumer TEXT        NOT NULL,
  event_id UUID        NOT NULL,
  subject  TEXT        NOT NULL,
  payload  BYTEA       NOT NULL,
  headers  TEXT        NOT NULL,
  cause    TEXT        NOT NULL,
  at       TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (consumer, event_id)
);
CREATE TABLE idempotency (
  relying_party_id UUID        NOT NULL,
  operation        TEXT        NOT NULL,
  request_id       TEXT        NOT NULL,
  request_hash     BYTEA       NOT NULL,
  response         BYTEA       NOT NULL,
  created_at       TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (relying_party_id, operation, request_id)
);
CREATE INDEX idempotency_created_at ON idempotency (created_at);
