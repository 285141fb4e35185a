//! What every request goes through, and every answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::problem::{self, Problem};
use crate::{Api, Hosts};

pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Only our own files, which come from this server; nobody may frame them.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; object-src 'none'";

/// Bytes of a path with its query; the longest that we make ourselves has some 1,500.
const MAX_URL_BYTES: usize = 8 << 10;
/// Bytes of the names and values of all headers.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Ties together what one request causes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correlation {
    pub(crate) id: Uuid,
    /// The client gave one that is no UUID.
    malformed: bool,
}

impl Correlation {
    fn of(headers: &HeaderMap) -> Correlation {
        let given = headers.get(&CORRELATION_ID);
        let id = given.and_then(|id| id.to_str().ok()).and_then(hyphenated);
        Correlation {
            malformed: given.is_some() && id.is_none(),
            id: id.unwrap_or_else(Uuid::now_v7),
        }
    }

    /// The id for events: what the client gave must be one, since it would be lost otherwise.
    pub(crate) fn for_events(self) -> Result<Uuid, Problem> {
        if self.malformed {
            let detail = "`X-Correlation-Id` must be a UUID of 36 characters with hyphens: correct it, or leave it out";
            return Err(Problem::bad_request("bad_correlation_id", detail));
        }
        Ok(self.id)
    }
}

/// A UUID in the one spelling that the contract knows.
pub(crate) fn hyphenated(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// Checks the host, gives the request its correlation id, and completes the answer.
pub(crate) async fn guard(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let correlation = Correlation::of(request.headers());
    request.extensions_mut().insert(correlation);

    let mut response = match acceptable(&api.app.hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    explain(&mut response);
    dress(response.headers_mut(), correlation.id);

    let route = route.as_ref().map(MatchedPath::as_str);
    api.metrics.answered(&method, route, response.status(), began.elapsed());
    response
}

/// What must hold of every request, whatever it asks for.
fn acceptable(hosts: &Hosts, request: &Request) -> Result<(), Problem> {
    if !called_by_our_name(hosts, request) {
        let detail =
            "the `Host` of this request is not a name of this server: call it as localhost";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail));
    }
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path > MAX_URL_BYTES {
        let detail =
            format!("a path with its query is at most {MAX_URL_BYTES} bytes: ask for less");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "url_too_long", detail));
    }
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if headers.sum::<usize>() > MAX_HEADER_BYTES {
        let detail = format!("headers are at most {MAX_HEADER_BYTES} bytes together: send fewer");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "headers_too_large", detail));
    }
    Ok(())
}

fn called_by_our_name(hosts: &Hosts, request: &Request) -> bool {
    let Hosts::Only(ours) = hosts else { return true };
    let ours = |host: &str| {
        let host = host.to_ascii_lowercase();
        ours.contains(&host)
    };
    // A request line with a host of its own overrides the header; then both must be ours.
    let line = request.uri().host().is_none_or(ours);
    let mut headers = request.headers().get_all(HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| ours(without_port(host))),
        // Two are a trick; none is HTTP/1.0 or HTTP/2, where the line may have it.
        (None, _) => request.uri().host().is_some(),
        _ => false,
    };
    line && header
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Gives an error that has no problem for a body one.
fn explain(response: &mut Response) {
    let status = response.status();
    let explained =
        response.headers().get(CONTENT_TYPE).is_some_and(|it| it == problem::MEDIA_TYPE);
    if explained || !(status.is_client_error() || status.is_server_error()) {
        return;
    }
    *response = Problem::of_status(status).into_response();
}

fn dress(headers: &mut HeaderMap, correlation_id: Uuid) {
    if let Ok(id) = HeaderValue::try_from(correlation_id.to_string()) {
        headers.insert(CORRELATION_ID, id);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

pub(crate) async fn no_such_path(uri: Uri) -> Problem {
    let detail = "there is nothing here: the page is at `/`, the data under `/api/v1/`";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail).at(uri.path())
}

pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{method}` is not for this path: `Allow` says what is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).at(uri.path())
}
