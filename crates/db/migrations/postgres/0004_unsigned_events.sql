-- Until when the bus had stored what a consumer takes without a signature: what was published before publishers signed.
CREATE TABLE unsigned_events (
  consumer      TEXT PRIMARY KEY,
  stored_before TIMESTAMPTZ NOT NULL
);
