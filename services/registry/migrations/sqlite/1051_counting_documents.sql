-- Whether a document makes an accept level 3: a presence key that counts vouched for it, or the backend. Those of before do.
ALTER TABLE identity_document ADD COLUMN counts INTEGER NOT NULL DEFAULT 1;
