-- The phone whose statement made a binding; NULL: the relying party did.
ALTER TABLE binding ADD COLUMN vouched_by TEXT;
-- When the nonce was made by which a device last vouched for another: of its statements later ones alone have an effect.
ALTER TABLE known_device ADD COLUMN challenged_at TIMESTAMPTZ;
