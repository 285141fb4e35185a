//! Events, and the rows that a store would have of them, for tests.

use contracts::event::{Envelope, ErrorInfo, JobObject, Kind, ProducerInfo};
use contracts::{JobId, Micros};
use pipeline::row::Row;
use pipeline::summary::UNKNOWN;
use serde_json::json;
use sinks::postgres::JobRow;
use sinks::store::ArchivedEvent;
use uuid::Uuid;

use super::check::Check;
use super::truth::{Known, Truth};

/// 2026-11-21T10:00:00Z.
pub(super) const NOON: i64 = 1_795_255_200_000_000;

pub(super) fn job(n: u8) -> JobId {
    Uuid::from_u128(0xa000 + u128::from(n))
}

/// An event of job `n`, `seconds` after its creation.
pub(super) fn event(n: u8, kind: Kind, attempt: u16, seconds: i64) -> Envelope {
    let number = 1_000 * u128::from(n) + 10 * u128::from(attempt) + kind as u128;
    let error = matches!(kind, Kind::Retried | Kind::Failed)
        .then(|| ErrorInfo { kind: "Timeout".to_owned(), message: format!("attempt {attempt}") });
    let metadata =
        (kind == Kind::Created).then(|| json!({ "n": n }).as_object().cloned()).flatten();
    Envelope {
        contract_version: "1.1.0".to_owned(),
        event_type: kind,
        event_id: Uuid::from_u128(number),
        occurred_at: Micros(NOON + 1_000_000 * seconds),
        producer: ProducerInfo {
            service: "s".to_owned(),
            instance_id: "i".to_owned(),
            version: "1".to_owned(),
        },
        correlation_id: Uuid::nil(),
        idempotency_key: "k".to_owned(),
        payload: JobObject {
            id: job(n),
            job_type: format!("type-{}", n % 2),
            status: "PENDING".to_owned(),
            created_at: Micros(NOON),
            updated_at: None,
            queue: Some("mail".to_owned()),
            worker: (kind > Kind::Validated).then(|| "w-1".to_owned()),
            attempt,
            error,
            payload: None,
            metadata,
        },
    }
}

/// The life of job `n`, which fails if the number is a multiple of three.
pub(super) fn life(n: u8) -> Vec<Envelope> {
    let ends = if n.is_multiple_of(3) { Kind::Failed } else { Kind::Completed };
    vec![
        event(n, Kind::Created, 1, 0),
        event(n, Kind::Validated, 1, 1),
        event(n, Kind::Executed, 1, 2),
        event(n, Kind::Retried, 1, 3),
        event(n, Kind::Executed, 2, 4),
        event(n, ends, 2, 5 + i64::from(n)),
    ]
}

pub(super) fn archived(event: &Envelope) -> ArchivedEvent {
    let body = serde_json::to_vec(event).unwrap();
    ArchivedEvent { key: event.event_id.to_string(), tick: 1, late: false, body }
}

/// What the archived events come to; all of them are as they should be.
pub(super) fn truth(events: &[Envelope]) -> Truth {
    let (mut truth, mut check) = (Truth::default(), Check::new("events"));
    events.iter().for_each(|event| truth.take(&archived(event), &mut check));
    assert!(!check.differs(), "{check:?}");
    truth
}

/// The row of a job as the store writes it.
pub(super) fn row(job: JobId, known: &Known) -> JobRow {
    let at = |time: i64| (time != UNKNOWN).then_some(time);
    let row = Row::of(job, &known.summary, false);
    JobRow {
        job,
        job_type: row.job_type.to_string(),
        state: row.state.to_string(),
        inferred: row.inferred,
        queue: row.queue.to_string(),
        worker: row.worker.to_string(),
        attempt: known.summary.top.attempt.into(),
        created: row.created,
        validated: at(known.summary.validated),
        started: at(row.started),
        finished: at(row.finished),
        error: known.error.clone(),
        metadata: known.metadata().map(str::to_owned),
        tick: 7,
        abandoned_at: None,
        retired_at: None,
        summary: known.summary.encode(),
    }
}

/// Jobs 0 to `n`, as they were told, and the rows of them.
pub(super) fn jobs(n: u8) -> (Truth, Vec<JobRow>) {
    let events: Vec<Envelope> = (0..n).flat_map(life).collect();
    let truth = truth(&events);
    let mut rows: Vec<JobRow> = truth.jobs.iter().map(|(job, known)| row(*job, known)).collect();
    rows.sort_by_key(|row| row.job);
    (truth, rows)
}
