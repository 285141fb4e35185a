//! What a commit comes to: of the updates of many ticks, the one thing to write for each key.
//!
//! Pure, and the same for every store.

use std::collections::BTreeMap;

use contracts::JobId;
use contracts::event::Kind;
use ingress::submit::Submitted;
use pipeline::distribution::Bucket;
use pipeline::fact::Record;
use pipeline::name::Name;
use pipeline::seal::Updates;
use pipeline::summary::Summary;
use pipeline::views::counts::Cell;
use pipeline::views::latency::{ABSENT, Sample};
use pipeline::views::minutes::{Minute, MinuteStats};
use pipeline::{Diff, Tick};

/// The last record of each job, which holds all of it.
pub(crate) fn records(updates: &Updates<Record, ()>) -> BTreeMap<JobId, &Record> {
    updates.iter().map(|(record, _, ())| (record.job, record)).collect()
}

/// The error of a job as JSON, if it is known without the store; else the store has it.
///
/// It is that of the event that decides the state. Where attempts are not told, a late retry may
/// hand the decision back to an earlier event, but only to one of a kind that has no error.
pub(crate) fn error<'a>(summary: &Summary, events: &[&'a Submitted]) -> Option<Option<&'a str>> {
    if summary.is_untold() && summary.top.inferred() {
        return Some(inferred_error(summary.top.kind));
    }
    let deciding = events.iter().filter(|event| summary.decided_by(&event.fact));
    match deciding.max_by(|a, b| a.body.cmp(&b.body)) {
        Some(event) => Some(event.error.as_deref()),
        None => (summary.is_untold() && !has_error(summary.top.kind)).then_some(None),
    }
}

/// Why we concluded that a job has come to `kind`, as JSON.
pub fn inferred_error(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Cancelled => Some(
            r#"{"kind":"Expired","message":"no worker is known to have taken it before it expired"}"#,
        ),
        Kind::Failed => Some(
            r#"{"kind":"WorkerLost","message":"its worker began anew without having told how it ended"}"#,
        ),
        _ => None,
    }
}

fn has_error(kind: Kind) -> bool {
    matches!(kind, Kind::Retried | Kind::Failed | Kind::Cancelled)
}

/// The number that each cell came to; 0 for one that is gone.
pub(crate) fn cells(updates: &Updates<(Cell, Diff)>) -> BTreeMap<Cell, Diff> {
    let mut cells = BTreeMap::<Cell, (Tick, Diff)>::new();
    for &((cell, n), tick, diff) in updates {
        let (at, jobs) = cells.entry(cell).or_default();
        if tick > *at {
            (*at, *jobs) = (tick, 0);
        }
        // Of one tick there is the new number, the old one retracted, or both in any order.
        if tick == *at && diff > 0 {
            *jobs = n;
        }
    }
    cells.into_iter().map(|(cell, (_, jobs))| (cell, jobs)).collect()
}

/// What there is to add to each minute.
pub(crate) fn minutes(updates: &Updates<Minute, MinuteStats>) -> BTreeMap<Minute, MinuteStats> {
    let mut minutes = BTreeMap::<Minute, MinuteStats>::new();
    for (minute, _, stats) in updates {
        *minutes.entry(*minute).or_default() += *stats;
    }
    minutes.retain(|_, stats| *stats != MinuteStats::default());
    minutes
}

/// A bucket of the retired share: of a type, a queue and the place of a measure.
pub(crate) type Share = (Name, Name, usize, Bucket);

/// What there is to add to each bucket of the retired share.
pub(crate) fn buckets(updates: &Updates<Sample>) -> BTreeMap<Share, Diff> {
    let mut buckets = BTreeMap::<Share, Diff>::new();
    for (sample, _, diff) in updates {
        for (measure, bucket) in sample.buckets.into_iter().enumerate() {
            if bucket != ABSENT {
                let key = (sample.job_type, sample.queue, measure, bucket);
                *buckets.entry(key).or_default() += diff;
            }
        }
    }
    buckets.retain(|_, n| *n != 0);
    buckets
}
