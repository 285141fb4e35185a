//! A job in detail: its attempts, its timeline and its payload, out of its archived events.
//!
//! The store keeps of a job what its summary has; what each event said is only in the archive. The
//! order between events is that of the summary: attempt, rank of the kind, time, id.

use std::collections::BTreeMap;

use contracts::event::{ErrorInfo, Kind, State};
use contracts::view::{AttemptView, DecidedBy, EventRef, JobView, TimelineEntry, Why};
use contracts::{Event, EventId, Micros, decode};

/// Completes `job` by what its events say, whatever their order.
pub fn tell<B: AsRef<[u8]>>(job: &mut JobView, bodies: &[B]) {
    // Only what decodes is archived.
    let mut events: Vec<_> = bodies.iter().filter_map(|body| decode(body.as_ref()).ok()).collect();
    events.sort_by_key(|event| (standing(event), event.body));
    job.payload = events
        .iter()
        .rev()
        .find_map(|event| event.job.payload)
        .and_then(|payload| serde_json::from_str(payload).ok());
    job.attempts = attempts(&events);
    job.timeline = timeline(&events);
    job.why = why(&events, job.state);
}

/// Why the greatest of `events`, which are in the order of standing, decides.
fn why(events: &[Event<'_>], state: State) -> Option<Why> {
    let winner = events.last()?;
    // The same event twice has nothing to prevail over.
    let loser = events.iter().rev().find(|event| event.body != winner.body);
    let decided_by = match loser {
        _ if state == State::ABANDONED => DecidedBy::Silence,
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
fn standing(event: &Event<'_>) -> (u16, u8, Micros, EventId, Kind) {
    (event.job.attempt, event.kind.rank(), event.occurred_at, event.event_id, event.kind)
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
