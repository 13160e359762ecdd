-- Written to learn whether it can be written.
CREATE TABLE probe (
  id     INTEGER PRIMARY KEY,
  writes INTEGER NOT NULL
) STRICT;
