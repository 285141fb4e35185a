-- Times are instants with microseconds; ticks are µs since the Unix epoch. Names are compared byte
-- by byte (COLLATE "C"): that is how they are told apart elsewhere, it is fast, and an upgrade of
-- the system's collations cannot damage an index.

-- One row per job. `summary` is the whole lattice element; the columns are projections of it, but
-- for `error` (of the deciding event) and `metadata` (of the greatest `metadata_standing`). These
-- two are JSON as it was received. They are text, because a second opinion on what JSON is could
-- refuse a commit for ever.
-- A job changes its state some four times: room in its page keeps it there, and vacuum comes early.
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    type text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    inferred boolean NOT NULL,
    queue text COLLATE "C" NOT NULL,
    worker text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    created_at timestamptz NOT NULL,
    validated_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    error text COLLATE "C",
    metadata text COLLATE "C",
    metadata_standing bytea,
    tick bigint NOT NULL,
    abandoned_at timestamptz,
    retired_at timestamptz,
    summary bytea NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- Lists are of the jobs not retired, newest first; a restart reads those through the same indices.
CREATE INDEX jobs_by_creation ON jobs (created_at DESC, id) WHERE retired_at IS NULL;
CREATE INDEX jobs_by_state ON jobs (state, created_at DESC, id) WHERE retired_at IS NULL;
CREATE INDEX jobs_by_type ON jobs (type, created_at DESC, id) WHERE retired_at IS NULL;

-- The cube: jobs not retired. Its cells change at every tick: with room in their pages that costs
-- no index entry. Likewise below.
CREATE TABLE counts (
    state text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    worker text COLLATE "C" NOT NULL,
    jobs bigint NOT NULL,
    PRIMARY KEY (state, type, queue, worker)
) WITH (fillfactor = 50);

-- Retired jobs.
CREATE TABLE totals (
    state text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    jobs bigint NOT NULL,
    PRIMARY KEY (state, type)
) WITH (fillfactor = 50);

-- The retired share of the latencies of all time. A bucket that was emptied has n = 0.
CREATE TABLE distributions (
    type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    bucket integer NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (type, queue, measure, bucket)
) WITH (fillfactor = 70);

CREATE TABLE minute_stats (
    minute timestamptz NOT NULL,
    type text COLLATE "C" NOT NULL,
    created bigint NOT NULL,
    finished bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    waits bigint NOT NULL,
    wait_micros bigint NOT NULL,
    runs bigint NOT NULL,
    run_micros bigint NOT NULL,
    PRIMARY KEY (minute, type)
) WITH (fillfactor = 70);

CREATE TABLE alerts (
    alert text COLLATE "C" NOT NULL,
    labels text COLLATE "C" NOT NULL,
    active_at timestamptz NOT NULL,
    state text COLLATE "C" NOT NULL,
    fired_at timestamptz,
    resolved_at timestamptz,
    value double precision NOT NULL,
    PRIMARY KEY (alert, labels, active_at)
);
CREATE INDEX alerts_open ON alerts (alert) WHERE resolved_at IS NULL;

-- The rules in force, and those that were: the newest row counts.
CREATE TABLE rules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    applied_at timestamptz NOT NULL,
    yaml text NOT NULL
);

-- Events that occurred before the retention of rows, outside all views. `content` is a hash of the
-- body: two contents under one event id are two events.
CREATE TABLE late_events (
    event_id uuid NOT NULL,
    content bigint NOT NULL,
    job_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    tick bigint NOT NULL,
    PRIMARY KEY (event_id, content)
);

-- Submissions that were refused, by reason.
CREATE TABLE rejections (
    reason text COLLATE "C" PRIMARY KEY,
    n bigint NOT NULL
);

-- Events that wait for the archive, which was away: in the order of `id`. The archive takes an
-- event twice without harm, so they may be here twice.
CREATE TABLE event_spill (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    job_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    tick bigint NOT NULL,
    late boolean NOT NULL,
    body bytea NOT NULL
);

-- One row: everything at ticks before `tick` is durable. A writer takes the next generation.
CREATE TABLE frontier (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint NOT NULL,
    tick bigint NOT NULL,
    -- `createdAt` of the youngest job ever retired: a fact of a younger one is of a new job.
    youngest_retired timestamptz,
    -- `occurredAt` of the newest event.
    last_event_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO frontier (generation, tick) VALUES (0, 0);
