-- Which faults of old clients' request signatures a relying party puts up with: JSON, absent members have their defaults.
ALTER TABLE relying_party ADD COLUMN signatures TEXT NOT NULL DEFAULT '{}';
