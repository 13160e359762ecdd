-- What people call a credential, and when it was last used, to the hour.
ALTER TABLE credential ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE credential ADD COLUMN last_used_at TIMESTAMPTZ;
