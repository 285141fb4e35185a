//! Who may do what: every route, asked with every kind of token.

use std::net::SocketAddr;

use api::{Access, Hosts, Tokens};
use axum::http::Method;
use sha2::{Digest, Sha256};

use crate::support::{Answer, Service, send};

const JSON: (&str, &str) = ("content-type", "application/json");

fn tokens() -> Tokens {
    let line = |name: &str, scope: &str| {
        let digits: String =
            Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {scope} {digits}\n")
    };
    // Each token is its name, which is good enough here.
    Tokens::parse(&(line("reader", "read") + &line("writer", "write") + &line("boss", "admin")))
        .unwrap()
}

fn guarded() -> Service {
    guarded_by(Access { tokens: Some(tokens()), ..Access::default() })
}

fn guarded_by(access: Access) -> Service {
    Service::guarded(false, Hosts::Any, access)
}

async fn ask(service: &Service, method: &str, path: &str, token: Option<&str>) -> Answer {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![JSON];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    send(service.router(), method.parse().unwrap(), path, &headers, "{}").await
}

/// Every route, and the scope that it asks for; `api` itself has the list that its router is made
/// of, and this is what it is to say.
#[rustfmt::skip]
const ROUTES: [(&str, &str, &str); 44] = [
    ("GET", "/", "public"),
    ("GET", "/ui/{*view}", "public"),
    ("GET", "/page/{file}", "public"),
    ("GET", "/health", "public"),
    ("GET", "/livez", "public"),
    ("GET", "/readyz", "public"),
    ("GET", "/api/v1/session", "public"),
    ("POST", "/api/v1/session", "public"),
    ("DELETE", "/api/v1/session", "public"),
    ("GET", "/metrics", "read"),
    ("GET", "/api/v1/snapshot", "read"),
    ("GET", "/api/v1/stream", "read"),
    ("GET", "/api/v1/counts", "read"),
    ("GET", "/api/v1/latency", "read"),
    ("GET", "/api/v1/throughput", "read"),
    ("GET", "/api/v1/alerts", "read"),
    ("GET", "/api/v1/deadletters", "read"),
    ("GET", "/api/v1/history", "read"),
    ("GET", "/api/v1/rules", "read"),
    ("PUT", "/api/v1/rules", "admin"),
    ("GET", "/api/v1/rules/history", "read"),
    ("POST", "/api/v1/rules/test", "write"),
    ("GET", "/api/v1/alerts/received", "read"),
    ("GET", "/api/v1/notes", "read"),
    ("POST", "/api/v1/notes", "write"),
    ("DELETE", "/api/v1/notes/{id}", "write"),
    ("GET", "/api/v1/workers", "read"),
    ("GET", "/api/v1/deadletters/letters", "read"),
    ("GET", "/api/v1/dataflow", "read"),
    ("GET", "/api/v1/jobs", "read"),
    ("GET", "/api/v1/jobs/{id}", "read"),
    ("GET", "/api/v1/jobs/{id}/events", "read"),
    ("GET", "/openapi.json", "public"),
    ("GET", "/docs", "public"),
    ("GET", "/docs.js", "public"),
    ("GET", "/docs.css", "public"),
    ("GET", "/events", "read"),
    ("GET", "/proxy/alerts", "read"),
    ("GET", "/proxy/targets", "read"),
    ("POST", "/webhook/alerts", "write"),
    ("GET", "/jobs/recent", "read"),
    ("GET", "/stats", "read"),
    ("POST", "/jobs", "write"),
    ("POST", "/events", "write"),
];

#[test]
fn every_route_has_the_policy_that_is_listed_here() {
    let mut stated: Vec<_> = api::policies().collect();
    let mut listed = ROUTES.map(|(method, path, policy)| format!("{method} {path} {policy}"));
    stated.sort();
    listed.sort();
    assert_eq!(stated, listed);
}

#[tokio::test]
async fn every_route_lets_in_whom_its_policy_does_and_nobody_else() {
    let service = guarded();
    for (method, path, policy) in ROUTES {
        // What the stream answers has no end.
        let path = if path == "/api/v1/stream" { "/api/v1/stream?after=x" } else { path };
        for (token, scope) in [
            (None, "none"),
            (Some("nobody"), "unknown"),
            (Some(""), "unknown"),
            (Some("reader"), "read"),
            (Some("writer"), "write"),
            (Some("boss"), "admin"),
        ] {
            let answer = ask(&service, method, path, token).await;
            let case = format!("{method} {path} with {scope}: {answer:?}");
            let order = ["public", "read", "write", "admin"];
            let place = |scope| order.iter().position(|known| *known == scope);
            let refused = match (place(scope), place(policy)) {
                _ if scope == "unknown" => Some((401, "no_token")),
                (None, Some(0)) => None,
                (None, _) => Some((401, "no_token")),
                (Some(has), Some(wanted)) if has < wanted => Some((403, "scope")),
                _ => None,
            };
            match refused {
                Some((status, code)) => {
                    assert_eq!(
                        (answer.status.as_u16(), answer.code().as_str()),
                        (status, code),
                        "{case}"
                    );
                    let asks = !answer.header("www-authenticate").is_empty();
                    assert_eq!(asks, status == 401, "{case}");
                }
                // The session's own answer to no token.
                None if path == "/api/v1/session" => {}
                None => assert!(![401, 403].contains(&answer.status.as_u16()), "{case}"),
            }
        }
    }
}

#[tokio::test]
async fn a_session_does_what_its_token_may_and_no_more_and_ends() {
    let service = guarded();
    let login = |token: &str| format!(r#"{{"token":"{token}"}}"#);
    let post = async |headers: &[(&str, &str)], path: &str, body: String| {
        send(service.router(), Method::POST, path, &[&[JSON], headers].concat(), body).await
    };
    let refused = post(&[], "/api/v1/session", login("nobody")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "no_token"));
    let begun = post(&[], "/api/v1/session", login("writer")).await;
    assert_eq!(begun.status.as_u16(), 204);
    let cookie = begun.header("set-cookie").to_owned();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; ") && !cookie.contains("writer"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let by_cookie = ("cookie", cookie.as_str());

    let get = async |path: &str, headers: &[(&str, &str)]| {
        send(service.router(), Method::GET, path, headers, "").await
    };
    assert_eq!(get("/api/v1/jobs", &[by_cookie]).await.status.as_u16(), 200);
    let session = get("/api/v1/session", &[by_cookie]).await.with(200);
    assert_eq!(session, serde_json::json!({ "required": true, "scope": "write" }));

    // The browser says where a write comes from, or it is no browser's.
    let (host, job) = (("host", "jobs.example"), r#"{"type":"a"}"#.to_owned());
    let ours = ("origin", "http://jobs.example");
    let write = post(&[by_cookie, host, ours], "/jobs", job.clone()).await;
    assert_eq!(write.status.as_u16(), 202);
    for headers in [
        vec![by_cookie, host],
        vec![by_cookie, host, ("origin", "http://evil.example")],
        vec![by_cookie, host, ("sec-fetch-site", "cross-site")],
    ] {
        let answer = post(&headers, "/jobs", job.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "cross_site"));
    }

    let end = send(service.router(), Method::DELETE, "/api/v1/session", &[by_cookie], "").await;
    assert!(end.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(get("/api/v1/jobs", &[by_cookie]).await.status.as_u16(), 401);
}

#[tokio::test]
async fn without_tokens_a_page_of_another_site_can_not_write_either() {
    let service = Service::start();
    let evil = [JSON, ("host", "localhost:8080"), ("origin", "http://evil.example")];
    let answer = send(service.router(), Method::POST, "/jobs", &evil, r#"{"type":"a"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "cross_site"));
    let session = service.get("/api/v1/session").await.with(200);
    assert_eq!(session, serde_json::json!({ "required": false, "scope": "admin" }));
}

#[tokio::test]
async fn a_listed_origin_may_read_and_others_are_told_nothing() {
    let origins = vec!["https://good.example".to_owned()];
    let service = guarded_by(Access { origins, ..Access::default() });
    let allowed = async |method: Method, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = send(service.router(), method, "/api/v1/snapshot", &headers, "").await;
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        answer.header("access-control-allow-origin").to_owned()
    };
    for method in [Method::GET, Method::OPTIONS] {
        assert_eq!(allowed(method.clone(), "https://good.example").await, "https://good.example");
        for origin in [
            "http://good.example",
            "https://good.example.evil.example",
            "https://good.example:444",
            "https://evil-good.example",
            "null",
            "",
        ] {
            assert_eq!(allowed(method.clone(), origin).await, "", "{origin}");
        }
    }
}

#[tokio::test]
async fn without_a_list_nothing_is_said_to_other_origins() {
    let service = Service::start();
    let headers = [("origin", "https://good.example")];
    let answer = send(service.router(), Method::GET, "/api/v1/snapshot", &headers, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn who_writes_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let access = Access { tokens: Some(tokens()), writes_per_second: Some(2), ..Access::default() };
    let service = guarded_by(access);
    let write = async |token: &str| ask(&service, "POST", "/events", Some(token)).await;
    for _ in 0..4 {
        assert_eq!(write("writer").await.status.as_u16(), 400);
    }
    // The fifth within two seconds; on a slow machine perhaps one later.
    let mut answer = write("writer").await;
    while answer.status.as_u16() == 400 {
        answer = write("writer").await;
    }
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "too_many_writes"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(write("boss").await.status.as_u16(), 400);
    let read = ask(&service, "GET", "/api/v1/snapshot", Some("writer")).await;
    assert_eq!(read.status.as_u16(), 200);
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_its_limit() {
    let service = Service::start();
    let long = format!("/api/v1/jobs?q={}", "a".repeat(8_192));
    let answer = service.get(&long).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (414, "url_too_long"));
    let value = "a".repeat(16_384);
    let headers = [("x-anything", value.as_str())];
    let answer = send(service.router(), Method::GET, "/health", &headers, "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (431, "headers_too_large"));
}

/// A server on a socket of its own, and where it is.
async fn served() -> (Service, SocketAddr, tokio::sync::watch::Sender<bool>) {
    let service = Service::start();
    let listener = api::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    tokio::spawn(api::serve(listener, service.router(), stopping));
    (service, address, stop)
}

#[tokio::test]
async fn connections_that_say_nothing_hold_up_nobody_and_are_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_service, address, _stop) = served().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /health HT").await.unwrap();
        slow.push(socket);
    }
    let mut quick = tokio::net::TcpStream::connect(address).await.unwrap();
    quick.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    quick.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    for mut socket in slow {
        // It may be told why, and then it ends.
        let mut rest = Vec::new();
        let limit = std::time::Duration::from_secs(60);
        let ended = tokio::time::timeout(limit, socket.read_to_end(&mut rest));
        drop(ended.await.expect("it is closed"));
    }
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_under_way_and_takes_nothing_more() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_service, address, stop) = served().await;
    let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    stop.send_replace(true);
    // Kept alive for the next request, it is closed instead.
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    stop.closed().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
