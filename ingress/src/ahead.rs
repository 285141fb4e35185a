//! Events from the future: what is too far ahead of our clock is refused where it comes in live.

use contracts::{Event, Micros, Reason, Rejection};

/// How far ahead of our clock an event may be, in µs: one hour.
pub const MAX_AHEAD: i64 = 3_600_000_000;

/// Refuses an event from too far ahead: it would push the views' clock-dependent windows around.
pub fn in_time(event: &Event<'_>, now: Micros) -> Result<(), Rejection> {
    time_in_time(event.occurred_at, now)
}

/// The same of something that occurred at `at`.
pub(crate) fn time_in_time(at: Micros, now: Micros) -> Result<(), Rejection> {
    if at.0 <= now.0.saturating_add(MAX_AHEAD) {
        return Ok(());
    }
    Err(Rejection {
        reason: Reason::BadTime,
        pointer: "/occurredAt".to_owned(),
        detail: format!("more than 1 h ahead of this server's clock, which says {now}"),
    })
}
