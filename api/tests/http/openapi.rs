//! The document of the API: that it is of this API, and that its examples are true.

use axum::http::Method;
use contracts::openapi::{Example, OPERATIONS};
use serde_json::Value;

use crate::support::{Service, send};

/// Files of the pages, which are no part of the API.
const FILES: [&str; 5] = ["/", "/ui/{*view}", "/page/{file}", "/docs.js", "/docs.css"];

#[test]
fn the_document_has_every_route_with_its_scope() {
    let mut routes: Vec<_> = api::policies().collect();
    routes.retain(|route| !FILES.iter().any(|file| route.contains(&format!(" {file} "))));
    let mut described: Vec<_> = OPERATIONS
        .iter()
        .map(|it| format!("{} {} {}", it.method, it.path, it.scope.as_str()))
        .collect();
    routes.sort();
    described.sort();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn the_document_is_served_and_shown_without_anything_from_elsewhere() {
    let service = Service::start();
    let document = service.get("/openapi.json").await.with(200);
    assert_eq!(document["openapi"], "3.1.0");
    let page = service.get("/docs").await;
    assert_eq!(page.status.as_u16(), 200);
    for (path, answer) in [("/docs", page), ("/docs.js", service.get("/docs.js").await)] {
        assert_eq!(answer.status.as_u16(), 200);
        assert!(!answer.text.contains("://"), "{path} has something from elsewhere");
        assert!(!answer.text.contains("innerHTML"), "{path} sets markup");
    }
}

/// Whether `wanted` is in `found`: all its keys with their values, its arrays whole.
fn within(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|it| within(value, it)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            let pairs = wanted.iter().zip(found);
            wanted.len() == found.len()
                && pairs.into_iter().all(|(wanted, found)| within(wanted, found))
        }
        (wanted, found) => wanted == found,
    }
}

#[tokio::test]
async fn every_example_is_answered_as_it_says() {
    let service = Service::start();
    let mut replayed = 0;
    for operation in &OPERATIONS {
        let Some(Example { query, body, response }) = &operation.example else { continue };
        let path = match operation.path.split_once("{id}") {
            Some((before, after)) => format!("{before}{query}{after}"),
            None => format!("{}{query}", operation.path),
        };
        let method: Method = operation.method.parse().unwrap();
        let json = [("content-type", "application/json")];
        let answer = send(service.router(), method, &path, &json, *body).await;
        let found = answer.with(operation.status);
        let wanted: Value = response.parse().unwrap();
        assert!(within(&wanted, &found), "{path}: wanted {wanted}, found {found}");
        replayed += 1;
    }
    assert!(replayed > 5);
}
