//! What is read: views from memory, lists and single jobs from the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use contracts::view::{Page, RecentJob, Stats};
use contracts::{JobView, Micros, Snapshot, State as JobState};
use pipeline::Tick;
use serde::Serialize;
use sinks::store::Told;

use crate::guard::hyphenated;
use crate::params::{Params, listed};
use crate::problem::Problem;
use crate::{Api, detail};

/// Rows of a list, and how many at most: a page on a screen, and an answer of some 500 KB.
const ROWS: usize = 50;
const MAX_ROWS: usize = 1_000;
/// Rows of `/jobs/recent`, as it always was.
const RECENT: usize = 10;

/// The states' names, as parameters take them.
fn state_names() -> [&'static str; JobState::ALL.len()] {
    JobState::ALL.map(JobState::as_str)
}

/// An answer about one moment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct At<T> {
    as_of: Option<Micros>,
    #[serde(flatten)]
    answer: T,
}

/// The moment of a view, unless nothing was ever durable.
fn some_time(at: Micros) -> Option<Micros> {
    (at > Micros(0)).then_some(at)
}

pub(crate) async fn snapshot(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Snapshot>, Problem> {
    Params::of(&uri, &[])?;
    api.recovered()?;
    let snapshot = api.app.views.snapshot();
    Ok(Json(Snapshot { as_of: snapshot.as_of.and_then(some_time), ..snapshot }))
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
#[derive(Serialize)]
pub(crate) struct Counts {
    jobs: u64,
    counts: Vec<CountBy>,
}

/// The attributes that were asked for, and the jobs that share them.
#[derive(Serialize)]
struct CountBy {
    #[serde(flatten)]
    by: BTreeMap<&'static str, String>,
    jobs: u64,
}

/// What the cube has, by which it can be filtered and grouped.
const FACETS: [&str; 4] = ["state", "type", "queue", "worker"];

pub(crate) async fn counts(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<At<Counts>>, Problem> {
    let params = Params::of(&uri, &["by", "state", "type", "queue", "worker"])?;
    params.one_of::<JobState>("state", &state_names())?;
    let by = grouping(params.text("by").unwrap_or("state"))?;
    let wanted = FACETS.map(|facet| params.text(facet));
    api.recovered()?;

    let (as_of, cube) = api.app.views.cube();
    let mut groups = BTreeMap::<Vec<String>, u64>::new();
    for (values, jobs) in cube {
        if wanted.iter().zip(&values).all(|(wanted, value)| wanted.is_none_or(|it| it == value)) {
            let key = by.iter().map(|facet| values[*facet].clone()).collect();
            *groups.entry(key).or_default() += jobs;
        }
    }
    let as_of = some_time(as_of);
    let row = |(key, jobs): (Vec<String>, u64)| CountBy {
        by: by.iter().map(|facet| FACETS[*facet]).zip(key).collect(),
        jobs,
    };
    let jobs = groups.values().sum();
    let counts = groups.into_iter().map(row).collect();
    Ok(Json(At { as_of, answer: Counts { jobs, counts } }))
}

/// The facets to group by, by their place in [`FACETS`].
fn grouping(by: &str) -> Result<Vec<usize>, Problem> {
    let facet = |name: &str| {
        FACETS.iter().position(|facet| *facet == name).ok_or_else(|| {
            let detail = format!("`by` takes, separated by commas: {}", listed(&FACETS));
            Problem::bad_request("bad_parameter", detail)
        })
    };
    by.split(',').map(facet).collect()
}

pub(crate) async fn jobs(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Page<JobView>>, Problem> {
    let params = Params::of(&uri, &["state", "type", "limit"])?;
    let state = params.one_of::<JobState>("state", &state_names())?;
    let job_type = params.text("type").map(str::to_owned);
    let limit = params.limit(ROWS, MAX_ROWS)?;

    // Read before the transaction begins, see `last_durable`.
    let seen = api.app.views.as_of();
    let read = api.app.readers.read(move |reader| reader.jobs(state, job_type.as_deref(), limit));
    let listed = read.await?;
    let as_of = last_durable(seen, listed.frontier);
    Ok(Json(Page { as_of, total: listed.total, items: listed.jobs, next_cursor: None }))
}

/// The newest jobs, as the predecessor listed them.
pub(crate) async fn recent(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Vec<RecentJob>>, Problem> {
    let limit = Params::of(&uri, &["limit"])?.limit(RECENT, MAX_ROWS)?;
    let listed = api.app.readers.read(move |reader| reader.jobs(None, None, limit)).await?;
    let row = |job: JobView| RecentJob {
        id: job.id,
        job_type: job.job_type,
        status: job.state,
        created_at: job.created_at,
    };
    Ok(Json(listed.jobs.into_iter().map(row).collect()))
}

/// A job with its attempts and its timeline.
pub(crate) async fn job(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<At<JobView>>, Problem> {
    Params::of(&uri, &[])?;
    let Some(id) = id.ok().and_then(|Path(id)| hyphenated(&id)) else {
        let detail = "a job's id is a UUID of 36 characters with hyphens";
        return Err(Problem::bad_request("bad_id", detail).at(uri.path()));
    };
    let seen = api.app.views.as_of();
    let Some(Told { frontier, view: mut job, bodies: events }) =
        api.app.readers.read(move |reader| reader.job(id)).await?
    else {
        let detail = "no event of this job has arrived: check the id, or wait for its first event";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_job", detail).at(uri.path()));
    };
    detail::tell(&mut job, &events);
    Ok(Json(At { as_of: last_durable(seen, frontier), answer: job }))
}

/// The moment of a read: the last durable tick.
///
/// `frontier` is what the transaction found; `seen` was the last durable tick before it began. The
/// frontier in the store rests while there is nothing to write, so `seen` may be later: then
/// nothing was written between the two, or the transaction would have found it.
fn last_durable(seen: Micros, frontier: Tick) -> Option<Micros> {
    let found = i64::try_from(frontier.saturating_sub(1)).unwrap_or(i64::MAX);
    some_time(seen.max(Micros(found)))
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
