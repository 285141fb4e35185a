//! What the API can be asked.

/// What a caller's token must have where tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Public,
    Read,
    Write,
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Public => "public",
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

/// A method on a path.
#[derive(Debug)]
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    pub scope: Scope,
    pub parameters: &'static [Parameter],
    /// What is sent along, by the name of its schema; empty for nothing.
    pub body: &'static str,
    pub status: u16,
    /// What is answered, by the name of its schema.
    pub answer: &'static str,
    pub example: Option<Example>,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: &'static str,
    pub description: &'static str,
}

/// A request and its answer, both of which a test holds to.
#[derive(Debug)]
pub struct Example {
    /// What is behind the path, or in place of its parameter.
    pub query: &'static str,
    pub body: &'static str,
    pub response: &'static str,
}

const fn read(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answer: &'static str,
) -> Operation {
    let (method, scope, body, status, example) = ("GET", Scope::Read, "", 200, None);
    Operation { method, path, id, summary, scope, parameters, body, status, answer, example }
}

const fn public(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { scope: Scope::Public, ..read(path, id, summary, &[], answer) }
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "string", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "integer", description }
}

const ID: Parameter = text("id", "A job's id, a UUID");
const STATE: Parameter = text(
    "state",
    "PENDING, VALIDATED, EXECUTING, RETRYING, COMPLETED, FAILED, CANCELLED or ABANDONED",
);
const TYPE: Parameter = text("type", "A job type");
const QUEUE: Parameter = text("queue", "A queue");
const WORKER: Parameter = text("worker", "A worker");
const WINDOW: Parameter = text("window", "1m, 5m, 15m, 1h or all");
const LIMIT: Parameter = number("limit", "Rows of a page, at most 1000");
const Q: Parameter = text(
    "q",
    "Terms that must all hold: state:failed, type:email.*, queue:x, worker:y, age:>5m, \"a text\"; values with commas between them are alternatives",
);

/// Everything there is, but for the files of the page.
pub const OPERATIONS: [Operation; 39] = [
    Operation {
        method: "POST",
        scope: Scope::Write,
        body: "job",
        status: 202,
        example: Some(Example {
            query: "",
            body: r#"{ "id": "0193d5a8-2222-7aaa-8bbb-000000000002", "type": "email.send", "queue": "mail" }"#,
            response: r#"{ "jobId": "0193d5a8-2222-7aaa-8bbb-000000000002" }"#,
        }),
        ..read(
            "/jobs",
            "submitJobs",
            "Submit a job, or an array of them; answered when it is durable. `Idempotency-Key` is honoured.",
            &[],
            "accepted",
        )
    },
    Operation {
        method: "POST",
        scope: Scope::Write,
        body: "event",
        status: 202,
        example: Some(Example {
            query: "",
            body: r#"{ "contractVersion": "1.1.0", "eventType": "job.completed", "eventId": "0193d5a8-3333-7aaa-8bbb-000000000003", "occurredAt": "2026-11-21T10:00:01.000000Z", "producer": { "service": "worker", "instanceId": "w-1", "version": "1.0.0" }, "correlationId": "0193d5a8-2222-7aaa-8bbb-000000000002", "idempotencyKey": "key", "payload": { "id": "0193d5a8-2222-7aaa-8bbb-000000000002", "type": "email.send", "status": "COMPLETED", "createdAt": "2026-11-21T10:00:00.000000Z", "queue": "mail" } }"#,
            response: r#"{ "jobId": "0193d5a8-2222-7aaa-8bbb-000000000002", "eventId": "0193d5a8-3333-7aaa-8bbb-000000000003" }"#,
        }),
        ..read(
            "/events",
            "submitEvents",
            "Submit an event of your own worker, or an array of them",
            &[],
            "accepted",
        )
    },
    Operation {
        example: Some(Example {
            query: "?by=state&type=email.send",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "jobs": 1, "counts": [{ "state": "COMPLETED", "jobs": 1 }] }"#,
        }),
        ..read(
            "/api/v1/counts",
            "getCounts",
            "Jobs counted by state, type, queue or worker",
            &[
                text("by", "What to count by, separated by commas; state by default"),
                STATE,
                TYPE,
                QUEUE,
                WORKER,
                Q,
            ],
            "counts",
        )
    },
    read("/api/v1/snapshot", "getSnapshot", "All views at one moment", &[], "snapshot"),
    read(
        "/api/v1/stream",
        "streamChanges",
        "The snapshot, then what changes, as server-sent events: snapshot, delta, reset, lagged; `Last-Event-ID` goes on",
        &[text("after", "The id of the last event that was seen")],
        "events",
    ),
    Operation {
        example: Some(Example {
            query: "?type=email.send&window=1h&measure=total",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "latency": [{ "measure": "total", "type": "email.send", "window": "1h", "samples": 1 }] }"#,
        }),
        ..read(
            "/api/v1/latency",
            "getLatency",
            "Quantiles of how long jobs wait, run and take in all, in seconds",
            &[TYPE, QUEUE, text("measure", "wait, run or total"), WINDOW],
            "latency",
        )
    },
    Operation {
        example: Some(Example {
            query: "?type=email.send&window=1h",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "throughput": [{ "type": "email.send", "window": "1h", "created": 1, "finished": 1, "failed": 0 }] }"#,
        }),
        ..read(
            "/api/v1/throughput",
            "getThroughput",
            "Jobs created, finished and failed within a window",
            &[TYPE, WINDOW],
            "throughput",
        )
    },
    read(
        "/api/v1/alerts",
        "getAlerts",
        "Alerts that are pending or fire; or those that were resolved, newest first",
        &[text("state", "pending, firing or resolved"), LIMIT],
        "alerts",
    ),
    read(
        "/api/v1/workers",
        "getWorkers",
        "Workers with what they last said of themselves and their jobs by state; those that are there first",
        &[
            text("presence", "online, silent, offline or unheard, with commas between several"),
            LIMIT,
        ],
        "workers",
    ),
    read(
        "/api/v1/deadletters",
        "getDeadLetters",
        "What was not accepted, by reason",
        &[],
        "dead-letters",
    ),
    read(
        "/api/v1/deadletters/letters",
        "getLetters",
        "Dead letters that wait in their queue, the oldest first; they stay where they are",
        &[
            text("reason", "Only those that were rejected for this reason, as schema or bad_json"),
            number("limit", "At most so many, up to 100"),
        ],
        "letters",
    ),
    read(
        "/api/v1/alerts/received",
        "getReceivedAlerts",
        "Alerts of others that an Alertmanager has told us of",
        &[],
        "received-alerts",
    ),
    read(
        "/api/v1/notes",
        "getNotes",
        "Silences and acknowledgements that stand, with the alerts that they cover; or all, newest first",
        &[
            text("all", "true for those that are over, too"),
            number("limit", "At most so many, up to 1000"),
        ],
        "notes",
    ),
    Operation {
        method: "POST",
        scope: Scope::Write,
        body: "new-note",
        status: 201,
        ..read(
            "/api/v1/notes",
            "addNote",
            "Acknowledge an alert, or silence all that match for a time",
            &[],
            "note",
        )
    },
    Operation {
        method: "DELETE",
        scope: Scope::Write,
        status: 204,
        ..read(
            "/api/v1/notes/{id}",
            "endNote",
            "End a silence, or take an acknowledgement back; it stays in the record",
            &[text("id", "The note's id, a UUID")],
            "",
        )
    },
    read(
        "/api/v1/history",
        "getHistory",
        "What happened, in steps of minutes",
        &[
            text("from", "A time; an hour before `to` by default"),
            text("to", "A time; now by default"),
            number("step", "Seconds, a multiple of 60"),
            TYPE,
            text("by", "type, for a series of each"),
        ],
        "history",
    ),
    read("/api/v1/rules", "getRules", "The alert rules that are kept", &[], "rules"),
    Operation {
        method: "PUT",
        scope: Scope::Admin,
        body: "yaml",
        ..read(
            "/api/v1/rules",
            "putRules",
            "Put other alert rules in force, all of the file or nothing; judged from the next second on",
            &[],
            "rules",
        )
    },
    read(
        "/api/v1/rules/history",
        "getRulesHistory",
        "The alert rules that were given, newest first",
        &[number("limit", "At most so many, up to 200")],
        "rules-history",
    ),
    Operation {
        method: "POST",
        scope: Scope::Write,
        body: "yaml",
        ..read(
            "/api/v1/rules/test",
            "testRules",
            "When these rules would have fired over the archived events of a time, and when those in force",
            &[
                text("from", "A time, up to 24 hours before `to`; an hour by default"),
                text("to", "A time; now by default"),
            ],
            "rules-test",
        )
    },
    read(
        "/api/v1/dataflow",
        "getDataflow",
        "Operators, edges, records and activity of the dataflow",
        &[],
        "dataflow",
    ),
    Operation {
        example: Some(Example {
            query: "?q=state:completed+type:email.*&limit=1",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "total": 1, "items": [{ "id": "0193d5a8-2222-7aaa-8bbb-000000000002", "type": "email.send", "state": "COMPLETED", "queue": "mail" }], "nextCursor": null }"#,
        }),
        ..read(
            "/api/v1/jobs",
            "listJobs",
            "Jobs, newest first, page by page; `asOf` and `total` are of the same moment",
            &[
                STATE,
                TYPE,
                QUEUE,
                WORKER,
                Q,
                text("createdAfter", "A time"),
                text("finishedAfter", "A time, such as the edge of a window"),
                text("finishedBefore", "A time"),
                text("retired", "false, true or any: jobs that have left the live counts"),
                LIMIT,
                text("cursor", "`nextCursor` of the page before"),
            ],
            "job-page",
        )
    },
    Operation {
        example: Some(Example {
            query: "0193d5a8-2222-7aaa-8bbb-000000000002",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "id": "0193d5a8-2222-7aaa-8bbb-000000000002", "state": "COMPLETED", "why": { "decidedBy": "eventType", "eventType": "job.completed" } }"#,
        }),
        ..read(
            "/api/v1/jobs/{id}",
            "getJob",
            "A job with its attempts, its timeline, and why it is in its state",
            &[ID],
            "job-view",
        )
    },
    read(
        "/api/v1/jobs/{id}/events",
        "getJobEvents",
        "The events of a job as they were received",
        &[ID],
        "job-events",
    ),
    public("/api/v1/session", "getSession", "What the caller may do", "session"),
    Operation {
        method: "POST",
        body: "token",
        status: 204,
        ..public("/api/v1/session", "beginSession", "Begin a session of the page with a token", "")
    },
    Operation {
        method: "DELETE",
        status: 204,
        ..public("/api/v1/session", "endSession", "End the session of the page", "")
    },
    public("/health", "getHealth", "Whether it works, and what is away", "health"),
    public("/livez", "getLiveness", "Whether the process lives", "text"),
    public("/readyz", "getReadiness", "Whether it is ready to work", "text"),
    read("/metrics", "getMetrics", "Metrics for Prometheus", &[], "text"),
    Operation {
        example: Some(Example {
            query: "",
            body: "",
            response: r#"{ "asOf": "2026-11-21T10:00:00.000002Z", "totalJobs": 1, "completedJobs": 1, "failedJobs": 0, "lastEventTime": "2026-11-21T10:00:01.000000Z" }"#,
        }),
        ..read("/stats", "getStats", "All-time counters", &[], "stats")
    },
    read("/jobs/recent", "getRecentJobs", "The newest jobs", &[LIMIT], "jobs-recent"),
    read(
        "/events",
        "getEvents",
        "The last events of a job, as they were received",
        &[text("jobId", "A job's id")],
        "list",
    ),
    read(
        "/proxy/alerts",
        "getAlertmanagerAlerts",
        "What the configured Alertmanager says of alerts",
        &[],
        "list",
    ),
    read(
        "/proxy/targets",
        "getPrometheusTargets",
        "What the configured Prometheus says of its targets",
        &[],
        "object",
    ),
    Operation {
        method: "POST",
        scope: Scope::Write,
        body: "object",
        ..read(
            "/webhook/alerts",
            "receiveAlerts",
            "Takes notice of alerts that an Alertmanager sends",
            &[],
            "object",
        )
    },
    public("/openapi.json", "getOpenApi", "This document", "object"),
    public("/docs", "getDocs", "This document, to be read", "html"),
];
