//! The page's sessions: a token is given once, and the browser holds a cookie instead of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{HeaderMap, ORIGIN, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tokens::{self, Hash};
use super::{Caller, unknown};
use crate::Api;
use crate::guard::Correlation;
use crate::problem::Problem;

const NAME: &str = "observatory_session";

/// How long a session lasts: a working day.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// Sessions at once; the oldest makes room.
const MOST: usize = 1_000;

/// Bytes of a request that has a token in it.
const MAX_BYTES: usize = 1_024;

/// The sessions of this process, by the hash of what their cookie says.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Hash, (Caller, Instant)>>);

impl Sessions {
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Caller> {
        let hash = tokens::hash(id);
        let sessions = self.sessions();
        let (caller, began) = sessions.get(&hash)?;
        (now.duration_since(*began) < LASTS).then(|| caller.clone())
    }

    /// Begins one; what its cookie is to say.
    fn begin(&self, caller: Caller, now: Instant) -> String {
        // Of each the system's random source gives 122 bits.
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut sessions = self.sessions();
        sessions.retain(|_, (_, began)| now.duration_since(*began) < LASTS);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, (_, began))| *began);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(tokens::hash(&id), (caller, now));
        id
    }

    fn end(&self, id: &str) {
        self.sessions().remove(&tokens::hash(id));
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Hash, (Caller, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a cookie says, if it is ours.
pub(super) fn id(cookie: &str) -> Option<&str> {
    let (name, id) = cookie.trim().split_once('=')?;
    (name == NAME).then_some(id)
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// What the page needs to know of itself.
#[derive(Serialize)]
pub(crate) struct Session {
    /// Whether a token is asked for at all.
    required: bool,
    /// What may be done; null if nothing.
    scope: Option<&'static str>,
}

/// What the one who asks may do.
pub(crate) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> Json<Session> {
    Json(Session {
        required: api.guard.access.tokens.is_some(),
        scope: api.guard.scope(&headers).map(super::Scope::as_str),
    })
}

/// Begins a session for the holder of a token.
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    Extension(_): Extension<Correlation>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let malformed = || {
        let detail = "send the token as JSON: {\"token\": \"…\"}";
        Problem::bad_request("bad_session", detail)
    };
    if body.len() > MAX_BYTES {
        return Err(malformed());
    }
    let Login { token } = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let Some(tokens) = &api.guard.access.tokens else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let found = tokens.find(&token);
    let (name, scope) = found.ok_or_else(|| unknown("this token is not known here"))?;
    let caller = Caller { name: name.to_owned(), scope, by_cookie: true };
    let id = api.guard.sessions.begin(caller, Instant::now());
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(&id, LASTS, &headers)?)]).into_response())
}

/// Ends the session that the request is of.
pub(crate) async fn end(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookies = headers.get_all(axum::http::header::COOKIE).iter();
    for cookies in cookies.filter_map(|cookies| cookies.to_str().ok()) {
        cookies.split(';').filter_map(id).for_each(|id| api.guard.sessions.end(id));
    }
    let gone = cookie("", Duration::ZERO, &headers)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}

fn cookie(id: &str, lasts: Duration, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    // TLS ends in front of us; the page says by which scheme it came.
    let secure = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if secure { "; Secure" } else { "" };
    let seconds = lasts.as_secs();
    let cookie =
        format!("{NAME}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::try_from(cookie).map_err(|_| Problem::internal())
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller { name: name.to_owned(), scope: Scope::Read, by_cookie: true }
    }

    #[test]
    fn a_session_is_known_until_it_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(caller("a"), now);
        assert_eq!(id.len(), 64);
        assert_eq!(sessions.find(&id, now), Some(caller("a")));
        assert_eq!(sessions.find(&id, now + LASTS), None);
        sessions.end(&id);
        assert_eq!(sessions.find(&id, now), None);
    }

    #[test]
    fn when_there_are_too_many_the_oldest_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |n: usize| now + Duration::from_millis(n as u64);
        let ids: Vec<_> = (0..=MOST).map(|n| sessions.begin(caller("a"), at(n))).collect();
        assert_eq!(sessions.find(&ids[0], at(MOST)), None);
        assert!(sessions.find(&ids[1], at(MOST)).is_some());
    }
}
