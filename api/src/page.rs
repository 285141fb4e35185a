//! The page: a few files, compiled in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::Api;

const HTML: &str = include_str!("../web/page.html");
const SCRIPT: &str = include_str!("../web/page.js");
const STYLE: &str = include_str!("../web/page.css");
const ICON: &str = include_str!("../web/page.svg");

/// Where the page says that its jobs are made up.
const DEMO_PLACE: &str = "<!-- demo -->";
const DEMO: &str = r#"<strong class="demo" title="These jobs are made up">DEMO</strong>"#;

/// The page as this server shows it.
pub(crate) async fn page(State(api): State<Arc<Api>>) -> Response {
    let demo = if api.app.demo { DEMO } else { "" };
    file("text/html; charset=utf-8", HTML.replace(DEMO_PLACE, demo))
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

fn file(media_type: &'static str, text: impl IntoResponse) -> Response {
    // After an upgrade they must be of one version.
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")], text).into_response()
}
