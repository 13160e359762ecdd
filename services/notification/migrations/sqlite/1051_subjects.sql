-- A delivery may be about something else than a trusonafication: <kind>/<id>. That of a trusonafication is in trusonafication_id, as before,
-- which SQLite cannot make nullable in place.
DROP INDEX delivery_of_trusonafication;
ALTER TABLE delivery RENAME COLUMN trusonafication_id TO required_trusonafication_id;
ALTER TABLE delivery ADD COLUMN trusonafication_id BLOB;
UPDATE delivery SET trusonafication_id = required_trusonafication_id;
ALTER TABLE delivery DROP COLUMN required_trusonafication_id;
CREATE INDEX delivery_of_trusonafication ON delivery (trusonafication_id, created_at, id);
ALTER TABLE delivery ADD COLUMN subject TEXT;
CREATE INDEX delivery_of_subject ON delivery (subject, created_at, id) WHERE subject IS NOT NULL;
