//! Rows as fields of the hash: `view:["key", …]`, with the row as JSON.

use std::collections::BTreeMap;

use contracts::Micros;
use contracts::snapshot::{AlertState, Delta, Snapshot};
use pipeline::Tick;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use crate::deltas::{AllTime, micros};
use crate::fold::{Folded, Position};

/// What a write does to the hash.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) set: Vec<(String, String)>,
    pub(super) gone: Vec<String>,
}

impl Fields {
    /// The rows of a delta; those that are gone, by their names.
    pub(super) fn of(delta: &Delta) -> Fields {
        let mut fields = Fields::default();
        for row in &delta.counts {
            let key = (row.state, &row.job_type, &row.queue, &row.worker);
            fields.add("counts", &key, row, row.jobs == 0);
        }
        for row in &delta.latency {
            let gone = row.samples == 0;
            let (measure, job_type, window) = (row.measure, &row.job_type, row.window);
            match &row.queue {
                None => fields.add("latency", &(measure, job_type, window), row, gone),
                Some(queue) => {
                    fields.add("latency", &(measure, job_type, window, queue), row, gone);
                }
            }
        }
        for row in &delta.throughput {
            let gone = row.created == 0 && row.finished == 0 && row.failed == 0;
            fields.add("throughput", &(&row.job_type, row.window), row, gone);
        }
        for row in &delta.alerts {
            let gone = row.state == AlertState::Resolved;
            fields.add("alerts", &(&row.alert, &row.labels), row, gone);
        }
        for row in &delta.totals {
            fields.add("totals", &(row.state, &row.job_type), row, row.jobs == 0);
        }
        if !delta.rejected.is_empty() {
            fields.set("rejected", json(&delta.rejected));
        }
        fields.set("jobs", delta.jobs.to_string());
        fields.set("late", delta.late.to_string());
        fields.set("skewed", delta.skewed.to_string());
        fields
    }

    /// What says which moment the rows are at.
    pub(super) fn at(&mut self, generation: i64, tick: Tick, last_event: Option<Micros>) {
        self.set("generation", generation.to_string());
        self.set("tick", tick.to_string());
        self.set("asOf", micros(tick).to_string());
        if let Some(at) = last_event {
            self.set("lastEvent", at.to_string());
        }
    }

    fn add(&mut self, view: &str, key: &impl Serialize, row: &impl Serialize, gone: bool) {
        let field = format!("{view}:{}", json(key));
        match gone {
            true => self.gone.push(field),
            false => self.set.push((field, json(row))),
        }
    }

    fn set(&mut self, field: &str, value: String) {
        self.set.push((field.to_owned(), value));
    }
}

/// The predecessor's numbers of a snapshot.
pub(super) fn all_time(snapshot: &Snapshot) -> AllTime {
    let live = snapshot.counts.iter().map(|row| (row.state, row.jobs));
    let retired = snapshot.totals.iter().map(|row| (row.state, row.jobs));
    let mut sums = AllTime::default();
    for (state, jobs) in live.chain(retired) {
        sums.total += jobs;
        match state {
            contracts::State::Completed => sums.completed += jobs,
            contracts::State::Failed => sums.failed += jobs,
            _ => {}
        }
    }
    sums
}

/// Reads the hash back; none if it is not there.
pub(super) fn folded(hash: BTreeMap<String, String>) -> Result<Option<Folded>, Error> {
    let (Some(generation), Some(tick)) = (hash.get("generation"), hash.get("tick")) else {
        return Ok(None);
    };
    let at = Position { generation: parse("generation", generation)?, tick: parse("tick", tick)? };
    let mut snapshot = Snapshot { as_of: Some(micros(at.tick)), ..Snapshot::default() };
    let mut last_event = None;
    for (field, value) in &hash {
        match field.split_once(':').map_or(field.as_str(), |(view, _)| view) {
            "counts" => snapshot.counts.push(parse(field, value)?),
            "latency" => snapshot.latency.push(parse(field, value)?),
            "throughput" => snapshot.throughput.push(parse(field, value)?),
            "alerts" => snapshot.alerts.push(parse(field, value)?),
            "totals" => snapshot.totals.push(parse(field, value)?),
            "rejected" => snapshot.rejected = parse(field, value)?,
            "jobs" => snapshot.jobs = parse(field, value)?,
            "late" => snapshot.late = parse(field, value)?,
            "skewed" => snapshot.skewed = parse(field, value)?,
            "lastEvent" => last_event = Micros::parse(value).ok(),
            // Of this page, or of a newer one.
            _ => {}
        }
    }
    Ok(Some(Folded::of(at, snapshot, last_event)))
}

/// Rows are strings, numbers and maps of strings, which always serialise.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::Value { what: what.to_owned(), why: error.to_string() })
}
