//! What the API is, told by itself: the document, and a page that shows it.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

const HTML: &str = include_str!("../web/docs.html");
const SCRIPT: &str = include_str!("../web/docs.js");
const STYLE: &str = include_str!("../web/docs.css");

pub(crate) async fn openapi() -> Response {
    file("application/json", contracts::openapi::TEXT)
}

pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", HTML)
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")], text).into_response()
}
