-- These rows change again and again, and no indexed column of them does: with room on their page they are changed in place.
ALTER TABLE bound_user SET (fillfactor = 80);
ALTER TABLE known_device SET (fillfactor = 80);
