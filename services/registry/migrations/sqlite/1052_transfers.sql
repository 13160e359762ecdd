-- What phones may do by their users' word alone, as JSON: nothing but hand their place on.
ALTER TABLE relying_party ADD COLUMN phones TEXT NOT NULL DEFAULT '{}';
