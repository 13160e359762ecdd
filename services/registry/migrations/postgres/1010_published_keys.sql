-- Private halves are kept beside one another until a successor signs: when that is, says the column. A key that is published waits for it.
ALTER TABLE signing_key ADD COLUMN signs_at TIMESTAMPTZ;
UPDATE signing_key SET signs_at = created_at;
DROP INDEX signing_key_current;
-- One key at a time waits to be published, whatever replicas do at once.
CREATE UNIQUE INDEX signing_key_unpublished ON signing_key ((signs_at IS NULL)) WHERE signs_at IS NULL;

-- The public halves of the keys of all services. Rows stay for ever: evidence is verified by them.
CREATE TABLE published_key (
  -- The kid: the thumbprint of the key.
  id         TEXT        PRIMARY KEY,
  -- The service that signs by it.
  owner      TEXT        NOT NULL,
  public_key TEXT        NOT NULL,
  -- JSON: the typs of what it signs.
  typs       TEXT        NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  signs_at   TIMESTAMPTZ NOT NULL,
  -- When it leaves the JWKS.
  retires_at TIMESTAMPTZ,
  revoked_at TIMESTAMPTZ
);
-- Before keys had owners, the registry's signed everything.
INSERT INTO published_key (id, owner, public_key, typs, created_at, signs_at, retires_at)
  SELECT kid, 'registry', public_key,
    '["nodkey-device+jwt","JWT","nodkey-challenge+jwt","nodkey-result+jwt","nodkey-trucode+jwt"]', created_at, created_at, retires_at
  FROM signing_key;
