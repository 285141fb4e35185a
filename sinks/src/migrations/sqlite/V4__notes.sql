-- What people have said of alerts. Nothing is deleted: it is the record of who said what, and when.
CREATE TABLE notes (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    matchers TEXT NOT NULL,
    active_at INTEGER,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER,
    comment TEXT NOT NULL,
    created_by TEXT NOT NULL,
    ended_at INTEGER,
    ended_by TEXT
) STRICT;
CREATE INDEX notes_standing ON notes (ends_at) WHERE ended_at IS NULL;

-- Alerts of others, as an Alertmanager told us of them.
CREATE TABLE received_alerts (
    fingerprint TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL,
    alert TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last that whoever is told of each episode once has been told.
ALTER TABLE alerts ADD COLUMN notified TEXT;
