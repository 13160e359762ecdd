-- Users are listed by how their identifiers begin, in the order of their bytes, as on SQLite.
ALTER TABLE bound_user ALTER COLUMN user_identifier TYPE TEXT COLLATE "C";
