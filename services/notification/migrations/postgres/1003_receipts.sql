-- Since when a trusonafication that ended must have a receipt: at once in a new installation, and in one that was there an hour after this,
-- when every replica of the trusonafication service is restarted.
CREATE TABLE receipts_required (
  since TIMESTAMPTZ NOT NULL
);
INSERT INTO receipts_required (since)
SELECT CASE
  WHEN EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM inbox) THEN clock_timestamp() + INTERVAL '1 hour'
  ELSE to_timestamp(0)
END;
