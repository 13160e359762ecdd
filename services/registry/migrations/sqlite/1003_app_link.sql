-- Which apps open the links of a host. Settings are JSON.
CREATE TABLE app_link (
  relying_party_id BLOB PRIMARY KEY REFERENCES relying_party (id),
  host             TEXT NOT NULL UNIQUE,
  settings         TEXT NOT NULL
) STRICT;
