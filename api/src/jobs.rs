//! Jobs, read from the store: lists, one job in detail, and its events.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use contracts::answers::{ArchivedEvent, JobEvents};
use contracts::view::{Page, RecentJob};
use contracts::{EventId, JobId, JobView, Micros};
use serde_json::value::RawValue;
use sinks::query::{Place, Query};
use sinks::store::{self, Told};

use crate::filter::{Answers, Asked, PARAMETERS};
use crate::guard::hyphenated;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::{At, last_durable};
use crate::{Api, cursor, detail};

/// Rows of a list, and how many at most: a page on a screen, and an answer of some 500 KB.
const ROWS: usize = 50;
const MAX_ROWS: usize = 1_000;
/// Rows of `/jobs/recent`, as it always was.
const RECENT: usize = 10;

/// A page of the jobs that match, newest first.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Page<JobView>>, Problem> {
    let params = Params::of(&uri, &[PARAMETERS.as_slice(), &["limit", "cursor"]].concat())?;
    let limit = params.limit(ROWS, MAX_ROWS)?;
    let asked = Asked::of(&params, Answers::Store, api.now())?;
    let after = params.text("cursor").map(|text| {
        cursor::read(&asked.text, text).ok_or_else(|| {
            let detail = "this cursor is not of this list: begin again without it, or ask with the filter that it came from";
            Problem::bad_request("bad_cursor", detail)
        })
    });
    let query = Query { filter: asked.filter, after: after.transpose()?, limit };

    // Read before the transaction begins, see `last_durable`.
    let seen = api.app.views.as_of();
    let listed = api.app.readers.read(move |reader| reader.jobs(&query)).await?;
    let last = listed.jobs.last().filter(|_| listed.more);
    let place = last.map(|job| Place { created_at: job.created_at, id: job.id });
    Ok(Json(Page {
        as_of: last_durable(seen, listed.frontier),
        total: listed.total,
        next_cursor: place.map(|place| cursor::write(&asked.text, place)),
        items: listed.jobs,
    }))
}

/// The newest jobs, as the predecessor listed them.
pub(crate) async fn recent(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Vec<RecentJob>>, Problem> {
    let limit = Params::of(&uri, &["limit"])?.limit(RECENT, MAX_ROWS)?;
    let query = Query { limit, ..Query::default() };
    let listed = api.app.readers.read(move |reader| reader.jobs(&query)).await?;
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
    let (as_of, told) = api.told(id, &uri).await?;
    let mut job = told.view;
    // What came too late is outside all views.
    let counted = told.events.iter().filter(|event| !event.late);
    detail::tell(&mut job, &counted.map(|event| event.body.as_slice()).collect::<Vec<_>>());
    job.incomplete = told.incomplete;
    Ok(Json(At { as_of, answer: job }))
}

/// The events of a job, as they came.
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<JobEvents>, Problem> {
    Params::of(&uri, &[])?;
    let (as_of, told) = api.told(id, &uri).await?;
    let items: Vec<_> = told.events.into_iter().filter_map(archived).collect();
    let total = items.len() as u64;
    Ok(Json(JobEvents { as_of, total, items, incomplete: told.incomplete }))
}

/// An archived event as it is shown; only what decodes is archived.
pub(crate) fn archived(event: store::ArchivedEvent) -> Option<ArchivedEvent> {
    // A second content under one id has a hash behind it.
    let event_id = event.key.get(..36).and_then(|id| EventId::try_parse(id).ok())?;
    let accepted_at = Micros(i64::try_from(event.tick).unwrap_or(i64::MAX));
    let body = String::from_utf8(event.body).ok()?;
    let body = RawValue::from_string(body).ok()?;
    Some(ArchivedEvent { event_id, accepted_at, late: event.late, event: body })
}

impl Api {
    /// What the store tells of the job in a path, and as of when.
    async fn told(
        &self,
        id: Result<Path<String>, PathRejection>,
        uri: &Uri,
    ) -> Result<(Option<Micros>, Told), Problem> {
        let Some(id) = id.ok().and_then(|Path(id)| hyphenated(&id)) else {
            return Err(bad_id().at(uri.path()));
        };
        let seen = self.app.views.as_of();
        match self.told_of(id).await? {
            Some(told) => Ok((last_durable(seen, told.frontier), told)),
            None => {
                let detail =
                    "no event of this job has arrived: check the id, or wait for its first event";
                Err(Problem::new(StatusCode::NOT_FOUND, "no_such_job", detail).at(uri.path()))
            }
        }
    }

    pub(crate) async fn told_of(&self, id: JobId) -> Result<Option<Told>, Problem> {
        self.app.readers.read(move |reader| reader.job(id)).await
    }
}

pub(crate) fn bad_id() -> Problem {
    Problem::bad_request("bad_id", "a job's id is a UUID of 36 characters with hyphens")
}
