-- Proofs of phones' calls that changed something, so that none does so twice. Each is good for a minute before and after it was made.
CREATE TABLE used_proof (
  -- The device identifier, a dot, and the jti of the proof.
  id      TEXT PRIMARY KEY,
  used_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX used_proof_age ON used_proof (used_at);
