//! What people and other systems write: rules, what they say of alerts, alerts of others.

use serde_json::{Value, json};

use super::{Known, Service, rfc3339, seconds, until};

pub(super) fn rules_that_are_put_are_judged_and_kept(service: &Service) {
    let before = service.get("/api/v1/rules/history")["items"].as_array().unwrap().len();
    let rule = |expr: &str| {
        format!(
            "groups: [{{ name: suite, rules: [{{ alert: Suite, expr: '{expr}', \
             annotations: {{ summary: '{{{{ $value }}}} of {{{{ $labels.type }}}}' }} }}] }}]"
        )
    };
    let good = rule("jobs by (type) >= 0 or finished[1h] by (type) >= 0");
    let (status, answer) = service.put("/api/v1/rules", &good);
    assert_eq!((status, &answer["yaml"]), (200, &json!(good)), "{answer}");
    let alert = until("the new rule is judged over what is there", || {
        let alerts = service.get("/api/v1/alerts");
        let found = alerts["alerts"].as_array().unwrap().iter().find(|it| it["alert"] == "Suite");
        found.cloned()
    });
    let said = alert["annotations"]["summary"].as_str().unwrap();
    assert!(said.ends_with(alert["labels"]["type"].as_str().unwrap()), "{alert}");
    assert!(alert["expr"].as_str().unwrap().starts_with("jobs by (type)"), "{alert}");

    let (status, problem) = service.put("/api/v1/rules", &rule("yobs > 0"));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_rules")), "{problem}");
    // The same once more is nothing new.
    assert_eq!(service.put("/api/v1/rules", &good).0, 200);
    let history = service.get("/api/v1/rules/history");
    let given = history["items"].as_array().unwrap();
    assert_eq!((given.len(), &given[0]["yaml"]), (before + 1, &json!(good)), "{history}");
    assert_eq!(given[0]["appliedBy"], "127.0.0.1");
}

/// Of the alerts that are there since the rules were put.
pub(super) fn notes_stand_until_they_are_ended_and_are_kept(service: &Service) {
    let alerts = service.get("/api/v1/alerts")["alerts"].clone();
    let [one, other, ..] = &alerts.as_array().unwrap()[..] else { panic!("{alerts}") };
    let add = |note: Value| service.post("/api/v1/notes", &note.to_string());
    let (status, seen) = add(json!({
        "kind": "acknowledgement", "alert": "Suite", "labels": one["labels"], "comment": "mine",
    }));
    assert_eq!((status, &seen["createdBy"]), (201, &json!("127.0.0.1")), "{seen}");
    assert_eq!(seen["activeAt"], one["activeAt"]);
    assert_eq!(seen["alerts"], json!([{ "alert": "Suite", "labels": one["labels"] }]));
    let none = json!({ "kind": "acknowledgement", "alert": "Suite", "labels": { "type": "none" } });
    assert_eq!(add(none).0, 404);

    let ends_at = rfc3339(seconds() + 3_600);
    let of = json!([{ "name": "type", "value": other["labels"]["type"] }]);
    let (status, quiet) =
        add(json!({ "kind": "silence", "matchers": of, "endsAt": ends_at, "comment": "night" }));
    assert_eq!((status, &quiet["endsAt"]), (201, &json!(ends_at)), "{quiet}");
    assert_eq!(quiet["alerts"][0]["labels"], other["labels"]);
    let all = json!([{ "name": "type", "value": ".*", "isRegex": true }]);
    let (status, problem) = add(json!({ "kind": "silence", "matchers": all, "endsAt": ends_at }));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_note")), "{problem}");
    let past = json!({ "kind": "silence", "matchers": of, "endsAt": "2026-01-01T00:00:00Z" });
    assert_eq!(add(past).0, 400);

    let standing = service.get("/api/v1/notes")["items"].clone();
    let ids: Vec<_> = standing.as_array().unwrap().iter().map(|note| &note["id"]).collect();
    assert_eq!(ids, [&quiet["id"], &seen["id"]], "the newest first");
    for note in [&quiet, &seen] {
        let path = format!("/api/v1/notes/{}", note["id"].as_str().unwrap());
        assert_eq!(service.delete(&path).0, 204);
        assert_eq!(service.delete(&path).0, 404, "it is over");
    }
    assert_eq!(service.delete("/api/v1/notes/7").0, 400);
    assert_eq!(service.get("/api/v1/notes")["items"], json!([]));
    let kept = service.get("/api/v1/notes?all=true&limit=5")["items"].clone();
    let ended: Vec<_> = kept.as_array().unwrap().iter().map(|note| &note["endedBy"]).collect();
    assert_eq!(ended, ["127.0.0.1"; 2], "{kept}");
}

pub(super) fn alerts_of_others_are_shown_until_they_resolve(service: &Service) {
    let alert = |status: &str, url: &str| {
        json!({
            "status": status, "labels": { "alertname": "DiskFull" },
            "annotations": { "summary": "90 %" }, "startsAt": "2026-11-21T10:00:00.123456789+01:00",
            "endsAt": if status == "resolved" { "2026-11-21T10:00:00Z" } else { "0001-01-01T00:00:00Z" },
            "generatorURL": url, "fingerprint": "d15c",
        })
    };
    let send = |alerts: &[Value]| {
        let sent = json!({ "version": "4", "alerts": alerts });
        service.post("/webhook/alerts", &sent.to_string())
    };
    // What we have sent ourselves comes back, and is shown already.
    let ours = alert("firing", "http://127.0.0.1:8080/ui/jobs?state=FAILED");
    let theirs = alert("firing", "http://prometheus:9090/graph?g0.expr=up");
    let (status, answer) = send(&[ours, theirs]);
    assert_eq!((status, &answer), (200, &json!({ "received": 2, "shown": 1 })));
    let shown = service.get("/api/v1/alerts/received")["items"].clone();
    let one = &shown.as_array().unwrap()[..];
    let [one] = one else { panic!("{shown}") };
    assert_eq!((&one["status"], &one["endsAt"]), (&json!("firing"), &Value::Null), "{one}");
    assert_eq!(one["startsAt"], "2026-11-21T09:00:00.123456Z");
    assert_eq!(send(&[alert("resolved", "")]).0, 200);
    let shown = service.get("/api/v1/alerts/received")["items"].clone();
    assert_eq!((&shown[0]["status"], &shown[1]), (&json!("resolved"), &Value::Null), "{shown}");
    assert_eq!(service.post("/webhook/alerts", "{}").0, 400);
    // However many there are, the newest are kept.
    let many = |n: usize| {
        let mut alert = alert("firing", "");
        alert["fingerprint"] = json!(format!("many-{n}"));
        alert
    };
    assert_eq!(send(&(0..600).map(many).collect::<Vec<_>>()).0, 200);
    assert_eq!(send(&(600..1_100).map(many).collect::<Vec<_>>()).0, 200);
    let kept = service.get("/api/v1/alerts/received")["items"].clone();
    let kept = kept.as_array().unwrap();
    assert_eq!(kept.len(), 1_000);
    assert!(kept.iter().all(|alert| alert["fingerprint"] != "d15c"));
}

pub(super) fn rules_are_tried_on_what_was_archived(service: &Service, known: &Known) {
    let tried = |expr: &str, query: &str| {
        let yaml = format!("groups: [{{ name: a, rules: [{{ alert: Tried, expr: '{expr}' }}] }}]");
        service.post(&format!("/api/v1/rules/test{query}"), &yaml)
    };
    let query = format!("?from={}&to={}", rfc3339(known.begin), rfc3339(known.begin + 120));
    let (status, tested) = tried("failed[1h] >= 24", &query);
    assert_eq!(status, 200, "{tested}");
    let n_events: usize = known.jobs.iter().map(|job| known.events(job).len()).sum();
    assert_eq!(tested["events"], n_events);
    let [episode] = &tested["episodes"].as_array().unwrap()[..] else { panic!("{tested}") };
    assert_eq!((&episode["value"], &episode["jobs"]["n"]), (&json!(24.0), &json!(24)));
    // The rules in force are about every type.
    assert!(tested["inForce"].as_array().unwrap().len() >= 3, "{tested}");
    let (_, none) = tried("failed[1h] >= 25", &query);
    assert_eq!(none["episodes"], json!([]));
    assert_eq!(tried("yobs > 0", "").1["code"], "bad_rules");
    let backwards = format!("?from={}&to={}", rfc3339(known.begin + 1), rfc3339(known.begin));
    assert_eq!(tried("failed[1h] > 0", &backwards).1["code"], "bad_parameter");
    let years = "?from=2020-01-01T00:00:00Z";
    assert_eq!(tried("failed[1h] > 0", years).1["code"], "bad_parameter");
}
