-- Who does what only one replica does.
CREATE TABLE lease (
  name       TEXT        PRIMARY KEY,
  holder     UUID        NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL
);

-- Since when what is old is deleted by default. What existed before stays until an operator says otherwise.
CREATE TABLE retention (
  since TIMESTAMPTZ NOT NULL
);
INSERT INTO retention (since) VALUES (clock_timestamp());

CREATE INDEX dead_letter_at ON dead_letter (at);
