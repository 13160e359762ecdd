-- How long what is over is kept, in days; 0: for ever, NULL: the default.
CREATE TABLE retention_policy (
  relying_party_id    BLOB PRIMARY KEY REFERENCES relying_party (id),
  answered_days       INTEGER,
  unanswered_days     INTEGER,
  unbound_device_days INTEGER
) STRICT;
