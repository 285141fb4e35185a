-- What an alert said when it last held, for its history.
ALTER TABLE alerts ADD COLUMN expr text NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN annotations text NOT NULL DEFAULT '{}';

-- Who gave the rules.
ALTER TABLE rules ADD COLUMN applied_by text COLLATE "C" NOT NULL DEFAULT '';
