-- Events that a consumer in the same process could not take: for each such consumer a copy, under its number in the outbox.
CREATE TABLE backlog (
  consumer   TEXT    NOT NULL,
  seq        INTEGER NOT NULL,
  id         BLOB    NOT NULL,
  subject    TEXT    NOT NULL,
  payload    BLOB    NOT NULL,
  headers    TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  key        TEXT    NOT NULL,
  PRIMARY KEY (consumer, seq)
) STRICT;
