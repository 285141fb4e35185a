//! Views, read from memory: all of them at one moment, or one of them filtered.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use contracts::answers::{
    Alerts, CountBy, Counts, DeadLetters, DeadLettersOf, Latencies, Throughputs,
};
use contracts::snapshot::{AlertState, Measure, Window};
use contracts::view::Stats;
use contracts::{Micros, Snapshot};
use pipeline::Tick;
use serde::Serialize;
use sinks::query::Facet;

use crate::Api;
use crate::filter::{Answers, Asked};
use crate::params::{Params, listed};
use crate::problem::Problem;

/// Resolved alerts in an answer.
const RESOLVED: usize = 100;
const MAX_RESOLVED: usize = 1_000;

/// An answer about one moment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct At<T> {
    pub(crate) as_of: Option<Micros>,
    #[serde(flatten)]
    pub(crate) answer: T,
}

/// The moment of a view, unless nothing was ever durable.
pub(crate) fn some_time(at: Micros) -> Option<Micros> {
    (at > Micros(0)).then_some(at)
}

/// The moment of a read: the last durable tick.
///
/// `frontier` is what the transaction found; `seen` was the last durable tick before it began. The
/// frontier in the store rests while there is nothing to write, so `seen` may be later: then
/// nothing was written between the two, or the transaction would have found it.
pub(crate) fn last_durable(seen: Micros, frontier: Tick) -> Option<Micros> {
    let found = i64::try_from(frontier.saturating_sub(1)).unwrap_or(i64::MAX);
    some_time(seen.max(Micros(found)))
}

pub(crate) async fn snapshot(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Snapshot>, Problem> {
    Params::of(&uri, &[])?;
    Ok(Json(api.snapshot()?.over_queues()))
}

impl Api {
    /// All views at the last grid time, once they are complete; with the latencies of single queues.
    fn snapshot(&self) -> Result<Snapshot, Problem> {
        self.recovered()?;
        let snapshot = self.app.views.snapshot();
        Ok(Snapshot { as_of: snapshot.as_of.and_then(some_time), ..snapshot })
    }
}

/// All-time numbers: the jobs in memory and those retired.
pub(crate) async fn stats(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<At<Stats>>, Problem> {
    Params::of(&uri, &[])?;
    api.recovered()?;
    let (as_of, answer) = api.app.views.stats();
    Ok(Json(At { as_of: some_time(as_of), answer }))
}

/// Sums over the cube.
pub(crate) async fn counts(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Counts>, Problem> {
    let params = Params::of(&uri, &["by", "state", "type", "queue", "worker", "q"])?;
    let by = grouping(params.text("by").unwrap_or("state"))?;
    let asked = Asked::of(&params, Answers::Cube, api.now())?;
    api.recovered()?;

    let (as_of, cube) = api.app.views.cube();
    let mut groups = BTreeMap::<Vec<String>, u64>::new();
    for (values, jobs) in cube {
        if asked.filter.matches_cell(&values.each_ref().map(String::as_str)) {
            let key = by.iter().map(|facet| values[*facet as usize].clone()).collect();
            *groups.entry(key).or_default() += jobs;
        }
    }
    let jobs = groups.values().sum();
    let row = |(key, jobs): (Vec<String>, u64)| {
        let mut row = CountBy { jobs, ..CountBy::default() };
        for (facet, value) in by.iter().zip(key) {
            let field = match facet {
                Facet::State => &mut row.state,
                Facet::Type => &mut row.job_type,
                Facet::Queue => &mut row.queue,
                Facet::Worker => &mut row.worker,
            };
            *field = Some(value);
        }
        row
    };
    let counts = groups.into_iter().map(row).collect();
    Ok(Json(Counts { as_of: some_time(as_of), jobs, counts }))
}

/// The facets to group by.
fn grouping(by: &str) -> Result<Vec<Facet>, Problem> {
    let names = Facet::ALL.map(Facet::as_str);
    let facet = |name: &str| {
        Facet::ALL.into_iter().find(|facet| facet.as_str() == name).ok_or_else(|| {
            let detail = format!("`by` takes, separated by commas: {}", listed(&names));
            Problem::bad_request("bad_parameter", detail)
        })
    };
    by.split(',').map(facet).collect()
}

/// The latencies of the snapshot, or those of a queue.
pub(crate) async fn latency(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Latencies>, Problem> {
    let params = Params::of(&uri, &["type", "queue", "measure", "window"])?;
    let measure = params.one_of::<Measure>("measure", &Measure::ALL.map(Measure::as_str))?;
    let window = params.one_of::<Window>("window", &Window::ALL.map(Window::as_str))?;
    let Snapshot { as_of, mut latency, .. } = api.snapshot()?;
    latency.retain(|row| {
        of_type(&params, row.job_type.as_deref())
            && row.queue.as_deref() == params.text("queue")
            && measure.is_none_or(|measure| row.measure == measure)
            && window.is_none_or(|window| row.window == window)
    });
    Ok(Json(Latencies { as_of, latency }))
}

/// The throughput of the snapshot.
pub(crate) async fn throughput(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Throughputs>, Problem> {
    let params = Params::of(&uri, &["type", "window"])?;
    // It has no row for all time: that is what totals are for.
    let windows = [Window::M1, Window::M5, Window::M15, Window::H1];
    let window = params.one_of::<Window>("window", &windows.map(Window::as_str))?;
    if window == Some(Window::All) {
        let detail = format!("no such window: there are {}", listed(&windows.map(Window::as_str)));
        return Err(Problem::bad_request("bad_parameter", detail));
    }
    let Snapshot { as_of, mut throughput, .. } = api.snapshot()?;
    throughput.retain(|row| {
        of_type(&params, row.job_type.as_deref())
            && window.is_none_or(|window| row.window == window)
    });
    Ok(Json(Throughputs { as_of, throughput }))
}

/// Whether a row is of the type that is asked for.
fn of_type(params: &Params, job_type: Option<&str>) -> bool {
    params.text("type").is_none_or(|wanted| job_type == Some(wanted))
}

/// The alerts of the snapshot, or, from the store, those that were resolved.
pub(crate) async fn alerts(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Alerts>, Problem> {
    let params = Params::of(&uri, &["state", "limit"])?;
    let names = AlertState::ALL.map(AlertState::as_str);
    let state = params.one_of::<AlertState>("state", &names)?;
    let limit = params.limit(RESOLVED, MAX_RESOLVED)?;
    if state == Some(AlertState::Resolved) {
        let seen = api.app.views.as_of();
        let read = api.app.readers.read(move |reader| reader.resolved(limit)).await?;
        let (frontier, alerts) = read;
        return Ok(Json(Alerts { as_of: last_durable(seen, frontier), alerts }));
    }
    let Snapshot { as_of, mut alerts, .. } = api.snapshot()?;
    alerts.retain(|alert| state.is_none_or(|state| alert.state == state));
    Ok(Json(Alerts { as_of, alerts }))
}

/// How much was not accepted, by reason.
pub(crate) async fn dead_letters(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<DeadLetters>, Problem> {
    Params::of(&uri, &[])?;
    let Snapshot { as_of, rejected, .. } = api.snapshot()?;
    let total = rejected.values().sum();
    let reason = |(reason, letters)| DeadLettersOf { reason, letters };
    Ok(Json(DeadLetters { as_of, total, reasons: rejected.into_iter().map(reason).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_of_the_tick_before_the_frontier_it_was_read_at() {
        assert_eq!(last_durable(Micros(5), 11), Some(Micros(10)));
    }

    #[test]
    fn while_the_frontier_rests_a_list_is_as_of_what_was_durable_before_it() {
        assert_eq!(last_durable(Micros(50), 11), Some(Micros(50)));
    }

    #[test]
    fn before_the_first_tick_a_list_is_of_no_time() {
        assert_eq!(last_durable(Micros(0), 0), None);
    }
}
