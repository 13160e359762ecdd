-- The keys this service signs by. The registry publishes their public halves.
CREATE TABLE signing_key (
  id             UUID        PRIMARY KEY,
  kid            TEXT        NOT NULL UNIQUE,
  public_key     TEXT        NOT NULL,
  -- Gone once a successor signs: nobody can sign with it any more.
  sealed_private BYTEA,
  created_at     TIMESTAMPTZ NOT NULL,
  -- When it begins to sign; NULL until it is published.
  signs_at       TIMESTAMPTZ
);
-- One key at a time waits to be published, whatever replicas do at once.
CREATE UNIQUE INDEX signing_key_unpublished ON signing_key ((signs_at IS NULL)) WHERE signs_at IS NULL;
