//! HTTP to the API: one server, one token.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use contracts::view::{Problem, ProblemError};
use serde::de::DeserializeOwned;

/// Longer than the API gives a read.
const PATIENCE: Duration = Duration::from_secs(12);

/// How long a stream is read before it is opened anew from where it was. Nothing else ends the read
/// of a connection whose other end is gone without a word; the server says something every 15 s.
const STREAM: Duration = Duration::from_secs(60);

/// Bytes of an answer: a snapshot of a hundred thousand rows has some 20 MB.
const MAX_ANSWER: u64 = 100 << 20;

/// Where the API is, and what lets us in. It may change while the program runs; clones follow.
#[derive(Clone)]
pub(crate) struct Server(Arc<RwLock<Address>>);

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) token: Option<String>,
}

/// An answer that is an error, or none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Trouble {
    pub(crate) detail: String,
    /// 0 without an answer.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) errors: Vec<ProblemError>,
}

impl Trouble {
    pub(crate) fn new(detail: impl Into<String>) -> Trouble {
        Trouble { detail: detail.into(), ..Trouble::default() }
    }
}

/// Reads the address of a server; what is wrong with it otherwise.
pub(crate) fn address(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.starts_with("https://") {
        return Err(
            "https is not spoken here: give the http:// address of the server, or of a proxy beside it",
        );
    }
    let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if host.is_empty()
        || host.contains(['/', '@', '?', '#', ' '])
        || host.contains(char::is_control)
    {
        return Err("an address is http://HOST:PORT");
    }
    Ok(format!("http://{host}"))
}

impl Server {
    pub(crate) fn new(url: String, token: Option<String>) -> Server {
        Server(Arc::new(RwLock::new(Address { url, token })))
    }

    pub(crate) fn address(&self) -> Address {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, address: Address) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// One that asks; each thread has its own, and its own connections.
pub(crate) struct Client {
    agent: ureq::Agent,
    server: Server,
}

/// What was answered: the text, and the server's clock if it said.
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) date: Option<String>,
}

type Response = ureq::http::Response<ureq::Body>;

impl Client {
    pub(crate) fn new(server: Server) -> Client {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        Client { agent: agent.into(), server }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, Trouble> {
        let Address { url, token } = self.server.address();
        let request = self.agent.get(format!("{url}{path}"));
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        answer(bearing(request, token.as_deref()).call())
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        parse(&self.get(path)?.text)
    }

    /// Posts JSON under a key, by which a repetition is known as one.
    pub(crate) fn post(&self, path: &str, key: &str, body: &str) -> Result<Answer, Trouble> {
        let Address { url, token } = self.server.address();
        let request = self
            .agent
            .post(format!("{url}{path}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        answer(bearing(request, token.as_deref()).send(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Answer, Trouble> {
        let Address { url, token } = self.server.address();
        let request = self.agent.delete(format!("{url}{path}"));
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        answer(bearing(request, token.as_deref()).call())
    }

    /// The lines of a stream, as they come.
    pub(crate) fn stream(&self, path: &str) -> Result<impl BufRead + use<>, Trouble> {
        let Address { url, token } = self.server.address();
        let request = self.agent.get(format!("{url}{path}")).header("accept", "text/event-stream");
        let request = request
            .config()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(STREAM))
            .build();
        let response = bearing(request, token.as_deref()).call().map_err(|error| away(&error))?;
        if response.status().as_u16() == 200 {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        match answer(Ok(response)) {
            Err(trouble) => Err(trouble),
            Ok(_) => {
                Err(Trouble::new("what answers there is no Task Observatory: see the address"))
            }
        }
    }
}

fn bearing<B>(request: ureq::RequestBuilder<B>, token: Option<&str>) -> ureq::RequestBuilder<B> {
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

fn answer(asked: Result<Response, ureq::Error>) -> Result<Answer, Trouble> {
    let mut response = asked.map_err(|error| away(&error))?;
    let status = response.status().as_u16();
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.map(str::to_owned);
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
    let text = body.map_err(|error| away(&error))?;
    if (200..300).contains(&status) {
        return Ok(Answer { text, date });
    }
    let unnamed = || Trouble { status, ..Trouble::new(format!("the answer is {status}")) };
    let problem = serde_json::from_str::<Problem>(&text).ok();
    Err(problem.map_or_else(unnamed, |Problem { detail, code, errors, .. }| Trouble {
        detail,
        status,
        code,
        errors,
    }))
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| {
        Trouble::new(format!(
            "the answer can not be read, as if it were of another version ({error})"
        ))
    })
}

fn away(error: &ureq::Error) -> Trouble {
    Trouble::new(match error {
        ureq::Error::Timeout(_) => "the server did not answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        error => format!("the server can not be reached: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_its_scheme_may_be_left_out() {
        for text in ["http://localhost:8080/", "localhost:8080", " http://localhost:8080 "] {
            assert_eq!(address(text), Ok("http://localhost:8080".to_owned()), "{text}");
        }
        for text in ["", "http://", "https://a", "http://a/b", "http://u:p@a", "a b"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
