//! What a commit comes to: of the updates of many ticks, the one thing to write for each key.
//!
//! Pure, and the same for every store.

use std::collections::BTreeMap;

use contracts::JobId;
use ingress::submit::Submitted;
use pipeline::distribution::Bucket;
use pipeline::fact::Record;
use pipeline::name::Name;
use pipeline::seal::Updates;
use pipeline::summary::{Standing, Summary};
use pipeline::views::counts::Cell;
use pipeline::views::latency::{ABSENT, Sample};
use pipeline::views::minutes::{Minute, MinuteStats};
use pipeline::{Diff, Tick};

/// The last record of each job, which holds all of it.
pub(crate) fn records(updates: &Updates<Record, ()>) -> BTreeMap<JobId, &Record> {
    updates.iter().map(|(record, _, ())| (record.job, record)).collect()
}

/// The event that decides a job's state, if it is among `events`; else the store has its error.
pub(crate) fn deciding<'a>(summary: &Summary, events: &[&'a Submitted]) -> Option<&'a Submitted> {
    let deciding = events.iter().filter(|event| Standing::of(&event.fact) == summary.top);
    deciding.max_by(|a, b| a.body.cmp(&b.body)).copied()
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
