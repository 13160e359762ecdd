-- The trusonafication leads, and the relying party is looked at in what is found: a plan that was made while the table was small would go on
-- to look through everything of a relying party.
DROP INDEX delivery_of_trusonafication;
CREATE INDEX delivery_of_trusonafication ON delivery (trusonafication_id, created_at, id);
