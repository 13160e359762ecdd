-- Events that a consumer in the same process could not take: for each such consumer a copy, under its number in the outbox.
CREATE TABLE backlog (
  consumer   TEXT        NOT NULL,
  seq        BIGINT      NOT NULL,
  id         UUID        NOT NULL,
  subject    TEXT        NOT NULL,
  payload    BYTEA       NOT NULL,
  headers    TEXT        NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  key        TEXT        NOT NULL,
  PRIMARY KEY (consumer, seq)
);
