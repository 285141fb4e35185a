-- What an alert said when it last held, for its history.
ALTER TABLE alerts ADD COLUMN expr TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN annotations TEXT NOT NULL DEFAULT '{}';

-- Who gave the rules.
ALTER TABLE rules ADD COLUMN applied_by TEXT NOT NULL DEFAULT '';
