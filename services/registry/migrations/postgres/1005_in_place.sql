-- A device is noted as seen again and again, and no indexed column changes: with room on its page its row is changed in place.
ALTER TABLE device SET (fillfactor = 80);
