-- What workers said last of themselves, and when that was heard. What each says replaces what it said
-- before, if it is later.
CREATE TABLE workers (
    worker TEXT PRIMARY KEY,
    said_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    online_at INTEGER,
    heartbeat TEXT NOT NULL
) STRICT, WITHOUT ROWID;
