-- What workers said last of themselves, and when that was heard. What each says replaces what it said
-- before, if it is later.
CREATE TABLE workers (
    worker text COLLATE "C" PRIMARY KEY,
    said_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    online_at timestamptz,
    heartbeat text COLLATE "C" NOT NULL
);
