//! The rows of the jobs against what the archived events come to.

use contracts::{JobId, Micros};
use pipeline::row::Row;
use pipeline::summary::{Summary, UNKNOWN};
use sinks::postgres::JobRow;

use super::check::Check;
use super::tally::Tally;
use super::truth::{Known, Truth};

/// Takes rows as they come, each once.
pub(super) struct Rows {
    truth: Truth,
    columns: Check,
    unexpected: Check,
    pub(super) tally: Tally,
    pub(super) sample: Sample,
}

impl Rows {
    pub(super) fn new(truth: Truth, sample: Sample) -> Rows {
        Rows {
            truth,
            columns: Check::new("PostgreSQL rows: columns, as the archived events have them"),
            unexpected: Check::new("PostgreSQL rows: none without archived events"),
            tally: Tally::default(),
            sample,
        }
    }

    pub(super) fn take(&mut self, row: JobRow) {
        self.unexpected.compared(1);
        let known = self.truth.jobs.remove(&row.job);
        let mut n_events = None;
        let known = known.map(|known| known.concluded(row.job, &row.summary));
        match &known {
            Some(known) => {
                columns(&mut self.columns, known, &row);
                // Of two contents of one event it depends on what they say how often it is told.
                n_events = (!known.disputed).then(|| self.truth.n_events_of(row.job, known));
            }
            None => self.unexpected.difference(|| {
                (place(row.job, "state"), "no such job".to_owned(), row.state.clone())
            }),
        }
        self.sample.offer(&row, n_events);
        match Summary::decode(&row.summary) {
            Ok(summary) => self.tally.take(row, &summary),
            Err(error) => self.columns.difference(|| {
                (place(row.job, "summary"), "one that can be read".to_owned(), error.to_string())
            }),
        }
    }

    /// What came of it; jobs whose row did not come are missing.
    pub(super) fn finish(self) -> (Vec<Check>, Tally, Sample) {
        let mut missing = Check::new("PostgreSQL rows: one for each job of the archive");
        missing.compared(self.truth.jobs.len() as u64 + self.tally.n_rows as u64);
        for (job, known) in &self.truth.jobs {
            missing.difference(|| {
                (place(*job, "state"), known.summary.state().to_string(), "no row".to_owned())
            });
        }
        (vec![self.columns, missing, self.unexpected], self.tally, self.sample)
    }
}

/// Compares what the events of a job come to with its row.
fn columns(check: &mut Check, known: &Known, found: &JobRow) {
    check.compared(1);
    let summary = &known.summary;
    let expected = Row::of(found.job, summary, found.abandoned_at.is_some());
    let mut column = |name: &str, differs: bool, told: &dyn Fn() -> (String, String)| {
        if differs {
            let (expected, found_text) = told();
            check.difference(|| (place(found.job, name), expected, found_text));
        }
    };
    let texts = [
        ("type", &*expected.job_type.text(), &found.job_type),
        ("state", expected.state.as_str(), &found.state),
        ("queue", &*expected.queue.text(), &found.queue),
        ("worker", &*expected.worker.text(), &found.worker),
    ];
    for (name, expected, found) in texts {
        column(name, expected != found, &|| (expected.to_owned(), found.clone()));
    }
    let known_at = |time: i64| (time != UNKNOWN).then_some(time);
    let times = [
        ("created_at", Some(expected.created), Some(found.created)),
        ("validated_at", known_at(summary.validated), found.validated),
        ("started_at", known_at(expected.started), found.started),
        ("finished_at", known_at(expected.finished), found.finished),
    ];
    for (name, expected, found) in times {
        column(name, expected != found, &|| (time(expected), time(found)));
    }
    let (attempt, inferred) = (i32::from(summary.top.attempt), expected.inferred);
    column("attempt", attempt != found.attempt, &|| {
        (attempt.to_string(), found.attempt.to_string())
    });
    column("inferred", inferred != found.inferred, &|| {
        (inferred.to_string(), found.inferred.to_string())
    });
    let texts = [
        ("error", known.error.as_deref(), found.error.as_deref(), !known.disputed),
        ("metadata", known.metadata(), found.metadata.as_deref(), true),
    ];
    for (name, expected, found, judged) in texts {
        let text = |text: Option<&str>| text.unwrap_or("nothing").to_owned();
        column(name, judged && expected != found, &|| (text(expected), text(found)));
    }
    column("summary", summary.encode() != found.summary, &|| {
        ("that of the events".to_owned(), "another".to_owned())
    });
}

fn place(job: JobId, column: &str) -> String {
    format!("job {job}, {column}")
}

fn time(at: Option<i64>) -> String {
    at.map_or_else(|| "nothing".to_owned(), |at| Micros(at).to_string())
}

/// Some rows, each with the same chance: to be looked at closely elsewhere.
pub(super) struct Sample {
    pub(super) rows: Vec<Sampled>,
    size: usize,
    seen: usize,
    random: fastrand::Rng,
}

pub(super) struct Sampled {
    pub(super) row: JobRow,
    /// Its archived events, if that is how many a reader is told of.
    pub(super) n_events: Option<u64>,
}

impl Sample {
    pub(super) fn new(size: usize, seed: u64) -> Sample {
        Sample { rows: Vec::new(), size, seen: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// Algorithm R (Waterman; Knuth, The Art of Computer Programming, 3.4.2).
    fn offer(&mut self, row: &JobRow, n_events: Option<u64>) {
        self.seen += 1;
        let place = match self.seen <= self.size {
            true => self.rows.len(),
            false => self.random.usize(..self.seen),
        };
        if place >= self.size {
            return;
        }
        let sampled = Sampled { row: row.clone(), n_events };
        match self.rows.get_mut(place) {
            Some(old) => *old = sampled,
            None => self.rows.push(sampled),
        }
    }
}

#[cfg(test)]
#[path = "rows/tests.rs"]
mod tests;
