//! `/api/v1/stream`: the snapshot, then what changes, as server-sent events.
//!
//! ```text
//!   Feed ──at most 10 a second──▶ Hub: ring of the last deltas, encoded once
//!                                  │ woken            │ taken by place
//!                                  └──▶ one Client per connection ──▶ socket
//! ```
//!
//! | event | is | its id |
//! |---|---|---|
//! | `snapshot` | all views at a grid time | `generation-tick` |
//! | `delta` | the rows that changed since, as absolute values | `generation-tick` |
//! | `reset` | what the client has does not lead on; a snapshot follows | none |
//! | `lagged` | the client was too slow, and is left; it may come again | none |
//!
//! # Invariants
//!
//! 1. Folded row by row onto the snapshot, the deltas give the counts of their tick, and the other
//!    views of the last grid time before it; also from a delta's id on, after a connection was lost.
//! 2. A client waits for itself only: it holds a place in the ring, and nothing is queued for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sinks::fold::Position;
use tokio::sync::watch;
use tokio::time::timeout;

mod client;
mod event;
mod hub;
mod ring;

use client::{Client, Start};
use hub::Hub;

use crate::params::Params;
use crate::problem::Problem;
use crate::{Api, Readiness};

/// Clients at once. Each costs a connection, and a write of some KB ten times a second.
pub(crate) const MAX_CLIENTS: usize = 256;

/// A line that says nothing, so that whatever is between us and the client keeps the connection.
const COMMENT: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What the stream holds back, and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two deltas. Default 100 ms: at most ten a second reach a client.
    pub pause: Duration,
    /// Deltas that a client may be behind, or come back to. Default 600, the last minute.
    pub kept: usize,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { pause: Duration::from_millis(100), kept: 600 }
    }
}

/// The stream of this process; it begins to follow when somebody first asks.
#[derive(Default)]
pub(crate) struct Stream {
    hub: OnceLock<Arc<Hub>>,
    clients: Arc<AtomicUsize>,
}

/// A place among the clients.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Stream {
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    fn seat(&self) -> Result<Seat, Problem> {
        let seat = Seat(Arc::clone(&self.clients));
        if self.clients.fetch_add(1, Ordering::Relaxed) < MAX_CLIENTS {
            return Ok(seat);
        }
        let detail = format!("{MAX_CLIENTS} streams are open, and more are not served");
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail);
        Err(problem.retry_after(10))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) async fn stream(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::of(&uri, &["after"])?;
    let after = params.text("after").map(|id| {
        id.parse::<Position>().map_err(|_| {
            let detail = "`after` is the id of an event of this stream";
            Problem::bad_request("bad_parameter", detail)
        })
    });
    // A browser that connects again sends it, with the address that it first had.
    let start = match headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default()) {
        None | Some("") => after.transpose()?.map_or(Start::Snapshot, Start::After),
        Some(id) => id.parse().map_or(Start::Reset, Start::After),
    };
    api.recovered()?;
    let seat = api.stream.seat()?;
    let hub = api.stream.hub.get_or_init(|| Hub::start(&api.app.views, api.app.pace));
    let client = Client::new(Arc::clone(hub), Arc::clone(&api), start, seat);
    let body = stream::unfold(client, |mut client| async move {
        let bytes = client.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), client))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // A proxy that gathers a response before it hands it on would hold all of it back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Waits until something is said, or until it is time for a comment, or for the end.
async fn wait(news: &mut watch::Receiver<u64>, ready: &mut watch::Receiver<Readiness>) -> Woken {
    let draining = ready.wait_for(|ready| *ready == Readiness::Draining);
    tokio::select! {
        // Who tells it is gone only when the process is.
        _ = draining => Woken::Ends,
        said = timeout(COMMENT, news.changed()) => match said {
            Ok(Ok(())) => Woken::News,
            Ok(Err(_)) => Woken::Ends,
            Err(_) => Woken::Silence,
        },
    }
}

enum Woken {
    News,
    Silence,
    Ends,
}
