-- How often a user may be prompted by others: one row a user who was.
CREATE TABLE prompt_budget (
  id               BLOB PRIMARY KEY,
  relying_party_id BLOB NOT NULL,
  user_identifier  TEXT NOT NULL,
  -- Prompts that nobody accepted since the last that somebody did, and when the last of them ended.
  strikes          INTEGER NOT NULL,
  struck_at        INTEGER,
  -- The day, so that using it changes no index more often.
  used_on          INTEGER NOT NULL,
  UNIQUE (relying_party_id, user_identifier)
) STRICT;
CREATE INDEX prompt_budget_old ON prompt_budget (used_on);

-- On whose account a prompt is: own, counted or tolerated. NULL where it was asked before there were budgets.
ALTER TABLE trusonafication ADD COLUMN way TEXT;

-- How many prompts were asked of a code, and whether one was asked of the device by name because it paired the code.
ALTER TABLE trucode ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trucode ADD COLUMN device_asked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX trucode_of_device ON trucode (identifier, paired_at) WHERE identifier IS NOT NULL;
