//! A job in detail: its attempts, its timeline and its payload, out of its archived events.
//!
//! The store keeps of a job what its summary has; what each event said is only in the archive. The
//! order between events is that of the summary: attempt, rank of the kind, time, id. Where events do
//! not tell the attempt, all of them together do.

use std::collections::BTreeMap;

use contracts::event::{ErrorInfo, Format, Kind, State, UNTOLD};
use contracts::retries::Retries;
use contracts::view::{AttemptView, DecidedBy, EventRef, JobView, TimelineEntry, Why};
use contracts::{Event, EventId, Micros, decode};

/// Completes `job` by what its events say, whatever their order.
pub fn tell<B: AsRef<[u8]>>(job: &mut JobView, bodies: &[B]) {
    // Only what decodes is archived.
    let mut events: Vec<_> = bodies.iter().filter_map(|body| decode(body.as_ref()).ok()).collect();
    let retries = told_together(&mut events);
    events.sort_by_key(|event| (standing(event, &retries), event.body));
    job.runtime = runtime(&events);
    job.payload = events
        .iter()
        .rev()
        .find_map(|event| event.job.payload)
        .and_then(|payload| serde_json::from_str(payload).ok());
    job.attempts = attempts(&events);
    job.timeline = timeline(&events);
    job.why = why(&events, job.inferred || job.state == State::ABANDONED);
}

/// Gives events that do not tell their attempt the one that follows from all of them.
fn told_together(events: &mut [Event<'_>]) -> Retries {
    let untold = |event: &&Event<'_>| event.job.attempt == UNTOLD;
    let retries = events.iter().filter(untold).filter(|event| event.kind == Kind::Retried);
    let retries = retries.map(|event| (event.occurred_at.0, event.event_id)).collect();
    let retries = Retries::latest_of(retries, false);
    for event in events.iter_mut().filter(|event| event.job.attempt == UNTOLD) {
        event.job.attempt = retries.attempt(event.occurred_at.0);
    }
    retries
}

/// Seconds that the last attempt ran, for a task of Celery that has ended: as its worker measured it,
/// where it tells that, else between its events.
fn runtime(events: &[Event<'_>]) -> Option<f64> {
    #[derive(serde::Deserialize)]
    struct Measured {
        runtime: Option<f64>,
    }
    let deciding = events.last().filter(|event| event.kind.terminal())?;
    let origin = deciding.origin.as_ref().filter(|origin| origin.format == Format::Celery)?;
    let measured = origin.event.and_then(|event| serde_json::from_str::<Measured>(event).ok());
    if let Some(runtime) = measured.and_then(|measured| measured.runtime) {
        return Some(runtime);
    }
    let of_this_run = |event: &&Event<'_>| {
        event.kind == Kind::Executed
            && event.job.attempt == deciding.job.attempt
            && event.occurred_at <= deciding.occurred_at
    };
    let started = events.iter().filter(of_this_run).map(|event| event.occurred_at).max()?;
    Some((deciding.occurred_at.0 - started.0) as f64 / 1e6)
}

/// Why the greatest of `events`, which are in the order of standing, decides.
///
/// Of a job of which something was concluded, it is what nothing was heard after.
fn why(events: &[Event<'_>], silence: bool) -> Option<Why> {
    let winner = events.last()?;
    // The same event twice has nothing to prevail over.
    let loser = events.iter().rev().find(|event| event.body != winner.body);
    let decided_by = match loser {
        _ if silence => DecidedBy::Silence,
        None => DecidedBy::Alone,
        Some(loser) if loser.job.attempt != winner.job.attempt => DecidedBy::Attempt,
        Some(loser) if loser.kind.rank() != winner.kind.rank() => DecidedBy::Kind,
        Some(loser) if loser.occurred_at != winner.occurred_at => DecidedBy::Time,
        Some(loser) if loser.event_id != winner.event_id => DecidedBy::Id,
        Some(_) => DecidedBy::Content,
    };
    Some(Why { decided_by, event: reference(winner), beat: loser.map(reference) })
}

fn reference(event: &Event<'_>) -> EventRef {
    EventRef {
        event_id: event.event_id,
        event_type: event.kind,
        attempt: event.job.attempt,
        occurred_at: event.occurred_at,
    }
}

/// Which of a job's events decides: the greatest.
///
/// Before a terminal kind the id plays no role, but then the events are equal in what they say.
fn standing(event: &Event<'_>, retries: &Retries) -> (u16, u8, Micros, EventId, Kind) {
    let Event { kind, occurred_at, event_id, job, origin, .. } = event;
    let rank = match origin {
        Some(_) => retries.rank(*kind, occurred_at.0),
        None => kind.rank(),
    };
    (job.attempt, rank, *occurred_at, *event_id, *kind)
}

/// One entry per attempt that an event tells of; `events` are in the order of standing.
fn attempts(events: &[Event<'_>]) -> Vec<AttemptView> {
    let mut attempts = BTreeMap::<u16, Vec<&Event<'_>>>::new();
    for event in events {
        attempts.entry(event.job.attempt).or_default().push(event);
    }
    attempts.into_iter().filter_map(|(attempt, events)| view(attempt, &events)).collect()
}

fn view(attempt: u16, events: &[&Event<'_>]) -> Option<AttemptView> {
    let deciding = events.last()?;
    let ended = deciding.kind.terminal() || deciding.kind == Kind::Retried;
    Some(AttemptView {
        attempt,
        state: deciding.kind.state(),
        worker: events
            .iter()
            .rev()
            .find_map(|event| event.job.worker.as_deref().map(str::to_owned)),
        started_at: events
            .iter()
            .filter(|event| event.kind == Kind::Executed)
            .map(|event| event.occurred_at)
            .min(),
        finished_at: ended.then_some(deciding.occurred_at),
        error: error(deciding),
    })
}

/// What happened, in the order in which it did; the same thing is told once.
fn timeline(events: &[Event<'_>]) -> Vec<TimelineEntry> {
    let mut entries: Vec<_> = events.iter().map(entry).collect();
    // Stable: at one time, in the order of standing.
    entries.sort_by_key(|entry| entry.occurred_at);
    entries.dedup();
    entries
}

fn entry(event: &Event<'_>) -> TimelineEntry {
    TimelineEntry {
        event_type: event.kind,
        occurred_at: event.occurred_at,
        attempt: event.job.attempt,
        worker: event.job.worker.as_deref().map(str::to_owned),
        event_id: event.event_id,
        error: error(event),
    }
}

fn error(event: &Event<'_>) -> Option<ErrorInfo> {
    event.job.error.as_ref().map(ErrorInfo::from)
}

#[cfg(test)]
mod tests;
