-- What a device has signed about its presence keys (JWS), with the signatures of those keys (JSON array of JWS). NULL: uncertified.
ALTER TABLE device ADD COLUMN key_statement TEXT;
ALTER TABLE device ADD COLUMN key_signatures TEXT;
-- Of its last statement; 0 before the first. Stays when the statement goes.
ALTER TABLE device ADD COLUMN key_statement_seq INTEGER NOT NULL DEFAULT 0;
-- When the last nonce that it used was made.
ALTER TABLE device ADD COLUMN challenged_at INTEGER;
