//! Who may do what.
//!
//! ```text
//!   request ──▶ from which page? ──▶ by which token or session? ──▶ how often? ──▶ handler
//!                 │ 403                │ 401, 403                    │ 429
//! ```
//!
//! Without tokens everything is open, which is for a server that only its own machine can reach; a
//! server that others can reach does not start without. With tokens each route asks for the scope
//! that its policy names.
//!
//! # Invariants
//!
//! 1. A route is made with its policy, and there is no other way to make one.
//! 2. A token is compared in a time that does not depend on it, and only its hash is kept.
//! 3. A page of another site can not write, whatever the browser sends along.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

mod limit;
mod origin;
pub(crate) mod session;
mod tokens;

pub use tokens::{BadTokens, Scope, Tokens};

use limit::Limit;
use session::Sessions;

use crate::Api;
use crate::problem::Problem;
use crate::server::Peer;

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Nothing: what tells nothing of the jobs.
    Public,
    Read,
    Write,
    /// What changes how jobs are judged.
    Admin,
}

impl Policy {
    fn scope(self) -> Option<Scope> {
        match self {
            Policy::Public => None,
            Policy::Read => Some(Scope::Read),
            Policy::Write => Some(Scope::Write),
            Policy::Admin => Some(Scope::Admin),
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.scope().map_or("public", Scope::as_str))
    }
}

/// How a server is guarded.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who may come in; none if everybody may.
    pub tokens: Option<Tokens>,
    /// Pages of other origins that may read with a token, as `https://host:port`.
    pub origins: Vec<String>,
    /// Writes a second of one client; none for no limit.
    pub writes_per_second: Option<u32>,
}

/// The same, while it is at work.
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) sessions: Sessions,
    limit: Option<Limit>,
}

impl Guard {
    pub(crate) fn new(access: Access) -> Guard {
        let limit = access.writes_per_second.map(Limit::new);
        Guard { access, sessions: Sessions::default(), limit }
    }

    /// Who asks, by token or by session; none without either.
    fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let Some(tokens) = &self.access.tokens else { return Ok(None) };
        if let Some(value) = headers.get(AUTHORIZATION) {
            let token =
                bearer(value).ok_or_else(|| unknown("`Authorization` is not a bearer token"))?;
            let found = tokens.find(token);
            let (name, scope) = found.ok_or_else(|| unknown("this token is not known here"))?;
            return Ok(Some(Caller { name: name.to_owned(), scope, by_cookie: false }));
        }
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let id = cookies.flat_map(|cookies| cookies.split(';')).find_map(session::id);
        let Some(id) = id else { return Ok(None) };
        // A session that has ended is as good as none: the page asks for the token again.
        Ok(self.sessions.find(id, Instant::now()))
    }

    /// What the caller may do at most; none for nothing.
    pub(crate) fn scope(&self, headers: &HeaderMap) -> Option<Scope> {
        match &self.access.tokens {
            None => Some(Scope::Admin),
            Some(_) => self.caller(headers).ok().flatten().map(|caller| caller.scope),
        }
    }

    /// Lets a request pass; says who it is from.
    fn check(&self, policy: Policy, request: &Request) -> Result<Who, Problem> {
        let headers = request.headers();
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if writes {
            origin::check(headers, &self.access.origins)?;
        }
        let caller = self.caller(headers)?;
        if let (Some(wanted), Some(_)) = (policy.scope(), &self.access.tokens) {
            let Some(caller) = &caller else {
                return Err(unknown("a token is needed here: `Authorization: Bearer …`"));
            };
            if caller.scope < wanted {
                let detail =
                    format!("this needs the scope `{wanted}`, and yours is `{}`", caller.scope);
                return Err(Problem::new(StatusCode::FORBIDDEN, "scope", detail));
            }
            if writes && caller.by_cookie && !origin::said(headers) {
                return Err(origin::forbidden());
            }
        }
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string());
        let who = caller.map(|caller| caller.name).or(peer).unwrap_or_default();
        if let (true, Some(limit)) = (writes, &self.limit) {
            limit.take(&who, Instant::now()).map_err(too_often)?;
        }
        Ok(Who(who))
    }
}

/// Somebody with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token's.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) by_cookie: bool,
}

/// Who sent a request: the name of a token, or an address.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);

/// Lets a request pass if the policy of its route does.
pub(crate) async fn check(
    State((api, policy)): State<(Arc<Api>, Policy)>,
    mut request: Request,
    next: Next,
) -> Response {
    match api.guard.check(policy, &request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Nobody that is known.
pub(crate) fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "no_token", detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn too_often(seconds: u64) -> Problem {
    let detail = format!("too many writes: come back in {seconds} s, or send several as an array");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_writes", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
}
