//! HTTP: jobs are submitted here, and what became of them is read.
//!
//! ```text
//!   request ──▶ guard: host, correlation id ──▶ access ──▶ submissions ──▶ Submitter ──durable──▶ 202
//!                 │                              └──▶ reads ◀── Live (views), Readers (lists, jobs)
//!                 └──◀── headers, metrics, problem+json for every error
//! ```
//!
//! # Invariants
//!
//! 1. A submission is answered 202 only when all that was accepted of it is durable.
//! 2. Every answer built from views says at which moment they were so (`asOf`).
//! 3. Every route has a policy, see [`access`].
//! 4. Every error is `application/problem+json` with a stable `code`.
//! 5. Nothing here is computed from events but the timeline of one job: numbers are those of the
//!    dataflow.

mod access;
mod cloud_event;
mod cursor;
mod dataflow;
mod detail;
mod docs;
mod filter;
mod guard;
mod health;
mod history;
mod jobs;
mod letters;
mod metrics;
mod neighbours;
mod notes;
mod page;
mod params;
mod predecessor;
mod problem;
mod pulled;
mod readers;
mod reads;
mod received;
mod routes;
mod rules;
mod server;
mod stream;
mod submissions;
mod views;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::routing::get;
use axum::{Json, Router, middleware};
use contracts::answers::Dataflow;
use contracts::decode::MAX_BODY_BYTES;
use contracts::{EventId, Micros, Reason};
use ingress::cloudevents::Mapping;
use ingress::submit::Submitter;
use ingress::work::Work;
use pipeline::observed::Observed;
use tokio::sync::{mpsc, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;

pub use access::{Access, BadTokens, Scope, Tokens};
pub use dataflow::view as dataflow_view;
pub use detail::tell;
pub use neighbours::Neighbours;
pub use pulled::{About, Told, pull};
pub use readers::Readers;
pub use routes::policies;
pub use server::{listen, serve};
pub use stream::Pace;
pub use views::Views;

use access::Guard;
use metrics::Metrics;
use problem::Problem;
use stream::Stream;
use submissions::InProgress;

/// How long an answer may take before its sender is told to come back. Longer than a submission
/// waits for room, and than a commit on a slow disk takes.
const MAX_ANSWER: Duration = Duration::from_secs(30);

/// What the API answers from.
pub struct App {
    /// Takes what is submitted, and answers when it is durable.
    pub submitter: Submitter,
    /// The views.
    pub views: Views,
    /// The store, for lists and single jobs.
    pub readers: Readers,
    /// Whether an event was submitted before, where the store does not say so.
    pub earlier: Option<Earlier>,
    pub ready: watch::Receiver<Readiness>,
    /// Where a job goes that `POST /jobs` has made durable. Jobs that find nobody there are in the
    /// store as work to do.
    pub work: mpsc::UnboundedSender<Work>,
    /// Counts a refused event.
    pub reject: Arc<dyn Fn(Reason) + Send + Sync>,
    /// What `/metrics` shows; others register theirs here too.
    pub metrics: prometheus::Registry,
    /// The rules that are in force if none were ever given, as YAML.
    pub default_rules: &'static str,
    /// What CloudEvents of other vocabularies are.
    pub mapping: Arc<Mapping>,
    /// The dataflow, if it is in this process.
    pub dataflow: Option<&'static Observed>,
    /// Who may do what.
    pub access: Access,
    /// Servers beside this one, of which some paths pass on what they say.
    pub neighbours: Neighbours,
    /// Where dead letters wait, if there is a broker.
    pub broker: Option<ingress::amqp::Url>,
    /// How the stream of changes is paced.
    pub pace: Pace,
    /// The jobs are made up: the page says so.
    pub demo: bool,
    pub clock: Arc<dyn Fn() -> Micros + Send + Sync>,
    /// The names by which this server may be called.
    pub hosts: Hosts,
    /// Which gateway this is, as events name their producer.
    pub instance: String,
}

/// Gives the body of the event that was archived first under an id; may block.
pub type Earlier =
    Arc<dyn Fn(EventId) -> Result<Option<Vec<u8>>, sinks::store::Error> + Send + Sync>;

/// How far the service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It reads back its jobs: `recovered` of them by now.
    Starting {
        recovered: u64,
        of: u64,
    },
    /// Another pipeline is at work; this one takes over when that one goes.
    Standby,
    /// A server that it cannot do without does not answer.
    Away(&'static str),
    Ready,
    /// It finishes what it has, and takes nothing more.
    Draining,
}

/// The names in `Host` that are answered.
///
/// A page of another site can make its own name point to 127.0.0.1, and would then pass for a page
/// of ours; its requests still carry its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    Any,
    /// Without ports, in lower case; IPv6 addresses in brackets.
    Only(Vec<String>),
}

impl Hosts {
    /// What a server bound to `address` answers to: on loopback, the names of this machine for
    /// itself and nothing else.
    pub fn bound_to(address: SocketAddr) -> Hosts {
        if !address.ip().is_loopback() {
            return Hosts::Any;
        }
        let own = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Hosts::Only(vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), own])
    }
}

/// All routes.
///
/// # Panics
///
/// If the registry already has metrics under the API's names: one registry, one router.
pub fn router(app: App) -> Router {
    let api = Api::new(app);
    let App { metrics, views, clock, .. } = &api.app;
    registered(api.metrics.of_reader(metrics, views, clock, &api.stream));
    bounded(routes::router(routes::all(), &api), api)
}

/// The routes that submit, for a gateway, which reads nothing.
///
/// # Panics
///
/// As [`router`].
pub fn submissions_router(app: App) -> Router {
    let api = Api::new(app);
    bounded(routes::router(routes::of_gateway(), &api), api)
}

/// What holds for all routes: limits, and an answer for every fault.
fn bounded(routes: Router, api: Arc<Api>) -> Router {
    let routes = routes
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, MAX_ANSWER))
        .layer(CatchPanicLayer::new());
    let routes = match cors(&api.guard.access.origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(middleware::from_fn_with_state(api, guard::guard))
}

/// What pages of other origins may do: read and write with a token, which is no cookie.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<_> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let headers = [
        AUTHORIZATION,
        CONTENT_TYPE,
        guard::CORRELATION_ID,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
    ];
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(headers)
        .expose_headers([guard::CORRELATION_ID, LOCATION, RETRY_AFTER])
        .max_age(Duration::from_secs(600));
    (!origins.is_empty()).then(|| cors.allow_origin(origins))
}

/// What a pipeline answers beside its health: `dataflow`, as it is now.
pub fn dataflow_router(dataflow: impl Fn() -> Dataflow + Clone + Send + Sync + 'static) -> Router {
    let answer = move || {
        let seen = dataflow();
        async { Json(seen) }
    };
    Router::new().route("/api/v1/dataflow", get(answer))
}

/// What every role answers: whether it lives, whether it is ready, and its metrics.
///
/// # Panics
///
/// As [`router`].
pub fn health_router(ready: watch::Receiver<Readiness>, metrics: prometheus::Registry) -> Router {
    registered(metrics::readiness(&metrics, ready.clone()));
    Router::new()
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .with_state(Arc::new(health::Health { ready, metrics }))
}

#[expect(clippy::expect_used, reason = "the names are constants, and registered here only")]
fn registered<T>(metrics: prometheus::Result<T>) -> T {
    metrics.expect("metrics are registered once")
}

/// What the handlers share.
struct Api {
    app: App,
    metrics: Metrics,
    in_progress: InProgress,
    stream: Arc<Stream>,
    guard: Guard,
    /// Held by who looks at dead letters.
    letters: tokio::sync::Mutex<()>,
    /// Held by who tries rules: a back-test takes a core.
    backtest: Arc<tokio::sync::Semaphore>,
}

impl Api {
    fn new(app: App) -> Arc<Api> {
        let stream = Arc::<Stream>::default();
        let metrics = registered(Metrics::register(&app.metrics));
        registered(metrics::readiness(&app.metrics, app.ready.clone()));
        let guard = Guard::new(app.access.clone());
        Arc::new(Api {
            app,
            metrics,
            in_progress: InProgress::default(),
            stream,
            guard,
            letters: tokio::sync::Mutex::default(),
            backtest: Arc::new(tokio::sync::Semaphore::new(1)),
        })
    }
}

impl Api {
    fn now(&self) -> Micros {
        (self.app.clock)()
    }

    fn readiness(&self) -> Readiness {
        *self.app.ready.borrow()
    }

    /// The views are complete only when all jobs have been read back.
    fn recovered(&self) -> Result<(), Problem> {
        match self.readiness() {
            starting @ (Readiness::Starting { .. } | Readiness::Standby) => {
                Err(Problem::not_ready(starting))
            }
            // The copy of another process' views has not come yet.
            _ if self.app.views.stale_since() == Some(Micros::default()) => {
                Err(Problem::not_ready(Readiness::Away("the pipeline, or Redis,")))
            }
            Readiness::Away(_) | Readiness::Ready | Readiness::Draining => Ok(()),
        }
    }
}
