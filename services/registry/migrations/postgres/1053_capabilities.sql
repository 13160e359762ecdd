-- JSON: what the app on a device can do beyond what all can. NULL: it did not say.
ALTER TABLE device ADD COLUMN capabilities TEXT;
-- Whether two digits are too few to match.
ALTER TABLE relying_party ADD COLUMN require_six_digits BOOLEAN NOT NULL DEFAULT FALSE;
