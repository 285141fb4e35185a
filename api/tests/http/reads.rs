//! What is read: that it is true at its moment, and how it looks.

use crate::support::{Service, send};
use api::{Hosts, Readiness};
use axum::http::Method;
use serde_json::{Value, json};

/// Submits a job, and takes it to `event_type` if that is not its creation.
pub(crate) async fn job(service: &Service, job: Value, event_type: &str) -> String {
    let accepted = service.post("/jobs", &job.to_string()).await.with(202);
    let id = accepted["jobId"].as_str().unwrap().to_owned();
    if event_type != "job.created" {
        let mut payload = job;
        payload["id"] = json!(id);
        payload["status"] = json!("?");
        payload["createdAt"] = json!("2026-11-21T10:00:00Z");
        let event = json!({
            "contractVersion": "1.1.0", "eventType": event_type, "eventId": id,
            "occurredAt": "2026-11-21T10:00:01Z",
            "producer": { "service": "s", "instanceId": "i", "version": "1" },
            "correlationId": id, "idempotencyKey": "k", "payload": payload,
        });
        service.post("/events", &event.to_string()).await.with(202);
    }
    id
}

/// Three pending jobs, two completed, one failed; in two queues.
pub(crate) async fn six_jobs(service: &Service) {
    for (job_type, queue, event_type) in [
        ("a", "fast", "job.created"),
        ("a", "slow", "job.created"),
        ("b", "slow", "job.created"),
        ("a", "fast", "job.completed"),
        ("b", "fast", "job.completed"),
        ("b", "fast", "job.failed"),
    ] {
        job(service, json!({ "type": job_type, "queue": queue }), event_type).await;
    }
}

#[tokio::test]
async fn an_empty_service_answers_with_nothing_and_no_time() {
    let service = Service::start();
    let snapshot = service.get("/api/v1/snapshot").await.with(200);
    assert_eq!((&snapshot["asOf"], &snapshot["jobs"]), (&Value::Null, &json!(0)));
    let list = service.get("/api/v1/jobs").await.with(200);
    assert_eq!(list, json!({ "asOf": null, "total": 0, "items": [], "nextCursor": null }));
    assert_eq!(service.get("/jobs/recent").await.with(200), json!([]));
    let stats = service.get("/stats").await.with(200);
    assert_eq!(
        stats,
        json!({ "asOf": null, "totalJobs": 0, "completedJobs": 0, "failedJobs": 0, "lastEventTime": "" })
    );
}

#[tokio::test]
async fn the_counts_the_list_and_the_snapshot_agree() {
    let service = Service::start();
    six_jobs(&service).await;
    let snapshot = service.get("/api/v1/snapshot").await.with(200);
    let list = service.get("/api/v1/jobs").await.with(200);
    let counts = service.get("/api/v1/counts").await.with(200);

    let sum: u64 =
        snapshot["counts"].as_array().unwrap().iter().filter_map(|row| row["jobs"].as_u64()).sum();
    assert_eq!((&snapshot["jobs"], sum), (&json!(6), 6));
    assert_eq!((&list["total"], list["items"].as_array().unwrap().len()), (&json!(6), 6));
    assert_eq!(counts["jobs"], 6);
    // Nine events, one a tick.
    assert_eq!(snapshot["asOf"], "2026-11-21T10:00:00.000009Z");
    assert_eq!((&list["asOf"], &counts["asOf"]), (&snapshot["asOf"], &snapshot["asOf"]));
}

#[tokio::test]
async fn a_list_has_the_jobs_of_a_state_and_a_type_and_says_how_many_there_are() {
    let service = Service::start();
    six_jobs(&service).await;
    let total = async |query: &str| {
        let list = service.get(&format!("/api/v1/jobs?{query}")).await.with(200);
        (list["total"].as_u64().unwrap(), list["items"].as_array().unwrap().len())
    };
    assert_eq!(total("state=PENDING").await, (3, 3));
    assert_eq!(total("type=b").await, (3, 3));
    assert_eq!(total("state=COMPLETED&type=b").await, (1, 1));
    assert_eq!(total("state=ABANDONED").await, (0, 0));
    assert_eq!(total("limit=2").await, (6, 2));
    assert_eq!(total("state=&type=").await, (6, 6));
}

#[tokio::test]
async fn counts_are_sums_over_the_cube() {
    let service = Service::start();
    six_jobs(&service).await;
    let counts = async |query: &str| {
        service.get(&format!("/api/v1/counts?{query}")).await.with(200)["counts"].clone()
    };
    assert_eq!(
        counts("by=state").await,
        json!([
            { "state": "COMPLETED", "jobs": 2 },
            { "state": "FAILED", "jobs": 1 },
            { "state": "PENDING", "jobs": 3 },
        ])
    );
    assert_eq!(
        counts("by=queue,type&state=PENDING").await,
        json!([
            { "queue": "fast", "type": "a", "jobs": 1 },
            { "queue": "slow", "type": "a", "jobs": 1 },
            { "queue": "slow", "type": "b", "jobs": 1 },
        ])
    );
    assert_eq!(counts("by=worker&queue=none").await, json!([]));
}

#[tokio::test]
async fn counts_can_be_asked_in_the_language_of_lists() {
    let service = Service::start();
    six_jobs(&service).await;
    let counts = service.get("/api/v1/counts?q=state:pending,failed&type=b").await.with(200);
    assert_eq!(counts["jobs"], 2);
    assert_eq!(
        counts["counts"],
        json!([{ "state": "FAILED", "jobs": 1 }, { "state": "PENDING", "jobs": 1 }])
    );
}

#[tokio::test]
async fn latency_and_throughput_are_those_of_the_snapshot() {
    let service = Service::start();
    six_jobs(&service).await;
    let snapshot = service.get("/api/v1/snapshot").await.with(200);
    for view in ["latency", "throughput"] {
        let answer = service.get(&format!("/api/v1/{view}")).await.with(200);
        assert_eq!((&answer[view], &answer["asOf"]), (&snapshot[view], &snapshot["asOf"]));
        assert!(!answer[view].as_array().unwrap().is_empty());
        let only = service.get(&format!("/api/v1/{view}?type=b&window=5m")).await.with(200);
        let rows = only[view].as_array().unwrap();
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|row| row["type"] == "b" && row["window"] == "5m"), "{rows:?}");
    }
    let finished = service.get("/api/v1/throughput?type=b&window=1h").await.with(200);
    let row = &finished["throughput"][0];
    assert_eq!((&row["finished"], &row["failed"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn the_history_has_every_minute_of_its_range() {
    let service = Service::start();
    six_jobs(&service).await;
    let range = "from=2026-11-21T09:58:30Z&to=2026-11-21T10:01:00Z";
    let history = service.get(&format!("/api/v1/history?{range}")).await.with(200);
    assert_eq!(
        (&history["from"], &history["step"]),
        (&json!("2026-11-21T09:58:00.000000Z"), &json!(60))
    );
    let points = history["series"][0]["points"].as_array().unwrap();
    let column = |name: &str| points.iter().map(|point| point[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("created"), [0, 0, 6]);
    assert_eq!(column("finished"), [0, 0, 3]);
    assert_eq!(column("failed"), [0, 0, 1]);
    assert_eq!(points[0]["runMean"], Value::Null);

    let by_type = service.get(&format!("/api/v1/history?{range}&by=type")).await.with(200);
    let types: Vec<_> =
        by_type["series"].as_array().unwrap().iter().map(|series| series["type"].clone()).collect();
    assert_eq!(types, [json!(null), json!("b"), json!("a")]);
    assert_eq!(by_type["series"][0], history["series"][0]);
    let only = service.get(&format!("/api/v1/history?{range}&type=b")).await.with(200);
    assert_eq!(only["series"][0]["points"][2]["created"], 3);
}

#[tokio::test]
async fn the_dataflow_is_shown_with_what_flows_in_it() {
    let service = Service::start();
    six_jobs(&service).await;
    let dataflow = service.get("/api/v1/dataflow").await.with(200);
    assert_eq!(
        (&dataflow["workers"], &dataflow["asOf"]),
        (&json!(1), &json!("2026-11-21T10:00:00.000009Z"))
    );
    let operators = dataflow["operators"].as_array().unwrap();
    let named = |name: &str| operators.iter().find(|operator| operator["name"] == name).unwrap();
    let seal = named("Seal");
    assert!(seal["activations"].as_u64().unwrap() > 0, "{seal}");
    assert!(seal["busySeconds"].as_f64().unwrap() > 0.0, "{seal}");
    assert!(operators.iter().any(|operator| operator["records"].as_u64().unwrap() > 0));
    let ids: Vec<_> = operators.iter().map(|operator| &operator["id"]).collect();
    for operator in operators {
        assert!(operator["scope"].is_null() || ids.contains(&&operator["scope"]), "{operator}");
    }
    let edges = dataflow["edges"].as_array().unwrap();
    assert!(edges.iter().all(|edge| ids.contains(&&edge["from"]) && ids.contains(&&edge["to"])));
    let into = edges.iter().filter(|edge| edge["to"] == seal["id"]);
    assert!(into.map(|edge| edge["records"].as_u64().unwrap()).sum::<u64>() >= 9);
}

#[tokio::test]
async fn alerts_dead_letters_and_rules_are_there_when_there_are_none() {
    let service = Service::start();
    six_jobs(&service).await;
    let alerts = service.get("/api/v1/alerts").await.with(200);
    assert_eq!(alerts, json!({ "asOf": "2026-11-21T10:00:00.000009Z", "alerts": [] }));
    let resolved = service.get("/api/v1/alerts?state=resolved").await.with(200);
    assert_eq!(resolved, alerts);
    let letters = service.get("/api/v1/deadletters").await.with(200);
    assert_eq!((&letters["total"], &letters["reasons"]), (&json!(0), &json!([])));
    let rules = service.get("/api/v1/rules").await.with(200);
    assert_eq!((&rules["rules"], &rules["appliedAt"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_job_is_told_with_its_attempts_timeline_and_payload() {
    let service = Service::start();
    let id = job(&service, json!({ "type": "a", "payload": { "to": "x" } }), "job.failed").await;
    let job = service.get(&format!("/api/v1/jobs/{id}")).await.with(200);
    assert_eq!(job["asOf"], "2026-11-21T10:00:00.000002Z");
    assert_eq!((&job["state"], &job["status"]), (&json!("FAILED"), &json!("FAILED")));
    assert_eq!(job["payload"], json!({ "to": "x" }));
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["attempts"][0]["finishedAt"], "2026-11-21T10:00:01.000000Z");
    let kinds: Vec<_> = job["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["eventType"].clone())
        .collect();
    assert_eq!(kinds, ["job.created", "job.failed"]);
    // Ids are written in lower case and read in any.
    service.get(&format!("/api/v1/jobs/{}", id.to_uppercase())).await.with(200);
}

#[tokio::test]
async fn the_paths_of_the_predecessor_answer() {
    let service = Service::start();
    six_jobs(&service).await;
    assert_eq!(
        service.get("/stats").await.with(200),
        json!({
            "asOf": "2026-11-21T10:00:00.000009Z", "totalJobs": 6, "completedJobs": 2, "failedJobs": 1,
            "lastEventTime": "2026-11-21T10:00:01.000000Z",
        })
    );
    let recent = service.get("/jobs/recent?limit=2").await.with(200);
    assert_eq!(recent.as_array().unwrap().len(), 2);
    let keys: Vec<_> = recent[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["createdAt", "id", "status", "type"]);
    assert_eq!(service.get("/health").await.with(200)["status"], "ok");
}

#[tokio::test]
async fn until_it_is_ready_it_says_how_far_it_is() {
    let service = Service::start();
    service.becomes(Readiness::Starting { recovered: 120, of: 3000 });
    for path in ["/readyz", "/api/v1/snapshot", "/api/v1/counts", "/stats"] {
        let answer = service.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "starting"), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("120 of 3000"), "{path}");
    }
    let answer = service.post("/jobs", r#"{"type":"a"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(service.get("/livez").await.status.as_u16(), 200);
    assert_eq!(service.get("/").await.status.as_u16(), 200);

    service.becomes(Readiness::Ready);
    assert_eq!(service.get("/readyz").await.text, "ok\n");

    service.becomes(Readiness::Draining);
    assert_eq!(service.get("/readyz").await.code(), "draining");
    assert_eq!(service.post("/jobs", r#"{"type":"a"}"#).await.code(), "draining");
    service.get("/api/v1/snapshot").await.with(200);
}

#[tokio::test]
async fn metrics_say_how_many_jobs_there_are_and_never_which() {
    let service = Service::start();
    six_jobs(&service).await;
    let id = service.get("/jobs/recent").await.json()[0]["id"].as_str().unwrap().to_owned();
    service.get(&format!("/api/v1/jobs/{id}")).await;
    service.get("/nowhere").await;
    let answer = service.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"observatory_jobs{state="PENDING"} 3"#,
        r#"observatory_jobs{state="COMPLETED"} 2"#,
        r#"observatory_jobs{state="ABANDONED"} 0"#,
        r#"observatory_http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="200"} 1"#,
        r#"observatory_http_requests_total{method="GET",route="other",status="404"} 1"#,
    ] {
        assert!(answer.text.contains(line), "{line} is not in {}", answer.text);
    }
    assert!(!answer.text.contains(&id));
}

#[tokio::test]
async fn a_head_is_a_get_without_the_body() {
    let service = Service::start();
    for path in
        ["/", "/ui/jobs", "/page/page.js", "/api/v1/snapshot", "/health", "/livez", "/metrics"]
    {
        let get = service.get(path).await;
        let head = send(service.router(), Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn the_page_runs_our_own_script_and_no_other() {
    let service = Service::start();
    let page = service.get("/").await;
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(!page.header("content-security-policy").contains("unsafe"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let inline = ["<script>", "<style", "style=", "onclick", "onload", "://", "javascript:"];
    for inline in inline {
        assert!(!page.text.contains(inline), "{inline}");
    }
    for (path, media_type) in [
        ("/page/page.js", "text/javascript"),
        ("/page/page.css", "text/css"),
        ("/page/page.svg", "image/svg+xml"),
    ] {
        assert!(page.text.contains(path), "{path}");
        assert!(service.get(path).await.header("content-type").starts_with(media_type), "{path}");
    }
    assert_eq!(service.get("/page/none.js").await.code(), "not_found");
}

#[tokio::test]
async fn a_file_of_the_page_is_not_sent_again_to_who_has_it() {
    let service = Service::start();
    let tag = service.get("/page/page.js").await.header("etag").to_owned();
    let ask = async |path| {
        send(service.router(), Method::GET, path, &[("if-none-match", tag.as_str())], "").await
    };
    let again = ask("/page/page.js").await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
    assert_eq!(ask("/page/page.css").await.status.as_u16(), 200);
}

#[tokio::test]
async fn without_scripts_there_are_tables_whose_texts_are_no_markup() {
    let service = Service::start();
    let job = r#"[{"type":"<script>a</script>","queue":"\"'&"},{"type":"email.send"}]"#;
    assert_eq!(service.post("/jobs", job).await.status.as_u16(), 202);

    let overview = service.get("/").await.text;
    assert!(overview.contains(r#"<a href="/ui/jobs?state=PENDING">2</a>"#), "{overview}");
    let list = service.get("/ui/jobs?type=%3Cscript%3Ea%3C%2Fscript%3E").await.text;
    assert!(list.contains("Matching jobs: 1, as of 2026"), "{list}");
    assert!(list.contains("<td>&lt;script&gt;a&lt;/script&gt;</td>"), "{list}");
    assert!(!list.contains("<script>a"), "{list}");
    let refused = service.get("/ui/jobs?q=stat:x").await.text;
    assert!(refused.contains("there is no `stat:`"), "{refused}");
}

#[tokio::test]
async fn a_demo_says_so_on_the_page() {
    assert!(Service::with(true, Hosts::Any).get("/").await.text.contains(">DEMO<"));
    assert!(!Service::start().get("/").await.text.contains("DEMO"));
}
