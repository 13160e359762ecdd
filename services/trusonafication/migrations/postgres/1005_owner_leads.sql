-- Whoever is asked leads, and the relying party is looked at in what is found: an index that begins with the relying party seems as good
-- as any other while the table is small, and a plan made then goes on to look through everything of a relying party.
DROP INDEX trusonafication_waiting_for_user;
CREATE INDEX trusonafication_waiting_for_user ON trusonafication (user_identifier, created_at, id)
  WHERE status = 'in_progress' AND user_identifier IS NOT NULL;
DROP INDEX trusonafication_waiting_for_device;
CREATE INDEX trusonafication_waiting_for_device ON trusonafication (device_id, created_at, id)
  WHERE status = 'in_progress' AND device_id IS NOT NULL;
DROP INDEX trusonafication_waiting_for_trucode;
CREATE INDEX trusonafication_waiting_for_trucode ON trusonafication (trucode_id) WHERE status = 'in_progress' AND trucode_id IS NOT NULL;
