-- What an alert said when it last held, for its history; and what people made of it.
ALTER TABLE alerts ADD COLUMN expr text NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN annotations text NOT NULL DEFAULT '{}';
ALTER TABLE alerts ADD COLUMN acknowledged_at timestamptz;
ALTER TABLE alerts ADD COLUMN acknowledged_by text COLLATE "C";

-- Who gave the rules.
ALTER TABLE rules ADD COLUMN applied_by text COLLATE "C" NOT NULL DEFAULT '';

-- Alerts of which nobody is to be told for a while. `matchers` are labels and their values, as JSON.
CREATE TABLE silences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    matchers text COLLATE "C" NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    comment text NOT NULL
);

-- Alerts that others sent us: the newest of each.
CREATE TABLE received_alerts (
    fingerprint text COLLATE "C" PRIMARY KEY,
    received_at timestamptz NOT NULL,
    alert text NOT NULL
);

-- What people changed, and who.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    who text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    detail text NOT NULL
);
