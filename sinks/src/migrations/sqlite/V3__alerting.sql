-- What an alert said when it last held, for its history; and what people made of it.
ALTER TABLE alerts ADD COLUMN expr TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN annotations TEXT NOT NULL DEFAULT '{}';
ALTER TABLE alerts ADD COLUMN acknowledged_at INTEGER;
ALTER TABLE alerts ADD COLUMN acknowledged_by TEXT;

-- Who gave the rules.
ALTER TABLE rules ADD COLUMN applied_by TEXT NOT NULL DEFAULT '';

-- Alerts of which nobody is to be told for a while. `matchers` are labels and their values, as JSON.
CREATE TABLE silences (
    id INTEGER PRIMARY KEY,
    matchers TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT;

-- Alerts that others sent us: the newest of each.
CREATE TABLE received_alerts (
    fingerprint TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL,
    alert TEXT NOT NULL
) STRICT;

-- What people changed, and who.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
