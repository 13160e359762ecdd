-- What is tolerated of those who prompt people. Relying parties of before, and those that a release of before creates, go on as they did.
ALTER TABLE relying_party ADD COLUMN tolerant_prompts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE relying_party ADD COLUMN allow_unprompted INTEGER NOT NULL DEFAULT 0;
