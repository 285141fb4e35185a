//! HTTP to our own roles, for the tools.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use contracts::view::Problem;
use serde::de::DeserializeOwned;

/// An answer that takes longer is none: lists and snapshots come within a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a stream is read before it is opened anew. Nothing else ends the read of a connection
/// whose other end is gone without a word; the server says something every 15 s.
const STREAM: Duration = Duration::from_secs(60);

/// Where a role is; clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    /// Without a slash at the end.
    base: String,
    /// `Bearer` and a token, where one is asked for.
    authorization: Option<String>,
}

/// Why a role did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It may later.
    #[error("{url} is not to be had: see that it runs, and that it can be reached ({source})")]
    Away { url: String, source: ureq::Error },
    /// It answered something else than was asked for.
    #[error("{url} answered {status}: {text}")]
    Status { url: String, status: u16, text: String },
    #[error("{url} answered what cannot be read: is it one of ours, and of this version? ({why})")]
    Unreadable { url: String, why: String },
}

/// What was answered.
pub(crate) struct Answer {
    url: String,
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The answer, if all went well.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        let Answer { url, status, text } = self;
        match status {
            200..300 => serde_json::from_str(&text)
                .map_err(|error| Error::Unreadable { url, why: error.to_string() }),
            _ => Err(Error::Status { url, status, text: told(text) }),
        }
    }
}

/// What people are told of a problem; of anything else, all that was answered.
fn told(text: String) -> String {
    serde_json::from_str::<Problem>(&text).map_or(text, |problem| problem.detail)
}

/// Reads the address of a server, as the value of an option.
pub(crate) fn address(url: &str) -> Result<Client, String> {
    Client::new(url).ok_or_else(|| "write it as http://HOST:PORT".to_owned())
}

impl Client {
    /// None if that is no address of a server.
    pub(crate) fn new(url: &str) -> Option<Client> {
        let base = url.trim_end_matches('/').to_owned();
        let host = base.strip_prefix("http://")?;
        if host.is_empty() || host.contains(['/', '@', '?', '#']) {
            return None;
        }
        Some(Client { agent: agent(PATIENCE), base, authorization: None })
    }

    /// The same, for whoever waits no longer than this for an answer.
    pub(crate) fn with_patience(self, patience: Duration) -> Client {
        Client { agent: agent(patience), ..self }
    }

    /// The same with a token, which is said with everything that is asked.
    pub(crate) fn with_token(self, token: Option<&str>) -> Client {
        let token = token.filter(|token| !token.is_empty());
        Client { authorization: token.map(|token| format!("Bearer {token}")), ..self }
    }

    /// The answer to a GET.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.ask(path)?.read()
    }

    /// The same; none if there is no such thing.
    pub(crate) fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.ask(path)? {
            Answer { status: 404, .. } => Ok(None),
            answer => answer.read().map(Some),
        }
    }

    /// Whatever is answered to a GET.
    pub(crate) fn ask(&self, path: &str) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        answer(url, request.call())
    }

    /// Whatever is answered to a PUT of a text.
    pub(crate) fn put(&self, path: &str, text: &str) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.put(&url).header("content-type", "application/yaml");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        answer(url, request.send(text))
    }

    /// The lines of a stream, as they come.
    pub(crate) fn stream(&self, path: &str) -> Result<impl BufRead + use<>, Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url).header("accept", "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request
            .config()
            .timeout_global(None)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(STREAM))
            .build();
        match request.call() {
            Ok(response) if response.status().as_u16() == 200 => {
                Ok(BufReader::new(response.into_body().into_reader()))
            }
            asked => {
                let Answer { url, status, text } = answer(url, asked)?;
                Err(Error::Status { url, status, text: told(text) })
            }
        }
    }

    /// Whatever is answered to a POST of JSON with these headers.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.post(&url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(url, request.send(body))
    }
}

fn agent(patience: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .build();
    config.into()
}

type Response = ureq::http::Response<ureq::Body>;

fn answer(url: String, asked: Result<Response, ureq::Error>) -> Result<Answer, Error> {
    let read = asked.and_then(|mut response| {
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
        Ok((response.status().as_u16(), text))
    });
    match read {
        Ok((status, text)) => Ok(Answer { url, status, text }),
        Err(source) => Err(Error::Away { url, source }),
    }
}

/// Bytes of an answer: a snapshot of a hundred thousand rows has some 20 MB.
const MAX_ANSWER: u64 = 100 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for url in ["http://localhost:8080", "http://localhost:8080/", "http://[::1]:8080"] {
            assert!(Client::new(url).is_some(), "{url}");
        }
        for url in ["localhost:8080", "https://localhost", "http://", "http://a/b", "http://u:p@a"]
        {
            assert!(Client::new(url).is_none(), "{url}");
        }
    }
}
