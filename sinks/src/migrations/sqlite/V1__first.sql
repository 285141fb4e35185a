-- Times are µs since the Unix epoch, ticks likewise; ids are 16 bytes.

-- One row per job. `summary` is the whole lattice element; the columns are projections of it, but
-- for `error` (of the deciding event) and `metadata` (of the greatest `metadata_standing`).
CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    inferred INTEGER NOT NULL,
    queue TEXT NOT NULL,
    worker TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    validated_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    error TEXT,
    metadata TEXT,
    metadata_standing BLOB,
    tick INTEGER NOT NULL,
    abandoned_at INTEGER,
    retired_at INTEGER,
    summary BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_creation ON jobs (created_at DESC, id);
CREATE INDEX jobs_by_state ON jobs (state, created_at DESC, id);
CREATE INDEX jobs_by_type ON jobs (type, created_at DESC, id);
CREATE INDEX jobs_in_memory ON jobs (id) WHERE retired_at IS NULL;

-- The cube: jobs not retired.
CREATE TABLE counts (
    state TEXT NOT NULL,
    type TEXT NOT NULL,
    queue TEXT NOT NULL,
    worker TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (state, type, queue, worker)
) STRICT, WITHOUT ROWID;

-- Retired jobs.
CREATE TABLE totals (
    state TEXT NOT NULL,
    type TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (state, type)
) STRICT, WITHOUT ROWID;

-- The retired share of the latencies of all time.
CREATE TABLE distributions (
    type TEXT NOT NULL,
    queue TEXT NOT NULL,
    measure TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (type, queue, measure, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE minute_stats (
    minute INTEGER NOT NULL,
    type TEXT NOT NULL,
    created INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    waits INTEGER NOT NULL,
    wait_micros INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    run_micros INTEGER NOT NULL,
    PRIMARY KEY (minute, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE alerts (
    alert TEXT NOT NULL,
    labels TEXT NOT NULL,
    active_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    fired_at INTEGER,
    resolved_at INTEGER,
    value REAL NOT NULL,
    PRIMARY KEY (alert, labels, active_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_open ON alerts (alert) WHERE resolved_at IS NULL;

-- The rules in force, and those that were: the newest row counts.
CREATE TABLE rules (
    id INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL,
    yaml TEXT NOT NULL
) STRICT;

-- The archive: every event as it was received. `key` is the event id, or `id:hash` for a second
-- content under one id. Appended in order of arrival, so that old pages are left alone.
CREATE TABLE job_events (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    job_id BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    late INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX job_events_by_job ON job_events (job_id, occurred_at);
CREATE INDEX job_events_by_time ON job_events (occurred_at);

-- Events that occurred before the retention of rows, outside all views.
CREATE TABLE late_events (
    key TEXT PRIMARY KEY,
    job_id BLOB NOT NULL,
    occurred_at INTEGER NOT NULL,
    tick INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Submissions that were refused, by reason.
CREATE TABLE rejections (
    reason TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs that the reference worker is to execute and that have not ended.
CREATE TABLE work (
    job_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- One row: everything at ticks before `tick` is durable. A writer takes the next generation.
CREATE TABLE frontier (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,
    tick INTEGER NOT NULL
) STRICT;
INSERT INTO frontier VALUES (1, 0, 0);
