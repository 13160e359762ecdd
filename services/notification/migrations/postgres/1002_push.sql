-- Waking phones: what a relying party is to providers, and which phones are to be woken.

-- The provider, or the origin of the phone's own push service: what goes there goes by one lane.
ALTER TABLE push_registration ADD COLUMN receiver TEXT NOT NULL DEFAULT '';

CREATE TABLE push_configuration (
  relying_party_id   UUID NOT NULL,
  provider           TEXT NOT NULL,
  sealed_credentials BYTEA NOT NULL,
  -- Names them to people.
  description        TEXT NOT NULL,
  -- Of VAPID; empty for others.
  public_key         TEXT NOT NULL,
  updated_at         TIMESTAMPTZ NOT NULL,
  -- What the provider last refused.
  last_failure       TEXT NOT NULL DEFAULT '',
  last_failure_at    TIMESTAMPTZ,
  PRIMARY KEY (relying_party_id, provider)
);

-- At most one for each phone: "look" said twice is said once.
CREATE TABLE push (
  relying_party_id UUID NOT NULL,
  device_id        TEXT NOT NULL,
  lane             TEXT COLLATE "C" NOT NULL,
  attempt_count    INTEGER NOT NULL,
  -- While somebody sends it: when they are given up.
  next_attempt_at  TIMESTAMPTZ NOT NULL,
  -- Then there is nothing left to look at.
  expires_at       TIMESTAMPTZ NOT NULL,
  version          BIGINT NOT NULL,
  PRIMARY KEY (relying_party_id, device_id)
);
CREATE INDEX push_due ON push (lane, next_attempt_at);
