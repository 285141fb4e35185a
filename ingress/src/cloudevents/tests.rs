use contracts::{Kind, decode};

use super::*;

/// As in the file of a user.
const MAPPING: &str = "
events:
  - type: com.github.pull_request.opened
    event: job.created
    id: /subject
    jobType: pull-request
    queue: /comexampleextension1
  - type: com.example.*
    event: job.executed
    id: /id
    jobType: /type
    worker: /source
    attempt: /comexampleothervalue
  - type: com.example.report.failed
    event: job.failed
    id: /data/report
    jobType: report
    time: /data/at
    error: /data/why
";

fn mapping() -> Mapping {
    Mapping::parse(MAPPING).unwrap()
}

/// The specification's own examples (CloudEvents 1.0.2, spec.md, json-format.md).
const XML: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.github.pull_request.opened",
    "source" : "https://github.com/cloudevents/spec/pull",
    "subject" : "123",
    "id" : "A234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "datacontenttype" : "text/xml",
    "data" : "<much wow=\"xml\"/>"
}"#;

const JSON: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "subject": null,
    "id" : "C234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "datacontenttype" : "application/json",
    "data" : { "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true }
}"#;

const BASE64: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "id" : "D234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "datacontenttype" : "application/vnd.apache.thrift.binary",
    "data_base64" : "dGhyaWZ0"
}"#;

fn read(body: &str) -> Vec<u8> {
    structured(body.as_bytes(), &mapping()).unwrap_or_else(|why| panic!("{why}"))
}

fn refused(body: &Value) -> (Reason, String) {
    let refused = structured(body.to_string().as_bytes(), &mapping());
    let rejection = match refused {
        // What only the contract bounds is found when the envelope is decoded.
        Ok(envelope) => decode(&envelope).unwrap_err(),
        Err(rejection) => rejection,
    };
    (rejection.reason, rejection.pointer)
}

#[test]
fn the_examples_of_the_specification_are_read() {
    let envelope = read(XML);
    let event = decode(&envelope).unwrap();
    assert_eq!((event.kind, &*event.job.job_type), (Kind::Created, "pull-request"));
    assert_eq!(event.job.id, job_id("123"));
    assert_eq!(event.job.queue.as_deref(), Some("value"));
    assert_eq!(event.occurred_at.to_string(), "2018-04-05T17:31:00.000000Z");

    let envelope = read(JSON);
    let event = decode(&envelope).unwrap();
    assert_eq!((event.kind, &*event.job.job_type), (Kind::Executed, "com.example.someevent"));
    assert_eq!((event.job.attempt, event.job.worker.as_deref()), (5, Some("/mycontext")));

    let envelope = read(BASE64);
    let event: Value = serde_json::from_slice(&envelope).unwrap();
    assert_eq!(event["origin"]["event"]["data_base64"], "dGhyaWZ0", "it is kept as it came");
}

/// An event `job.completed` of our own, in a CloudEvent.
fn own() -> Value {
    json!({
        "specversion": "1.0", "type": "job.completed", "source": "/workers/1", "id": "1",
        "time": "2026-11-21T11:00:00.5+01:00",
        "data": {
            "id": "01936a3e-0000-7000-8000-000000000003", "type": "email.send", "queue": "mail",
            "worker": "w-1", "attempt": 2, "createdAt": "2026-11-21T09:59:58Z",
            "metadata": { "tenant": "a" },
        },
    })
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

#[test]
fn an_event_of_our_own_needs_no_mapping() {
    let envelope = structured(own().to_string().as_bytes(), &Mapping::default()).unwrap();
    let event = decode(&envelope).unwrap();
    assert_eq!(event.kind, Kind::Completed);
    assert_eq!(event.job.id.to_string(), "01936a3e-0000-7000-8000-000000000003");
    assert_eq!((&*event.job.job_type, event.job.attempt), ("email.send", 2));
    assert_eq!(event.job.created_at.to_string(), "2026-11-21T09:59:58.000000Z");
    assert_eq!(event.occurred_at.to_string(), "2026-11-21T10:00:00.500000Z");
    assert_eq!(event.job.metadata, Some(r#"{"tenant":"a"}"#));

    let mut subject = with(own(), "subject", "order-17".into());
    subject["data"] = json!({ "type": "email.send" });
    let envelope = structured(subject.to_string().as_bytes(), &Mapping::default()).unwrap();
    assert_eq!(decode(&envelope).unwrap().job.id, job_id("order-17"));
}

#[test]
fn an_event_is_known_by_its_source_and_its_id() {
    let id = |event: Value| {
        let envelope = structured(event.to_string().as_bytes(), &mapping()).unwrap();
        decode(&envelope).unwrap().event_id
    };
    let first = id(own());
    assert_eq!(id(with(own(), "time", "2026-11-21T11:00:00Z".into())), first);
    assert_ne!(id(with(own(), "id", "2".into())), first);
    assert_ne!(id(with(own(), "source", "/workers/2".into())), first);
}

#[test]
fn a_mapping_says_where_everything_stands() {
    let mut event = with(own(), "type", "com.example.report.failed".into());
    event["data"] = json!({ "report": 17, "at": "2026-11-21T10:00:01Z", "why": "no paper" });
    let envelope = structured(event.to_string().as_bytes(), &mapping()).unwrap();
    let event = decode(&envelope).unwrap();
    assert_eq!((event.kind, event.job.id), (Kind::Failed, job_id("17")));
    assert_eq!(event.occurred_at.to_string(), "2026-11-21T10:00:01.000000Z");
    assert_eq!(event.job.error.unwrap().message, "no paper");
}

#[test]
fn what_breaks_a_rule_of_the_specification_is_refused_with_its_place() {
    for (name, value, reason) in [
        ("specversion", json!("0.3"), Reason::Schema),
        ("specversion", json!(1.0), Reason::Schema),
        ("id", json!(""), Reason::Schema),
        ("id", json!(7), Reason::Schema),
        ("source", json!(null), Reason::Schema),
        ("type", json!(null), Reason::Schema),
        ("subject", json!(""), Reason::Schema),
        ("time", json!("yesterday"), Reason::BadTime),
        ("time", json!(null), Reason::Schema),
        ("camelCase", json!("x"), Reason::Schema),
        ("with-hyphen", json!("x"), Reason::Schema),
        ("extension", json!({ "not": "allowed" }), Reason::Schema),
        ("data_base64", json!("AA=="), Reason::Schema),
    ] {
        let told = refused(&with(own(), name, value));
        assert_eq!(told, (reason, format!("/{name}")));
    }
    let mut both = own();
    both["data"] = json!(null);
    assert_eq!(refused(&with(both, "data_base64", "!".into())).1, "/data_base64");
}

#[test]
fn what_cannot_be_mapped_is_refused_with_the_reason() {
    let unknown = with(own(), "type", "org.example.unheard".into());
    assert_eq!(refused(&unknown), (Reason::UnknownType, "/type".to_owned()));
    assert_eq!(refused(&with(own(), "data", json!({}))), (Reason::Schema, "/data/id".to_owned()));
    let untyped = json!({ "id": "01936a3e-0000-7000-8000-000000000003" });
    assert_eq!(refused(&with(own(), "data", untyped)), (Reason::Schema, "/data/type".to_owned()));
    let mut attempt = own();
    attempt["data"]["attempt"] = json!(0);
    assert_eq!(refused(&attempt), (Reason::Schema, "/payload/attempt".to_owned()));
    let twice = br#"{"specversion":"1.0","specversion":"1.0"}"#;
    assert_eq!(structured(twice, &mapping()).unwrap_err().reason, Reason::BadJson);
}

fn attributes(event: &Value) -> Vec<(String, String)> {
    let event = event.as_object().unwrap().iter().filter(|(name, _)| *name != "data");
    event.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn in_binary_mode_an_event_says_the_same() {
    let data = own()["data"].to_string();
    let read = |content_type| {
        binary(attributes(&own()), content_type, data.as_bytes(), &Mapping::default()).unwrap()
    };
    let structured = structured(own().to_string().as_bytes(), &Mapping::default()).unwrap();
    assert_eq!(read(None), structured);
    let envelope = read(Some("application/json; charset=utf-8"));
    let (one, other) = (decode(&envelope).unwrap(), decode(&structured).unwrap());
    assert_eq!((one.kind, one.event_id, one.job), (other.kind, other.event_id, other.job));
}

#[test]
fn in_binary_mode_data_that_is_no_json_is_kept() {
    let mut event: Value = serde_json::from_str(BASE64).unwrap();
    event["comexampleothervalue"] = "5".into();
    let attributes: Vec<_> =
        attributes(&event).into_iter().filter(|(name, _)| !name.starts_with("data")).collect();
    let read = |data: &[u8]| {
        let envelope =
            binary(attributes.clone(), Some("application/thrift"), data, &mapping()).unwrap();
        assert_eq!(decode(&envelope).unwrap().job.attempt, 5, "a header has numbers as texts");
        serde_json::from_slice::<Value>(&envelope).unwrap()["origin"]["event"].clone()
    };
    assert_eq!(read(b"\xFF\x00")["data_base64"], "/wA=");
    assert_eq!(read(b"plain")["data"], "plain");
    assert!(read(b"").get("data").is_none());
    let bad = binary(attributes.clone(), Some("application/json"), b"{", &mapping()).unwrap_err();
    assert_eq!((bad.reason, &*bad.pointer), (Reason::BadJson, "/data"));
    let twice = attributes.iter().cloned().chain([("id".to_owned(), "x".to_owned())]);
    assert_eq!(binary(twice, None, b"", &mapping()).unwrap_err().pointer, "/id");
}

#[test]
fn a_content_type_says_that_a_body_is_an_event() {
    for (content_type, is) in [
        ("application/cloudevents+json", true),
        ("Application/CloudEvents+JSON; charset=UTF-8", true),
        ("application/cloudevents", true),
        ("application/json", false),
        ("", false),
    ] {
        assert_eq!(is_structured(content_type), is, "{content_type}");
    }
}

#[test]
fn a_mapping_that_says_nothing_clear_is_refused() {
    let rule =
        |name| format!("events: [{{type: {name}, event: job.created, id: /id, jobType: a}}]");
    assert!(Mapping::parse(&rule("a.*")).is_ok());
    assert!(matches!(Mapping::parse(&rule("'*.a'")), Err(MappingError::Star(_))));
    let twice = "events: [&r {type: a, event: job.created, id: /id, jobType: a}, *r]";
    assert!(matches!(Mapping::parse(twice), Err(MappingError::Twice(_))));
    for bad in [
        "events: [{type: a}]",
        "event: []",
        "events: [{type: a, event: job.exploded, id: /id, jobType: a}]",
    ] {
        assert!(matches!(Mapping::parse(bad), Err(MappingError::Shape(_))), "{bad}");
    }
}
