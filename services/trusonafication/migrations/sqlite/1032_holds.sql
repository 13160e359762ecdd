-- What of the backend a prompt is about: its login session. A newer prompt replaces an older one of the same. NULL: it did not say.
ALTER TABLE trusonafication ADD COLUMN context TEXT;

-- Users who said that it was not them who asked: others do not prompt them in that context until then. Empty: in those that have no name.
CREATE TABLE prompt_hold (
  id                 BLOB PRIMARY KEY,
  relying_party_id   BLOB NOT NULL,
  user_identifier    TEXT NOT NULL,
  context            TEXT NOT NULL,
  -- Where they said so.
  trusonafication_id BLOB NOT NULL,
  held_at            INTEGER NOT NULL,
  held_until         INTEGER NOT NULL,
  UNIQUE (relying_party_id, user_identifier, context)
) STRICT;
CREATE INDEX prompt_hold_over ON prompt_hold (held_until);
