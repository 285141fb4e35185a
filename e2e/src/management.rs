//! Virtual hosts, and what a test asks and does behind the back of their users.
//!
//! All of it goes over RabbitMQ's management API. What that says of queues and connections is up
//! to a quarter of a second old, and a queue that has just been declared is not in it: wait for
//! what should become true, and do not take what is true now for an answer. In particular "empty"
//! is true before the messages arrive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::error::{Cause, Error, or_panic};

/// `guest:guest`, in the form of HTTP.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// Deleting a virtual host with many queues takes longest, well below a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The management API of one broker.
#[derive(Clone, Debug)]
pub(crate) struct Management {
    agent: ureq::Agent,
    base: String,
}

impl Management {
    pub(crate) fn at(port: u16) -> Management {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            // A connection that was kept would be dead after the broker was killed.
            .max_idle_connections(0)
            .build();
        Management { agent: agent.into(), base: format!("http://127.0.0.1:{port}/api/") }
    }

    pub(crate) fn answers(&self) -> Result<(), Cause> {
        let found = self.ask("GET", "overview")?;
        found.map(drop).ok_or_else(|| "it has no overview".into())
    }

    /// The answer, or none if there is no such thing.
    fn ask(&self, method: &str, path: &str) -> Result<Option<Value>, Cause> {
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let request = request.header("authorization", GUEST).body(())?;
        let mut response = self.agent.run(request)?;
        let text = response.body_mut().read_to_string()?;
        match response.status().as_u16() {
            200 => Ok(Some(serde_json::from_str(&text)?)),
            201 | 204 => Ok(Some(Value::Null)),
            404 => Ok(None),
            status => Err(format!("{status}: {text}").into()),
        }
    }

    fn do_ask(&self, method: &str, path: &str) -> Result<Option<Value>, Error> {
        self.ask(method, path).map_err(|source| Error::Refused {
            server: "rabbitmq",
            what: format!("{method} {path}"),
            source,
        })
    }
}

/// A virtual host: queues, exchanges and connections that no other has to do with.
///
/// It can be used while its broker is killed or frozen; then it panics, or waits, respectively.
#[derive(Clone, Debug)]
pub struct Vhost {
    management: Management,
    name: String,
    url: String,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Messages that nobody has been given.
    pub ready: u64,
    /// Messages that a consumer has been given and has not settled.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
}

impl Vhost {
    pub(crate) fn create(management: &Management, amqp: u16, name: &str) -> Result<Vhost, Error> {
        static N_VHOSTS: AtomicUsize = AtomicUsize::new(0);
        let n = 1 + N_VHOSTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{n}");
        let url = format!("amqp://guest:guest@127.0.0.1:{amqp}/{}", encoded(&name));
        // Who creates one may do everything in it.
        management.do_ask("PUT", &format!("vhosts/{}", encoded(&name)))?;
        Ok(Vhost { management: management.clone(), name, url })
    }

    /// Its name at the broker.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a queue holds; none if there is no such queue yet.
    #[track_caller]
    #[must_use]
    pub fn queue(&self, queue: &str) -> Option<Queue> {
        let found = self.ask("GET", "queues", queue)?;
        let number = |name: &str| found[name].as_u64();
        Some(Queue {
            ready: number("messages_ready")?,
            unacked: number("messages_unacknowledged")?,
            consumers: number("consumers")?,
        })
    }

    /// Deletes a queue under its users; whether it was there.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the deed may be all that is wanted")]
    pub fn delete_queue(&self, queue: &str) -> bool {
        self.ask("DELETE", "queues", queue).is_some()
    }

    /// The names of the connections.
    #[track_caller]
    #[must_use]
    pub fn connections(&self) -> Vec<String> {
        let path = format!("vhosts/{}/connections", encoded(&self.name));
        let found = or_panic(self.management.do_ask("GET", &path)).unwrap_or_default();
        let connections = found.as_array().into_iter().flatten();
        connections.filter_map(|one| Some(one["name"].as_str()?.to_owned())).collect()
    }

    /// Closes a connection by force; whether it was there.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the deed may be all that is wanted")]
    pub fn close(&self, connection: &str) -> bool {
        let path = format!("connections/{}", encoded(connection));
        or_panic(self.management.do_ask("DELETE", &path)).is_some()
    }

    /// Closes all connections by force; how many there were.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the deed may be all that is wanted")]
    pub fn close_all(&self) -> usize {
        self.connections().iter().filter(|connection| self.close(connection)).count()
    }

    /// Deletes it with all that is in it; its connections are closed.
    #[track_caller]
    pub fn delete(self) {
        or_panic(self.management.do_ask("DELETE", &format!("vhosts/{}", encoded(&self.name))));
    }

    #[track_caller]
    fn ask(&self, method: &str, kind: &str, name: &str) -> Option<Value> {
        let path = format!("{kind}/{}/{}", encoded(&self.name), encoded(name));
        or_panic(self.management.do_ask(method, &path))
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(byte.into());
        } else {
            path += &format!("%{byte:02X}");
        }
    }
    path
}
