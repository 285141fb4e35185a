//! Every error is problem+json, with the code and the place that clients can rely on.

use crate::support::{Service, send};
use api::Hosts;
use axum::http::Method;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Method, path, headers, body; status, code, pointer of the first error.
type Case = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let long: &str = "k".repeat(201).leak();
    vec![
        // Nothing there, or not so.
        ("GET", "/nowhere", vec![], "", 404, "not_found", ""),
        ("GET", "/api/v1/", vec![], "", 404, "not_found", ""),
        ("DELETE", "/jobs", vec![], "", 405, "method_not_allowed", ""),
        ("GET", "/jobs", vec![], "", 405, "method_not_allowed", ""),
        ("POST", "/", vec![JSON], "{}", 405, "method_not_allowed", ""),
        ("POST", "/api/v1/jobs", vec![JSON], "{}", 405, "method_not_allowed", ""),
        // How it is sent.
        ("POST", "/jobs", vec![], "{}", 415, "unsupported_type", ""),
        ("POST", "/jobs", vec![("content-type", "text/plain")], "{}", 415, "unsupported_type", ""),
        ("POST", "/jobs", vec![("content-type", "application/x-www-form-urlencoded")], "{}", 415, "unsupported_type", ""),
        ("POST", "/events", vec![JSON, ("content-encoding", "gzip")], "{}", 415, "unsupported_encoding", ""),
        ("POST", "/jobs", vec![JSON, ("x-correlation-id", "7")], "{}", 400, "bad_correlation_id", ""),
        ("POST", "/events", vec![JSON, ("x-correlation-id", "")], "{}", 400, "bad_correlation_id", ""),
        ("POST", "/jobs", vec![JSON, ("idempotency-key", "")], "{}", 400, "bad_idempotency_key", ""),
        ("POST", "/jobs", vec![JSON, ("idempotency-key", long)], "{}", 400, "bad_idempotency_key", ""),
        // What is sent.
        ("POST", "/jobs", vec![JSON], "", 400, "bad_json", ""),
        ("POST", "/jobs", vec![JSON], "{", 400, "bad_json", ""),
        ("POST", "/jobs", vec![JSON], r#"{"type":}"#, 400, "bad_json", "/type"),
        ("POST", "/jobs", vec![JSON], r#"{"type":NaN}"#, 400, "bad_json", "/type"),
        ("POST", "/jobs", vec![JSON], r#"{"type":"a","type":"b"}"#, 400, "bad_json", "/type"),
        ("POST", "/jobs", vec![JSON], "null", 400, "schema", ""),
        ("POST", "/jobs", vec![JSON], "[]", 400, "schema", ""),
        ("POST", "/jobs", vec![JSON], "[{}", 400, "bad_json", "/0"),
        ("POST", "/jobs", vec![JSON], "{}", 400, "schema", "/type"),
        ("POST", "/jobs", vec![JSON], r#"{"type":"a","id":"7"}"#, 400, "schema", "/id"),
        ("POST", "/jobs", vec![JSON], r#"{"type":"a","payload":7}"#, 400, "schema", "/payload"),
        ("POST", "/jobs", vec![JSON], r#"{"type":"a","createdAt":"now"}"#, 400, "bad_time", "/createdAt"),
        ("POST", "/jobs", vec![JSON], r#"[{"type":"a","attempt":-1}]"#, 400, "all_rejected", "/0/attempt"),
        ("POST", "/events", vec![JSON], r#"{"type":"a"}"#, 400, "schema", "/eventType"),
        ("POST", "/events", vec![JSON], r#"{"eventType":"job.exploded"}"#, 400, "unknown_type", "/eventType"),
        ("POST", "/events", vec![JSON], r#"{"eventType":"job.created"}"#, 400, "schema", "/contractVersion"),
        // What is asked.
        ("GET", "/api/v1/jobs?staet=FAILED", vec![], "", 400, "unknown_parameter", ""),
        ("GET", "/api/v1/jobs?state=failed", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?state=FAILED&state=PENDING", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?limit=0", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?limit=1001", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?limit=-1", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/counts?by=colour", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/counts?state=nice", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/counts?q=age:%3E5m", vec![], "", 400, "not_in_view", ""),
        ("GET", "/api/v1/counts?finishedAfter=2026-11-21T10:00:00Z", vec![], "", 400, "not_in_view", ""),
        ("GET", "/api/v1/counts?q=state:nice", vec![], "", 400, "bad_q", ""),
        ("GET", "/api/v1/latency?worker=w-1", vec![], "", 400, "not_in_view", ""),
        ("GET", "/api/v1/latency?window=2m", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/throughput?window=all", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/throughput?state=FAILED", vec![], "", 400, "not_in_view", ""),
        ("GET", "/api/v1/alerts?state=red", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?q=type:", vec![], "", 400, "bad_q", ""),
        ("GET", "/api/v1/jobs?type=%00", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?q=%00", vec![], "", 400, "bad_q", ""),
        ("GET", "/api/v1/jobs?finishedAfter=yesterday", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?retired=maybe", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs?cursor=7", vec![], "", 400, "bad_cursor", ""),
        ("GET", "/api/v1/history?step=7", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/history?step=9223372036854775807", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/history?from=2026-11-21T12:00:00Z", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/history?by=queue", vec![], "", 400, "not_in_view", ""),
        ("GET", "/api/v1/stream?after=7", vec![], "", 400, "bad_parameter", ""),
        ("GET", "/api/v1/jobs/7/events", vec![], "", 400, "bad_id", ""),
        ("GET", "/api/v1/jobs/0193aaaa-0000-7000-8000-00000000000c/events", vec![], "", 404, "no_such_job", ""),
        ("GET", "/api/v1/snapshot?at=now", vec![], "", 400, "unknown_parameter", ""),
        ("GET", "/jobs/recent?page=2", vec![], "", 400, "unknown_parameter", ""),
        ("GET", "/api/v1/jobs/7", vec![], "", 400, "bad_id", ""),
        ("GET", "/api/v1/jobs/0193aaaa00007000800000000000000c", vec![], "", 400, "bad_id", ""),
        ("GET", "/api/v1/jobs/%ff", vec![], "", 400, "bad_id", ""),
        ("GET", "/api/v1/jobs/0193aaaa-0000-7000-8000-00000000000c", vec![], "", 404, "no_such_job", ""),
    ]
}

#[tokio::test]
async fn every_error_says_what_is_wrong_in_one_form() {
    let service = Service::start();
    for (method, path, headers, body, status, code, pointer) in cases() {
        let answer = send(service.router(), method.parse().unwrap(), path, &headers, body).await;
        let case = format!("{method} {path} {headers:?} {body}: {answer:?}");
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{case}");
        let problem = answer.json();
        let place = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(place, pointer, "{case}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{case}");
        assert!(!answer.header("x-correlation-id").is_empty(), "{case}");
    }
}

#[tokio::test]
async fn a_refusal_names_what_there_is_instead() {
    let service = Service::start();
    let detail =
        async |path: &str| service.get(path).await.json()["detail"].as_str().unwrap().to_owned();
    let unknown = detail("/api/v1/jobs?colour=red").await;
    assert!(unknown.ends_with("`retired`, `limit`, `cursor`"), "{unknown}");
    let elsewhere = detail("/api/v1/latency?worker=w-1").await;
    assert!(elsewhere.ends_with("`type`, `queue`, `measure`, `window`"), "{elsewhere}");
    let text = detail("/api/v1/counts?q=timeout").await;
    assert!(text.contains("`state`, `type`, `queue`, `worker`"), "{text}");
    let key = service.get("/api/v1/jobs?q=type:a%20staet:failed").await.json();
    assert_eq!(
        (&key["errors"][0]["parameter"], &key["errors"][0]["position"]),
        (&"q".into(), &7.into())
    );
    assert!(key["detail"].as_str().unwrap().contains("did you mean `state:`?"), "{key}");
    let state = detail("/api/v1/jobs?state=red").await;
    assert!(state.contains("`PENDING`") && state.contains("`ABANDONED`"), "{state}");
    let by = detail("/api/v1/counts?by=red").await;
    assert!(by.ends_with("`state`, `type`, `queue`, `worker`"), "{by}");
}

#[tokio::test]
async fn a_path_that_knows_other_methods_names_them() {
    let service = Service::start();
    let answer = send(service.router(), Method::DELETE, "/jobs", &[], "").await;
    assert_eq!(answer.header("allow"), "POST");
    let answer = send(service.router(), Method::DELETE, "/stats", &[], "").await;
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_correlation_id_is_returned_whatever_the_answer() {
    let service = Service::start();
    let id = "0193aaaa-0000-7000-8000-00000000000c";
    for path in ["/", "/nowhere", "/api/v1/jobs?limit=0", "/metrics"] {
        let headers = [("x-correlation-id", id)];
        let answer = send(service.router(), Method::GET, path, &headers, "").await;
        assert_eq!(answer.header("x-correlation-id"), id, "{path}");
    }
    // Proxies have ids of their own kinds; a read has no use for them.
    let headers = [("x-correlation-id", "7")];
    let answer = send(service.router(), Method::GET, "/health", &headers, "").await;
    assert_eq!(answer.status.as_u16(), 200);
}

#[tokio::test]
async fn a_server_on_loopback_answers_to_its_own_names_only() {
    let service = Service::with(false, Hosts::bound_to("127.0.0.1:8080".parse().unwrap()));
    let status = async |line: &str, hosts: &[&str]| {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let answer = send(service.router(), Method::GET, line, &headers, "").await;
        if answer.status.is_client_error() {
            assert_eq!(answer.code(), "unknown_host");
        }
        answer.status.as_u16()
    };
    for ours in
        ["localhost", "localhost:8080", "LOCALHOST:9", "127.0.0.1:8080", "[::1]:8080", "[::1]"]
    {
        assert_eq!(status("/health", &[ours]).await, 200, "{ours}");
    }
    for theirs in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::2]",
        "localhost:8080:x",
    ] {
        assert_eq!(status("/health", &[theirs]).await, 421, "{theirs}");
    }
    assert_eq!(status("/health", &[]).await, 421);
    assert_eq!(status("/health", &["localhost", "evil.example"]).await, 421);
    assert_eq!(status("http://evil.example/health", &["localhost"]).await, 421);
    assert_eq!(status("http://localhost/health", &["localhost"]).await, 200);
}

#[test]
fn a_server_bound_elsewhere_answers_to_any_name() {
    assert_eq!(Hosts::bound_to("0.0.0.0:80".parse().unwrap()), Hosts::Any);
    let Hosts::Only(names) = Hosts::bound_to("127.0.0.2:80".parse().unwrap()) else { panic!() };
    assert!(names.contains(&"127.0.0.2".to_owned()));
}
