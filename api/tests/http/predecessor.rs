//! The paths of the predecessor, for what still calls them.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::reads::job;
use crate::support::Service;

#[tokio::test]
async fn the_events_of_a_job_are_a_list_also_when_there_are_none() {
    let service = Service::start();
    let id = job(&service, json!({ "type": "a" }), "job.failed").await;
    let events = service.get(&format!("/events?jobId={id}")).await.with(200);
    let kinds: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["eventType"].clone()).collect();
    assert_eq!(kinds, ["job.created", "job.failed"]);
    let none = service.get("/events?jobId=0193aaaa-0000-7000-8000-00000000000c").await;
    assert_eq!(none.with(200), json!([]));
    for query in ["", "?jobId=7", "?jobId="] {
        let answer = service.get(&format!("/events{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_id"), "{query}");
    }
}

#[tokio::test]
async fn a_neighbour_that_is_not_configured_is_not_asked() {
    let service = Service::start();
    for path in ["/proxy/alerts", "/proxy/targets"] {
        let answer = service.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "not_configured"));
        let elsewhere = service.get(&format!("{path}?url=http://evil.example")).await;
        assert_eq!(elsewhere.code(), "unknown_parameter");
    }
}

/// A server that gives one answer, and then the first line of what it was asked.
fn neighbour(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let n = socket.read(&mut request).unwrap();
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..n]).lines().next().unwrap_or_default().to_owned()
    });
    (address, asked)
}

#[tokio::test]
async fn what_a_neighbour_says_is_passed_on_if_it_is_json_and_nothing_else_is_followed() {
    for (answer, status, code) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]", 200, ""),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n<b>",
            502,
            "neighbour_away",
        ),
        (
            "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            502,
            "neighbour_away",
        ),
        (
            "HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            502,
            "neighbour_away",
        ),
    ] {
        let (address, asked) = neighbour(answer);
        let service = Service::beside(api::Neighbours {
            alertmanager: Some(address + "/"),
            ..api::Neighbours::default()
        });
        let found = service.get("/proxy/alerts").await;
        assert_eq!(found.status.as_u16(), status, "{found:?}");
        if !code.is_empty() {
            assert_eq!(found.code(), code);
        } else {
            assert_eq!(found.json(), json!([]));
        }
        assert_eq!(asked.join().unwrap(), "GET /api/v2/alerts HTTP/1.1");
    }
}
