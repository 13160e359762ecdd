-- The audit log in hash chains, one of the deployment's and one of each relying party's. Entries of before are in none.
ALTER TABLE audit_entry ADD COLUMN kind TEXT NOT NULL DEFAULT 'unchained';
-- Of an outcome: the intent it ends.
ALTER TABLE audit_entry ADD COLUMN intent_id UUID;
ALTER TABLE audit_entry ADD COLUMN chain_id UUID;
ALTER TABLE audit_entry ADD COLUMN seq BIGINT;
-- Hash of the entry before, and of this one.
ALTER TABLE audit_entry ADD COLUMN prev BYTEA;
ALTER TABLE audit_entry ADD COLUMN hash BYTEA;
CREATE UNIQUE INDEX audit_entry_chain ON audit_entry (chain_id, seq);
CREATE INDEX audit_entry_unchained ON audit_entry (at, id) WHERE kind = 'unchained';
-- One outcome an intent.
CREATE UNIQUE INDEX audit_entry_intent ON audit_entry (intent_id);
CREATE TABLE audit_chain (
  -- The relying party; all zeros: the deployment.
  id             UUID   PRIMARY KEY,
  -- Of the newest entry. Whoever appends holds this row.
  seq            BIGINT NOT NULL,
  hash           BYTEA  NOT NULL,
  -- Of the last entry that retention has deleted.
  cut_seq        BIGINT NOT NULL,
  cut_hash       BYTEA  NOT NULL,
  -- Of the newest entry that a checkpoint covers.
  checkpoint_seq BIGINT NOT NULL
);
CREATE INDEX audit_chain_due ON audit_chain (id) WHERE checkpoint_seq < seq;
CREATE TABLE audit_checkpoint (
  chain_id UUID        NOT NULL,
  seq      BIGINT      NOT NULL,
  at       TIMESTAMPTZ NOT NULL,
  jws      TEXT        NOT NULL,
  PRIMARY KEY (chain_id, seq)
);
CREATE INDEX audit_checkpoint_at ON audit_checkpoint (at);
-- Checkpoints are signed by the registry's keys, those of before included.
UPDATE published_key SET typs = REPLACE(typs, '"nodkey-device+jwt"', '"nodkey-device+jwt","nodkey-audit+jwt"')
  WHERE owner = 'registry' AND revoked_at IS NULL;
