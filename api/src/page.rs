//! The page: a few files, compiled in, and what a browser without scripts is shown instead.
//!
//! ```text
//!   /, /ui/{view} ──▶ page.html, for scripts: they read the rest of the path, and the data
//!                      └─ noscript: the overview or the list of jobs, as tables
//!   /page/{file}  ──▶ scripts, styles, the icon, the registry of other pages
//! ```
//!
//! # Invariants
//!
//! 1. Nothing of the jobs is in the page for who may not read them.
//! 2. Whatever comes from a job is escaped: it is text, never markup.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

mod assets;
mod tables;

use crate::problem::Problem;
use crate::{Api, jobs, reads};

const HTML: &str = include_str!("../web/page.html");

/// Where the page says that its jobs are made up.
const DEMO_PLACE: &str = "<!-- demo -->";
const DEMO: &str = r#"<strong class="demo" title="These jobs are made up">DEMO</strong>"#;

/// Where it has its tables.
const TABLES_PLACE: &str = "<!-- tables -->";

/// The page as this server shows it.
pub(crate) async fn page(State(api): State<Arc<Api>>, headers: HeaderMap, uri: Uri) -> Response {
    let demo = if api.app.demo { DEMO } else { "" };
    let tables =
        tables_of(api, &headers, uri).await.unwrap_or_else(|problem| tables::trouble(&problem));
    // What is put in last is not looked through for the place of anything.
    let html = HTML.replace(DEMO_PLACE, demo).replace(TABLES_PLACE, &tables);
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")], html)
        .into_response()
}

/// The tables of a view: those of the overview where it has none of its own.
async fn tables_of(api: Arc<Api>, headers: &HeaderMap, uri: Uri) -> Result<String, Problem> {
    // The page is public, and what is in it is not.
    if api.guard.scope(headers).is_none() {
        return Ok(tables::closed());
    }
    if uri.path() == "/ui/jobs" {
        let list = jobs::list(State(api), uri.clone()).await?;
        return Ok(tables::jobs(&list, uri.query().unwrap_or_default()));
    }
    let snapshot = reads::snapshot(State(api), Uri::default()).await?;
    Ok(tables::overview(&snapshot))
}

/// One of the page's files.
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    let Some((media_type, text)) = assets::find(&name) else {
        let detail = "the page has no such file: after an upgrade, load it again";
        return Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
            .at(uri.path())
            .into_response();
    };
    // After an upgrade they must be of one version, so a browser asks each time; what it has
    // already is not sent again.
    let tag = format!("\"{:016x}\"", xxh3_64(text.as_bytes()));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let about = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(CONTENT_TYPE, media_type)], text).into_response()
}
