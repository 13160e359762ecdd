-- What is in progress is little among much that is over: each way to ask for it finds it by an index of that alone.
CREATE INDEX trusonafication_waiting_for_user ON trusonafication (relying_party_id, user_identifier, created_at, id)
  WHERE status = 'in_progress' AND user_identifier IS NOT NULL;
CREATE INDEX trusonafication_waiting_for_device ON trusonafication (relying_party_id, device_id, created_at, id)
  WHERE status = 'in_progress' AND device_id IS NOT NULL;

-- Codes are looked for until they are paired.
DROP INDEX trusonafication_of_trucode;
CREATE INDEX trusonafication_waiting_for_trucode ON trusonafication (relying_party_id, trucode_id)
  WHERE status = 'in_progress' AND trucode_id IS NOT NULL;

-- The sweep goes on after a place, so that a row it cannot read does not stop it. The end of a row is never NULL: that the index says so
-- keeps it from those who do not ask by it. While a table is empty, any index of what is in progress seems as good as another.
DROP INDEX trusonafication_expiring;
CREATE INDEX trusonafication_expiring ON trusonafication (expires_at, id) WHERE status = 'in_progress' AND expires_at IS NOT NULL;
