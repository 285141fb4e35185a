//! What people say of alerts: acknowledgements and silences.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::{Extension, Json};
use contracts::notes::{AlertKey, NewNote, Note, NoteKind, Notes, StandingNote};
use contracts::snapshot::AlertRow;
use contracts::{Micros, Snapshot};
use pipeline::rules::matching::{self, Cover};
use sinks::store::WhichNotes;
use uuid::Uuid;

use crate::Api;
use crate::access::Who;
use crate::guard::hyphenated;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::some_time;

/// Notes in an answer with those that are over.
const NOTES: usize = 100;
const MAX_NOTES: usize = 1_000;

/// Bytes of a comment: what somebody writes who is being paged.
const MAX_COMMENT: usize = 2_000;

/// Matchers of a silence.
const MAX_MATCHERS: usize = 50;

/// Those that stand, with the alerts that each is about; or all.
pub(crate) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Notes>, Problem> {
    let params = Params::of(&uri, &["all", "limit"])?;
    let all = params.one_of::<bool>("all", &["true", "false"])?.unwrap_or(false);
    let limit = params.limit(NOTES, MAX_NOTES)?;
    api.recovered()?;
    let Snapshot { as_of, alerts, .. } = api.app.views.snapshot();
    let now = api.now();
    let since = alerts.iter().map(|alert| alert.active_at).min().unwrap_or(now);
    let which = if all { WhichNotes::Newest(limit) } else { WhichNotes::Standing { now, since } };
    let notes = api.app.readers.read(move |reader| reader.notes(which)).await?;
    let notes = notes.into_iter().map(|note| standing(note, &alerts, now));
    // An acknowledgement is over with its episode.
    let over =
        |note: &StandingNote| note.note.kind == NoteKind::Acknowledgement && note.alerts.is_empty();
    let items = notes.filter(|note| all || !over(note)).take(limit).collect();
    Ok(Json(Notes { as_of: as_of.and_then(some_time), items }))
}

/// A note with the alerts that it is about now, if it counts now.
fn standing(note: Note, alerts: &[AlertRow], now: Micros) -> StandingNote {
    let cover = Cover::of(&note);
    let covered =
        |row: &&AlertRow| note.stands(now) && cover.has(&row.alert, &row.labels, row.active_at);
    let key = |row: &AlertRow| AlertKey { alert: row.alert.clone(), labels: row.labels.clone() };
    let alerts = alerts.iter().filter(covered).map(key).collect();
    StandingNote { note, alerts }
}

/// Makes one.
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Extension(Who(by)): Extension<Who>,
    uri: Uri,
    body: Bytes,
) -> Result<(StatusCode, Json<StandingNote>), Problem> {
    Params::of(&uri, &[])?;
    let new: NewNote = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request("bad_note", format!("this is not a note: {error}"))
    })?;
    api.recovered()?;
    let alerts = api.app.views.snapshot().alerts;
    let now = api.now();
    let note = note(new, by, &alerts, now)?;
    let kept = note.clone();
    api.app.readers.read(move |reader| reader.add_note(&kept)).await?;
    tracing::info!(kind = %note.kind, by = note.created_by, id = %note.id, "a note of alerts");
    Ok((StatusCode::CREATED, Json(standing(note, &alerts, now))))
}

fn note(new: NewNote, by: String, alerts: &[AlertRow], now: Micros) -> Result<Note, Problem> {
    let bad = |detail: String| Problem::bad_request("bad_note", detail);
    let note = Note {
        id: Uuid::now_v7(),
        kind: NoteKind::Silence,
        matchers: Vec::new(),
        active_at: None,
        starts_at: now,
        ends_at: None,
        comment: String::new(),
        created_by: by,
        ended_at: None,
        ended_by: None,
    };
    let note = match new {
        NewNote::Acknowledgement { alert, labels, comment } => {
            let of = alerts.iter().find(|row| row.alert == alert && row.labels == labels);
            let of = of.ok_or_else(|| {
                let detail = format!("{alert} is not pending and does not fire with these labels");
                Problem::new(StatusCode::NOT_FOUND, "no_such_alert", detail)
            })?;
            Note {
                kind: NoteKind::Acknowledgement,
                // Never older than its episode, whosever clock is behind.
                starts_at: now.max(of.active_at),
                matchers: matching::of_alert(&alert, &labels),
                active_at: Some(of.active_at),
                comment,
                ..note
            }
        }
        NewNote::Silence { matchers, starts_at, ends_at, comment } => {
            if matchers.len() > MAX_MATCHERS {
                return Err(bad(format!("a silence has at most {MAX_MATCHERS} matchers")));
            }
            matching::check(&matchers).map_err(bad)?;
            let starts_at = starts_at.unwrap_or(now).max(now);
            if ends_at <= starts_at {
                return Err(bad("`endsAt` must be later than now, and than `startsAt`".to_owned()));
            }
            Note { matchers, starts_at, ends_at: Some(ends_at), comment, ..note }
        }
    };
    if note.comment.len() > MAX_COMMENT {
        return Err(bad(format!("a comment has at most {MAX_COMMENT} bytes")));
    }
    Ok(note)
}

/// Ends one before its time.
pub(crate) async fn end(
    State(api): State<Arc<Api>>,
    Extension(Who(by)): Extension<Who>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Params::of(&uri, &[])?;
    let id = id.ok().and_then(|Path(id)| hyphenated(&id)).ok_or_else(|| {
        Problem::bad_request("bad_id", "a note's id is a UUID, as /api/v1/notes has it")
    })?;
    let at = api.now();
    let ended = api.app.readers.read(move |reader| reader.end_note(id, at, &by)).await?;
    match ended {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = "there is no such note, or it is over";
            Err(Problem::new(StatusCode::NOT_FOUND, "no_such_note", detail))
        }
    }
}
