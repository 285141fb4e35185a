//! All routes, each with its policy.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Router, middleware};

use crate::access::Policy::{self, Admin, Public, Read, Write};
use crate::access::{check, session};
use crate::{
    Api, dataflow, docs, health, history, jobs, letters, notes, page, predecessor, reads, received,
    rules, stream, submissions, workers,
};

/// A path, a method, what the two ask for, and what answers them.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) policy: Policy,
    handler: MethodRouter<Arc<Api>>,
}

fn route<H: Handler<T, Arc<Api>>, T: 'static>(
    method: Method,
    path: &'static str,
    policy: Policy,
    handler: H,
) -> Route {
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        // And HEAD, which is a GET without a body.
        _ => MethodFilter::GET,
    };
    Route { method, path, policy, handler: on(filter, handler) }
}

fn get<H: Handler<T, Arc<Api>>, T: 'static>(path: &'static str, policy: Policy, h: H) -> Route {
    route(Method::GET, path, policy, h)
}

/// Those of a gateway.
pub(crate) fn of_gateway() -> Vec<Route> {
    let mut routes = shared();
    routes.push(get("/health", Public, health::health));
    routes.push(get("/metrics", Read, health::metrics_of_gateway));
    routes
}

/// All of them.
pub(crate) fn all() -> Vec<Route> {
    let mut routes = shared();
    routes.extend(of_reader());
    routes
}

/// Those that submit, what every role answers of itself, and how both are used.
fn shared() -> Vec<Route> {
    vec![
        route(Method::POST, "/jobs", Write, submissions::jobs),
        route(Method::POST, "/events", Write, submissions::events),
        get("/livez", Public, health::livez),
        get("/readyz", Public, health::readyz_of_api),
        get("/openapi.json", Public, docs::openapi),
        get("/docs", Public, docs::page),
        get("/docs.js", Public, docs::script),
        get("/docs.css", Public, docs::style),
    ]
}

/// Those that read, and the page.
fn of_reader() -> Vec<Route> {
    vec![
        get("/health", Public, health::servers),
        get("/metrics", Read, health::metrics_of_reader),
        get("/", Public, page::page),
        // Its views are told apart by its script.
        get("/ui/{*view}", Public, page::page),
        get("/page/{file}", Public, page::file),
        get("/api/v1/session", Public, session::show),
        route(Method::POST, "/api/v1/session", Public, session::begin),
        route(Method::DELETE, "/api/v1/session", Public, session::end),
        get("/api/v1/snapshot", Read, reads::snapshot),
        get("/api/v1/stream", Read, stream::stream),
        get("/api/v1/counts", Read, reads::counts),
        get("/api/v1/latency", Read, reads::latency),
        get("/api/v1/throughput", Read, reads::throughput),
        get("/api/v1/alerts", Read, reads::alerts),
        get("/api/v1/alerts/received", Read, received::list),
        get("/api/v1/notes", Read, notes::list),
        route(Method::POST, "/api/v1/notes", Write, notes::add),
        route(Method::DELETE, "/api/v1/notes/{id}", Write, notes::end),
        get("/api/v1/workers", Read, workers::list),
        get("/api/v1/deadletters", Read, reads::dead_letters),
        get("/api/v1/deadletters/letters", Read, letters::list),
        get("/api/v1/history", Read, history::history),
        get("/api/v1/rules", Read, rules::rules),
        route(Method::PUT, "/api/v1/rules", Admin, rules::apply),
        route(Method::POST, "/api/v1/rules/test", Write, rules::test),
        get("/api/v1/rules/history", Read, rules::history),
        get("/api/v1/dataflow", Read, dataflow::dataflow),
        get("/api/v1/jobs", Read, jobs::list),
        get("/api/v1/jobs/{id}", Read, jobs::job),
        get("/api/v1/jobs/{id}/events", Read, jobs::events),
        get("/events", Read, predecessor::events),
        get("/proxy/alerts", Read, predecessor::alerts),
        get("/proxy/targets", Read, predecessor::targets),
        route(Method::POST, "/webhook/alerts", Write, received::receive),
        get("/jobs/recent", Read, jobs::recent),
        get("/stats", Read, reads::stats),
    ]
}

/// What each route asks for, as `GET /path read`.
pub fn policies() -> impl Iterator<Item = String> {
    all().into_iter().map(|route| {
        let Route { method, path, policy, .. } = route;
        format!("{method} {path} {policy}")
    })
}

/// A router in which each route is behind its policy.
pub(crate) fn router(routes: Vec<Route>, api: &Arc<Api>) -> Router {
    let add = |router: Router<Arc<Api>>, Route { path, policy, handler, .. }: Route| {
        let state = (Arc::clone(api), policy);
        router.route(path, handler.route_layer(middleware::from_fn_with_state(state, check)))
    };
    routes.into_iter().fold(Router::new(), add).with_state(Arc::clone(api))
}
