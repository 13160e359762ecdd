-- Written to learn whether it can be written.
CREATE TABLE probe (
  id     INTEGER PRIMARY KEY,
  writes BIGINT NOT NULL
);
