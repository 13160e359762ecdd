-- For people who look for what is rare: the rejected ones of a million.
CREATE INDEX trusonafication_of_status ON trusonafication (relying_party_id, status, created_at, id);
