//! What the jobs are, out of the archived events alone: no dataflow, and no store but the archive.
//!
//! # Cost
//!
//! A summary per job, with its error and its metadata: some 300 bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use contracts::event::{Kind, UNTOLD};
use contracts::{Event, JobId, Reason, decode};
use ingress::submit::Submitted;
use pipeline::Tick;
use pipeline::fact::Fact;
use pipeline::summary::{Standing, Summary};
use sinks::changes::inferred_error;
use sinks::store::ArchivedEvent;

use super::check::Check;

/// What the events of a job come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) summary: Summary,
    /// That of the event which decides.
    pub(super) error: Option<String>,
    /// Two contents of one event decide: which of them gives the error is not for us to say.
    pub(super) disputed: bool,
    /// Where attempts are not told, any event may come to decide: each with its error.
    untold: Vec<(Fact, Option<String>)>,
    /// That with the greatest standing, and then the greatest text.
    metadata: Option<([u8; 28], String)>,
    /// Archived events, late ones included.
    pub(super) n_events: u64,
}

impl Known {
    fn of(event: &Event<'_>) -> Known {
        let Submitted { fact, error, metadata, .. } = Submitted::of(event, false);
        let untold = (fact.attempt == UNTOLD).then(|| (fact.clone(), error.clone()));
        Known {
            summary: Summary::of(&fact),
            error,
            disputed: false,
            untold: untold.into_iter().collect(),
            metadata: metadata.map(|text| (Standing::of(&fact).to_bytes(), text)),
            n_events: 1,
        }
    }

    fn join(&mut self, other: Known) {
        let (mine, theirs) = (self.summary.top, other.summary.top);
        self.summary.join(&other.summary);
        self.untold.extend(other.untold);
        if self.summary.is_untold() {
            let deciding = self.untold.iter().filter(|(fact, _)| self.summary.decided_by(fact));
            let mut errors = deciding.map(|(_, error)| error);
            self.error = errors.next().cloned().flatten();
            self.disputed = errors.any(|error| *error != self.error);
        } else if theirs > mine {
            (self.error, self.disputed) = (other.error, other.disputed);
        } else if theirs == mine {
            self.disputed |= self.error != other.error;
        }
        self.metadata = self.metadata.take().max(other.metadata);
        self.n_events += other.n_events;
    }

    /// The same with what was concluded of the job since nothing was heard, which is in its row only.
    pub(super) fn concluded(mut self, job: JobId, row: &[u8]) -> Known {
        let Ok(found) = Summary::decode(row) else { return self };
        let concluded = match found.top.kind {
            Kind::Failed => self.summary.lost(job, found.top.at),
            _ => self.summary.expired(job, Tick::MAX),
        };
        if let Some(fact) = concluded
            && found.top.inferred()
        {
            self.summary.join(&Summary::of(&fact));
            self.error = inferred_error(self.summary.top.kind).map(str::to_owned);
        }
        // What was concluded before and does not count any more is in the row only, too.
        if self.summary.top == found.top {
            for fact in found.inferences(job) {
                self.summary.join(&Summary::of(&fact));
            }
        }
        self
    }

    pub(super) fn metadata(&self) -> Option<&str> {
        self.metadata.as_ref().map(|(_, text)| &**text)
    }
}

/// The jobs that the archive tells of.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) jobs: HashMap<JobId, Known>,
    pub(super) n_events: u64,
    pub(super) n_late: u64,
    /// Late events of jobs, which are outside all views.
    late: HashMap<JobId, u64>,
}

impl Truth {
    /// Takes an archived event in; `check` is told of one that is none.
    pub(super) fn take(&mut self, archived: &ArchivedEvent, check: &mut Check) {
        self.n_events += 1;
        check.compared(1);
        let event = match decode(&archived.body) {
            Ok(event) => event,
            // A note: it is archived with its job, and says nothing of its state.
            Err(rejection) if rejection.reason == Reason::UnknownType => return,
            Err(rejection) => {
                let told = || ("an event of the contract".to_owned(), rejection.to_string());
                let (expected, found) = told();
                return check.difference(|| (archived.key.clone(), expected, found));
            }
        };
        let id = event.event_id.to_string();
        if archived.key.split(':').next() != Some(&*id) {
            check.difference(|| (archived.key.clone(), "the id of its event".to_owned(), id));
        }
        if archived.late {
            self.n_late += 1;
            *self.late.entry(event.job.id).or_default() += 1;
            return;
        }
        let known = Known::of(&event);
        match self.jobs.entry(event.job.id) {
            Entry::Vacant(vacant) => drop(vacant.insert(known)),
            Entry::Occupied(mut occupied) => occupied.get_mut().join(known),
        }
    }

    /// The archived events of a job.
    pub(super) fn n_events_of(&self, job: JobId, known: &Known) -> u64 {
        known.n_events + self.late.get(&job).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "truth/tests.rs"]
mod tests;
