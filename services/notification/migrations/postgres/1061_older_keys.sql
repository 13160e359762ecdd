-- All keys before those that sign which sign, too, each until its own time, sealed together: with those of sealed_previous_keys, which a
-- release before knows alone, and without them worth nothing.
ALTER TABLE endpoint ADD COLUMN sealed_older_keys BYTEA;
