//! Errors as clients see them: RFC 9457, with a `code` for programs and a `detail` for people.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::view::{ProblemError, RejectedElement};
use contracts::{Reason, Rejection};
use ingress::submit::SubmitError;
use serde::Serialize;

use crate::Readiness;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Faults that are listed in `errors`; a batch has all of its own in `rejected`.
const MAX_ERRORS: usize = 100;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    instance: Option<Box<str>>,
    errors: Vec<ProblemError>,
    /// The elements of a batch of which nothing was accepted.
    rejected: Option<Vec<RejectedElement>>,
    /// What a client is to do, for programs.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            rejected: None,
            header: None,
        }
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// What is to be said of a status that came without words.
    pub(crate) fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Problem::new(
                status,
                "timeout",
                "it took too long; what was submitted may have been accepted, and sending it again with the same ids is harmless",
            )
            .retry_after(5),
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
            status if status.is_server_error() => {
                Problem::new(status, "internal", "a fault of the server; its log says more")
            }
            status => Problem::new(status, "refused", "the request can not be answered"),
        }
    }

    /// A store that does not answer, and may the next time.
    pub(crate) fn store_away() -> Problem {
        let detail = "a store does not answer: come back in a few seconds; views do not need it";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "store_away", detail).retry_after(5)
    }

    pub(crate) fn internal() -> Problem {
        Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn too_large() -> Problem {
        let detail = format!(
            "a body is at most {} bytes: send several, or keep large data elsewhere and send a reference",
            contracts::decode::MAX_BODY_BYTES
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::TooLarge.as_str(), detail)
    }

    pub(crate) fn not_ready(readiness: Readiness) -> Problem {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        match readiness {
            Readiness::Starting { recovered, of } => {
                let detail = format!("starting: {recovered} of {of} jobs have been read back");
                Problem::new(status, "starting", detail).retry_after(1)
            }
            Readiness::Standby => {
                let detail = "another pipeline is at work; this one takes over when that one goes";
                Problem::new(status, "standby", detail).retry_after(5)
            }
            Readiness::Away(server) => {
                let detail = format!("{server} does not answer: come back in a few seconds");
                Problem::new(status, "away", detail).retry_after(5)
            }
            Readiness::Ready | Readiness::Draining => {
                let detail = "shutting down: come back when the service has restarted";
                Problem::new(status, "draining", detail).retry_after(5)
            }
        }
    }

    /// The one thing that was sent is refused.
    pub(crate) fn rejected(rejection: Rejection) -> Problem {
        let Rejection { reason, pointer, detail } = rejection;
        let status = match reason {
            Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let errors = vec![ProblemError { pointer, ..fault(&detail) }];
        Problem { errors, ..Problem::new(status, reason.as_str(), detail) }
    }

    /// Every element of a batch is refused.
    pub(crate) fn all_rejected(rejected: Vec<RejectedElement>) -> Problem {
        let error = |element: &RejectedElement| ProblemError {
            pointer: format!("/{}{}", element.index, element.pointer),
            ..fault(&element.detail)
        };
        let errors = rejected.iter().take(MAX_ERRORS).map(error).collect();
        let detail = format!("none of the {} elements was accepted", rejected.len());
        let problem = Problem::bad_request("all_rejected", detail);
        Problem { errors, rejected: Some(rejected), ..problem }
    }

    /// Says where in a parameter the fault is, in characters from 0.
    pub(crate) fn in_parameter(self, name: &str, position: usize, detail: &str) -> Problem {
        let error = ProblemError {
            parameter: Some(name.to_owned()),
            position: Some(position),
            ..fault(detail)
        };
        Problem { errors: vec![error], ..self }
    }

    /// What people are told.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn at(self, path: &str) -> Problem {
        Problem { instance: Some(path.into()), ..self }
    }

    pub(crate) fn retry_after(self, seconds: u16) -> Problem {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn with_header(self, name: HeaderName, value: HeaderValue) -> Problem {
        Problem { header: Some(Box::new((name, value))), ..self }
    }
}

/// A fault in the whole of what was sent.
fn fault(detail: &str) -> ProblemError {
    let detail = detail.to_owned();
    ProblemError { pointer: String::new(), detail, parameter: None, position: None }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Problem {
        let (code, seconds) = match &error {
            SubmitError::Busy => ("busy", 2),
            SubmitError::Stopped => ("draining", 5),
            SubmitError::Broker(_) => ("broker_away", 5),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string()).retry_after(seconds)
    }
}

/// The shape of the contract, and what was refused of a batch.
#[derive(Serialize)]
struct Body {
    #[serde(flatten)]
    problem: contracts::view::Problem,
    #[serde(flatten)]
    batch: Option<contracts::view::BatchAccepted>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let problem = contracts::view::Problem {
            // The title says what the status says, as RFC 9457 demands of this type.
            problem_type: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            instance: self.instance.map(String::from),
            errors: self.errors,
        };
        let batch = self
            .rejected
            .map(|rejected| contracts::view::BatchAccepted { accepted: Vec::new(), rejected });
        let mut response = (self.status, axum::Json(Body { problem, batch })).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}
