-- How many wrong numbers were entered for a code; the third ends it.
ALTER TABLE trucode ADD COLUMN wrong_numbers INTEGER NOT NULL DEFAULT 0;
-- How many of a user's strikes are wrong numbers, of prompts and codes.
ALTER TABLE prompt_budget ADD COLUMN wrong_numbers INTEGER NOT NULL DEFAULT 0;
-- JSON: who asked the backend, as far as it said. NULL: it did not.
ALTER TABLE trusonafication ADD COLUMN request_context TEXT;
