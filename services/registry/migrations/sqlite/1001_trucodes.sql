-- How secure QR codes of a relying party behave: JSON, absent members have their defaults.
ALTER TABLE relying_party ADD COLUMN trucodes TEXT NOT NULL DEFAULT '{}';
