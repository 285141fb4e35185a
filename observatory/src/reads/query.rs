//! The path of a request, with its parameters.

use form_urlencoded::byte_serialize;

/// What jobs are asked for by, as options.
#[derive(clap::Args)]
pub(super) struct Facets {
    /// Only jobs in this state, as `FAILED`.
    #[arg(long, env = "OBSERVATORY_STATE")]
    state: Option<String>,
    /// Only jobs of this type.
    #[arg(long = "type", env = "OBSERVATORY_TYPE", value_name = "TYPE")]
    job_type: Option<String>,
    /// Only jobs of this queue.
    #[arg(long, env = "OBSERVATORY_QUEUE")]
    queue: Option<String>,
    /// Only jobs of this worker.
    #[arg(long, env = "OBSERVATORY_WORKER_NAME", value_name = "NAME")]
    worker: Option<String>,
}

impl Facets {
    /// Adds them to a query.
    pub(super) fn ask(&self, query: Query) -> Query {
        // Somebody who types writes a state as it comes.
        let state = self.state.as_ref().map(|state| state.to_ascii_uppercase());
        query
            .with("state", state.as_deref())
            .with("type", self.job_type.as_deref())
            .with("queue", self.queue.as_deref())
            .with("worker", self.worker.as_deref())
    }
}

/// A path that is being written.
pub(super) struct Query(String);

impl Query {
    pub(super) fn of(path: &str) -> Query {
        Query(path.to_owned())
    }

    /// Adds a parameter, if it has a value.
    pub(super) fn with(mut self, name: &str, value: Option<&str>) -> Query {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let before = if self.0.contains('?') { '&' } else { '?' };
            let encoded = byte_serialize(value.as_bytes());
            self.0.push(before);
            self.0.push_str(name);
            self.0.push('=');
            self.0.extend(encoded);
        }
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_without_a_value_is_left_out_and_a_value_stays_one() {
        let query = Query::of("/jobs").with("type", None).with("q", Some("a&b=\"é\" #"));
        assert_eq!(query.path(), "/jobs?q=a%26b%3D%22%C3%A9%22+%23");
        assert_eq!(query.with("limit", Some("5")).path().matches('&').count(), 1);
    }
}
