//! The stream of changes: what a client is sent, and what it comes to.

use std::time::Duration;

use api::Readiness;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::folded::Folded;
use crate::reads::{job, six_jobs};
use crate::support::Service;

/// More than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that reads when it is asked to.
struct Client {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Client {
    async fn connect(router: Router, path: &str, last: Option<&str>) -> Client {
        let mut request = Request::get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Client { body: response.into_body().into_data_stream(), text: String::new() }
    }

    async fn start(service: &Service) -> Client {
        Client::connect(service.router(), "/api/v1/stream", None).await
    }

    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.split_once(':'));
                    let mut found = lines.filter(|(field, _)| *field == name);
                    found.next().map(|(_, value)| value.trim_start().to_owned()).unwrap_or_default()
                };
                let (id, name, data) = (field("id"), field("event"), field("data"));
                self.text = rest.to_owned();
                // Comments, and when to connect again.
                if !name.is_empty() {
                    return Some(Event { id, name, data: data.parse().unwrap() });
                }
                continue;
            }
            let more = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("in time");
            self.text.push_str(std::str::from_utf8(&more?.unwrap()).unwrap());
        }
    }

    async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// Folds deltas until they have come to `as_of`; the id of the last.
    async fn fold(&mut self, folded: &mut Folded, as_of: &str) -> String {
        let mut id = String::new();
        while folded.as_of() < as_of {
            let delta = self.expect("delta").await;
            folded.fold(&delta.data);
            let (jobs, sum) = folded.jobs();
            assert_eq!(jobs, sum);
            id = delta.id;
        }
        id
    }
}

async fn snapshot(service: &Service) -> Value {
    service.get("/api/v1/snapshot").await.with(200)
}

#[tokio::test]
async fn the_deltas_folded_onto_the_snapshot_give_the_snapshot_that_is_asked_for() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut client = Client::start(&service).await;
    let first = client.expect("snapshot").await;
    assert_eq!(first.data, snapshot(&service).await);
    assert_eq!(first.id, "1-1795255200000001");
    let mut folded = Folded::of(&first.data);
    for _ in 0..3 {
        six_jobs(&service).await;
        let now = snapshot(&service).await;
        let id = client.fold(&mut folded, now["asOf"].as_str().unwrap()).await;
        assert_eq!(folded, Folded::of(&now));
        assert!(id.starts_with("1-17952552000000"), "{id}");
    }
}

#[tokio::test]
async fn a_delta_names_the_jobs_that_changed() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut client = Client::start(&service).await;
    let mut folded = Folded::of(&client.expect("snapshot").await.data);
    let id = job(&service, json!({ "type": "b" }), "job.failed").await;
    let now = snapshot(&service).await;
    let mut changed = Vec::new();
    while folded.as_of() < now["asOf"].as_str().unwrap() {
        let delta = client.expect("delta").await;
        folded.fold(&delta.data);
        changed.extend(delta.data["changedJobs"].as_array().unwrap().clone());
    }
    assert!(changed.contains(&json!(id)), "{changed:?}");
}

#[tokio::test]
async fn a_client_that_comes_again_goes_on_where_it_was() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut client = Client::start(&service).await;
    let first = client.expect("snapshot").await;
    let mut folded = Folded::of(&first.data);
    six_jobs(&service).await;
    let then = snapshot(&service).await;
    let id = client.fold(&mut folded, then["asOf"].as_str().unwrap()).await;
    drop(client);

    six_jobs(&service).await;
    let now = snapshot(&service).await;
    for (path, last) in [
        ("/api/v1/stream".to_owned(), Some(id.as_str())),
        (format!("/api/v1/stream?after={id}"), None),
        // The browser's is the later one.
        (format!("/api/v1/stream?after={}", first.id), Some(id.as_str())),
    ] {
        let mut again = Client::connect(service.router(), &path, last).await;
        let mut folded = folded.clone();
        again.fold(&mut folded, now["asOf"].as_str().unwrap()).await;
        assert_eq!(folded, Folded::of(&now), "{path}");
    }
}

#[tokio::test]
async fn what_does_not_lead_on_is_reset() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    for last in ["2-1795255200000001", "1-1795255200000000", "nonsense"] {
        let mut client = Client::connect(service.router(), "/api/v1/stream", Some(last)).await;
        assert_eq!(client.expect("reset").await.data, json!({}), "{last}");
        assert_eq!(client.expect("snapshot").await.data, snapshot(&service).await);
    }
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_told_so_and_left() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut slow = Client::start(&service).await;
    slow.expect("snapshot").await;
    let mut quick = Client::start(&service).await;
    let mut folded = Folded::of(&quick.expect("snapshot").await.data);
    // More than are kept.
    for _ in 0..30 {
        let as_of = service.counts_a_rejection();
        quick.fold(&mut folded, &as_of).await;
    }
    let metrics = service.get("/metrics").await.text;
    assert!(metrics.contains("observatory_sse_clients 2"), "{metrics}");
    loop {
        match slow.next().await.expect("it is told").name.as_str() {
            "delta" => {}
            "lagged" => break,
            other => panic!("{other}"),
        }
    }
    assert!(slow.next().await.is_none());
    drop(slow);
    let metrics = service.get("/metrics").await.text;
    assert!(metrics.contains("observatory_sse_lagged_total 1"), "{metrics}");
    assert!(metrics.contains("observatory_sse_clients 1"), "{metrics}");
}

#[tokio::test]
async fn streams_end_when_the_service_drains_and_are_refused_while_it_starts() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut client = Client::start(&service).await;
    client.expect("snapshot").await;
    service.becomes(Readiness::Draining);
    while client.next().await.is_some() {}
    service.becomes(Readiness::Starting { recovered: 0, of: 1 });
    let answer = service.get("/api/v1/stream").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "starting"));
}

#[tokio::test]
async fn more_streams_than_can_be_served_are_refused() {
    let service = Service::start();
    job(&service, json!({ "type": "a" }), "job.created").await;
    let mut clients = Vec::new();
    for _ in 0..256 {
        clients.push(Client::start(&service).await);
    }
    let answer = service.get("/api/v1/stream").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "too_many_streams"));
    assert!(!answer.header("retry-after").is_empty());
    clients.pop();
    Client::start(&service).await;
}
