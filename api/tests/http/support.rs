//! The service as the API sees it: a real store, a real dataflow, and a submitter that can fail.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use api::{Access, App, Hosts, Neighbours, Pace, Readers, Readiness, Views, router};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use contracts::{Micros, Reason};
use ingress::submit::{Delivery, SubmitError, Submitter};
use ingress::work::Work;
use pipeline::Tick;
use pipeline::dataflow::Config;
use pipeline::fact::Input;
use pipeline::observed::Observed;
use pipeline::seal::Sealed;
use pipeline::worker::Pipeline;
use serde_json::Value;
use sinks::commit::{Accepted, Commit};
use sinks::live::Live;
use sinks::sqlite::Store;
use sinks::store::Store as _;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

/// 2026-11-21T10:00:00Z, the clock of all tests.
pub(crate) const NOW: Micros = Micros(1_795_255_200_000_000);

/// What becomes of the deliveries.
#[derive(Clone, PartialEq)]
pub(crate) enum Deliveries {
    /// They become durable at once.
    Durable,
    /// Nobody settles them.
    Lost,
    /// They are kept until [`Service::settle`].
    Kept,
    Refused(SubmitError),
    /// Whoever takes them panics.
    Faulty,
}

/// Everything behind the API.
struct Engine {
    store: Store,
    pipeline: Pipeline,
    live: Arc<RwLock<Live>>,
    tick: Tick,
    deliveries: Deliveries,
    kept: Vec<Delivery>,
}

impl Engine {
    fn take(&mut self, delivery: Delivery) -> Result<(), SubmitError> {
        match &self.deliveries {
            Deliveries::Durable => self.make_durable(delivery),
            Deliveries::Lost => drop(delivery),
            Deliveries::Kept => self.kept.push(delivery),
            Deliveries::Refused(error) => return Err(error.clone()),
            Deliveries::Faulty => panic!("a secret of the inside"),
        }
        Ok(())
    }

    /// Takes an event through a tick of its own.
    fn make_durable(&mut self, Delivery { event, receipt }: Delivery) {
        self.tick += 1;
        let tick = self.tick;
        self.pipeline.tick(tick, vec![Input::Fact(event.fact.clone())]).unwrap();
        let mut commit = Commit::default();
        while commit.sealed.upper <= tick {
            let sealed = self.pipeline.sealed().unwrap();
            commit.extend(Commit { sealed, ..Commit::default() });
        }
        let at = Micros(event.fact.at);
        commit.events.push(Accepted { tick, event, late: false });
        self.store.commit(&commit).unwrap();
        let mut live = self.live.write().unwrap();
        live.apply(&commit.sealed);
        live.last_event = live.last_event.max(Some(at));
        receipt.settle();
    }
}

/// A service under test.
pub(crate) struct Service {
    router: Router,
    engine: Arc<Mutex<Engine>>,
    ready: watch::Sender<Readiness>,
    work: mpsc::UnboundedReceiver<Work>,
    refused: Arc<Mutex<Vec<Reason>>>,
    _folder: TempDir,
}

impl Service {
    /// A service that is ready, empty, and called by any name.
    pub(crate) fn start() -> Service {
        Service::with(false, Hosts::Any)
    }

    pub(crate) fn with(demo: bool, hosts: Hosts) -> Service {
        Service::guarded(demo, hosts, Access::default())
    }

    pub(crate) fn guarded(demo: bool, hosts: Hosts, access: Access) -> Service {
        Service::of(demo, hosts, access, Neighbours::default())
    }

    /// A service that knows of other servers.
    pub(crate) fn beside(neighbours: Neighbours) -> Service {
        Service::of(false, Hosts::Any, Access::default(), neighbours)
    }

    fn of(demo: bool, hosts: Hosts, access: Access, neighbours: Neighbours) -> Service {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let live = Arc::new(RwLock::new(Live::new(1)));
        live.write().unwrap().generation = 1;
        // It lives as long as the tests do.
        let observed: &'static Observed = Box::leak(Box::default());
        let observing = Some(observed);
        let config =
            Config { grid: 1, keep_records: true, observed: observing, ..Config::default() };
        let engine = Arc::new(Mutex::new(Engine {
            store,
            pipeline: Pipeline::start(config, 1).unwrap(),
            live: Arc::clone(&live),
            tick: NOW.0 as Tick,
            deliveries: Deliveries::Durable,
            kept: Vec::new(),
        }));
        let (ready, is_ready) = watch::channel(Readiness::Ready);
        let (to_do, work) = mpsc::unbounded_channel();
        let refused = Arc::<Mutex<Vec<Reason>>>::default();
        let router = router(App {
            submitter: {
                let engine = Arc::clone(&engine);
                Submitter::new(move |delivery| engine.lock().unwrap().take(delivery))
            },
            views: Views::Here(live),
            readers: {
                let engine = Arc::clone(&engine);
                Readers::new(move || engine.lock().unwrap().store.reader())
            },
            ready: is_ready,
            work: to_do,
            reject: {
                let refused = Arc::clone(&refused);
                Arc::new(move |reason| refused.lock().unwrap().push(reason))
            },
            metrics: prometheus::Registry::new(),
            mapping: Arc::default(),
            default_rules: "groups: []",
            dataflow: Some(observed),
            access,
            neighbours,
            broker: None,
            earlier: None,
            pace: Pace { pause: Duration::ZERO, kept: 20 },
            demo,
            clock: Arc::new(|| NOW),
            hosts,
            instance: "test".to_owned(),
        });
        Service { router, engine, ready, work, refused, _folder: folder }
    }

    pub(crate) fn deliveries(&self, deliveries: Deliveries) {
        self.engine.lock().unwrap().deliveries = deliveries;
    }

    /// Deliveries that wait for [`Service::settle`].
    pub(crate) fn kept(&self) -> usize {
        self.engine.lock().unwrap().kept.len()
    }

    /// Makes durable what was kept; how many events that were.
    pub(crate) fn settle(&self) -> usize {
        let mut engine = self.engine.lock().unwrap();
        let kept = std::mem::take(&mut engine.kept);
        let n = kept.len();
        kept.into_iter().for_each(|delivery| engine.make_durable(delivery));
        n
    }

    /// Shows one refused event more, at a tick of its own, which is given.
    pub(crate) fn counts_a_rejection(&self) -> String {
        let mut engine = self.engine.lock().unwrap();
        engine.tick += 1;
        let mut live = engine.live.write().unwrap();
        *live.rejected.entry(Reason::Schema).or_default() += 1;
        let (lower, upper) = (engine.tick, engine.tick + 1);
        live.apply(&Sealed { lower, upper, ..Sealed::default() });
        live.as_of().to_string()
    }

    pub(crate) fn becomes(&self, readiness: Readiness) {
        self.ready.send(readiness).unwrap();
    }

    /// The jobs given to the worker since the last call.
    pub(crate) fn work(&mut self) -> Vec<Work> {
        std::iter::from_fn(|| self.work.try_recv().ok()).collect()
    }

    /// The reasons counted so far.
    pub(crate) fn refused(&self) -> Vec<Reason> {
        self.refused.lock().unwrap().clone()
    }

    /// Handles requests, apart from this.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.router(), Method::GET, path, &[], "").await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[], body).await
    }

    /// Posts JSON with more headers.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let json = [&[("content-type", "application/json")], headers].concat();
        send(self.router(), Method::POST, path, &json, body).await
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The code of a problem, which it must be.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(problem["type"], "about:blank", "{self:?}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn with(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }
}

pub(crate) async fn send(
    router: Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::from(body.into())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}
