-- What every service has: events on their way out, events seen, events given up, answers to repeat.
CREATE TABLE outbox (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         BLOB    NOT NULL UNIQUE,
  subject    TEXT    NOT NULL,
  payload    BLOB    NOT NULL,
  headers    TEXT    NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE inbox (
  consumer TEXT    NOT NULL,
  event_id BLOB    NOT NULL,
  seen_at  INTEGER NOT NULL,
  PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_seen_at ON inbox (seen_at);
CREATE TABLE dead_letter (
  consumer TEXT    NOT NULL,
  event_id BLOB    NOT NULL,
  subject  TEXT    NOT NULL,
  payload  BLOB    NOT NULL,
  headers  TEXT    NOT NULL,
  cause    TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (consumer, event_id)
) STRICT;
CREATE TABLE idempotency (
  relying_party_id BLOB    NOT NULL,
  operation        TEXT    NOT NULL,
  request_id       TEXT    NOT NULL,
  request_hash     BLOB    NOT NULL,
  response         BLOB    NOT NULL,
  created_at       INTEGER NOT NULL,
  PRIMARY KEY (relying_party_id, operation, request_id)
) STRICT;
CREATE INDEX idempotency_created_at ON idempotency (created_at);
