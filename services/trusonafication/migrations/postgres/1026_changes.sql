-- Whoever waits and missed a wake is told by a look for what was created or ended since: one a gateway, for all who wait there.
-- It may have been made beforehand, without blocking writes: docs/operations.md, Upgrade.
CREATE INDEX IF NOT EXISTS trusonafication_changed ON trusonafication (updated_at, id);
