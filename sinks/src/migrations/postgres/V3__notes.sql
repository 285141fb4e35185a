-- What people have said of alerts. Nothing is deleted: it is the record of who said what, and when.
CREATE TABLE notes (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL,
    matchers text COLLATE "C" NOT NULL,
    active_at timestamptz,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    comment text COLLATE "C" NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    ended_at timestamptz,
    ended_by text COLLATE "C"
);
CREATE INDEX notes_standing ON notes (ends_at) WHERE ended_at IS NULL;

-- Alerts of others, as an Alertmanager told us of them.
CREATE TABLE received_alerts (
    fingerprint text COLLATE "C" PRIMARY KEY,
    received_at timestamptz NOT NULL,
    alert text COLLATE "C" NOT NULL
);

-- The last that whoever is told of each episode once has been told.
ALTER TABLE alerts ADD COLUMN notified text COLLATE "C";
