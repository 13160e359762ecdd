-- What the service concluded, signed when it ended; NULL while it has not, and where it ended before receipts were given.
ALTER TABLE trusonafication ADD COLUMN receipt TEXT;
-- Which presence keys are the device's, by its own word at the moment of the answer, and JSON: the signatures of those who vouched for them.
ALTER TABLE trusonafication ADD COLUMN key_statement TEXT;
ALTER TABLE trusonafication ADD COLUMN key_signatures TEXT;
