-- A delivery may be about something else than a trusonafication: <kind>/<id>. That of a trusonafication is in trusonafication_id, as before.
ALTER TABLE delivery ALTER COLUMN trusonafication_id DROP NOT NULL;
ALTER TABLE delivery ADD COLUMN subject TEXT;
CREATE INDEX delivery_of_subject ON delivery (subject, created_at, id) WHERE subject IS NOT NULL;
