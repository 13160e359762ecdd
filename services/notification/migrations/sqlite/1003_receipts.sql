-- Since when a trusonafication that ended must have a receipt: at once in a new installation, and in one that was there from now on.
CREATE TABLE receipts_required (
  since INTEGER NOT NULL
) STRICT;
INSERT INTO receipts_required (since)
SELECT CASE
  WHEN EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM inbox) THEN CAST(unixepoch('subsec') * 1000000 AS INTEGER)
  ELSE 0
END;
