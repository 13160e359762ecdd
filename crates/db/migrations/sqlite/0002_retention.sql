-- Since when what is old is deleted by default. What existed before stays until an operator says otherwise.
CREATE TABLE retention (
  since INTEGER NOT NULL
) STRICT;
INSERT INTO retention (since) VALUES (CAST(unixepoch('subsec') * 1000000 AS INTEGER));

CREATE INDEX dead_letter_at ON dead_letter (at);
