//! The page: a few files, compiled in.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = include_str!("../web/page.html");
const SCRIPT: &str = include_str!("../web/page.js");
const STYLE: &str = include_str!("../web/page.css");
const ICON: &str = include_str!("../web/page.svg");

/// Where the page says that its jobs are made up.
const DEMO_PLACE: &str = "<!-- demo -->";
const DEMO: &str = r#"<strong class="demo" title="These jobs are made up">DEMO</strong>"#;

/// The page as this server shows it.
pub(crate) struct Page {
    html: String,
}

impl Page {
    pub(crate) fn new(demo: bool) -> Page {
        Page { html: HTML.replace(DEMO_PLACE, if demo { DEMO } else { "" }) }
    }

    pub(crate) fn routes(self) -> Router {
        let html = self.html;
        Router::new()
            .route("/", get(|| async move { file("text/html; charset=utf-8", html.clone()) }))
            .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
            .route("/page.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
            .route("/page.svg", get(|| async { file("image/svg+xml", ICON) }))
    }
}

fn file(media_type: &'static str, text: impl IntoResponse) -> Response {
    // After an upgrade they must be of one version.
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")], text).into_response()
}
