-- Endpoints that named no types go on being told what there was when they did: how trusonafications end.
UPDATE endpoint
SET event_types = '["trusonafication.accepted","trusonafication.rejected","trusonafication.expired","trusonafication.canceled"]'
WHERE event_types = '[]';
