//! What is in `monitoring/`, with real Prometheus and Alertmanager: every query is understood, finds
//! what it asks for in what the roles tell, and alerts find their way to the API.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::{Alertmanager, Prometheus, Servers};
use serde_json::{Value, json};

use super::program::{Role, World};
use super::support::{Amqp, runtime, until};

/// The folder, or a file in it.
fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring").join(name).canonicalize().unwrap()
}

/// A configuration of ours with other words in it, each of which must be there.
fn with(name: &str, words: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(monitoring(name)).unwrap();
    for (ours, other) in words {
        assert!(text.contains(ours), "{name} has no {ours}");
        text = text.replace(ours, other);
    }
    text
}

/// Runs a program on `input`; what it has said if it has failed, or said anything against it.
fn complaint(program: &str, args: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).current_dir(monitoring(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let fine = output.status.success() && (input.is_empty() || said.is_empty());
    (!fine).then_some(said)
}

#[test]
fn the_files_are_what_prometheus_and_alertmanager_expect_and_the_rules_do_what_they_should() {
    for (program, args) in [
        ("promtool", &["check", "config", "prometheus.yml"][..]),
        ("promtool", &["check", "rules", "rules.yml"]),
        ("promtool", &["test", "rules", "rules_test.yml"]),
        ("amtool", &["check-config", "alertmanager.yml"]),
    ] {
        assert_eq!(complaint(program, args, ""), None, "{program} {args:?}");
    }
    let (rules, tests) = (with("rules.yml", &[]), with("rules_test.yml", &[]));
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is not seen to fire");
    }
}

/// A Prometheus's answer to a query, which it must understand.
#[track_caller]
fn query(prometheus: &Prometheus, expr: &str) -> Vec<Value> {
    let ask = ureq::get(format!("{}/api/v1/query", prometheus.url())).query("query", expr);
    let mut answer = ask.config().http_status_as_error(false).build().call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["status"], "success", "{expr}: {answer}");
    answer["data"]["result"].as_array().unwrap().clone()
}

/// Whether it finds a number.
#[track_caller]
fn has_data(prometheus: &Prometheus, expr: &str) -> bool {
    query(prometheus, expr).iter().any(|found| found["value"][1] != "NaN")
}

/// The series that a rule's expression looks at.
fn selectors(expr: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        rest = &rest[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let labels = match after.strip_prefix('{') {
            Some(labels) => &after[..labels.find('}').unwrap() + 2],
            None => "",
        };
        rest = &after[labels.len()..];
        let prefixes = ["observatory_", "gateway_", "processor_", "process_", "rabbitmq_"];
        if name == "up" || prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            found.push(format!("{name}{labels}"));
        }
    }
    found
}

#[test]
fn a_rule_is_known_by_what_it_looks_at() {
    let expr = r#"sum by (job) (rate(observatory_a{q="b.up"}[5m])) > 0 and up == 0"#;
    assert_eq!(selectors(expr), [r#"observatory_a{q="b.up"}"#, "up"]);
}

/// The queries of the dashboard, with their panels; each has a unit, and our datasource.
fn panels() -> Vec<(String, String)> {
    let dashboard = with("grafana/dashboards/observatory.json", &[]);
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let sources = with("grafana/provisioning/datasources/prometheus.yml", &[]);
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().unwrap() {
            let uid = target["datasource"]["uid"].as_str().unwrap();
            assert!(sources.contains(&format!("uid: {uid}\n")), "{title} asks {uid}");
            let expr = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            queries.push((title.to_owned(), expr));
        }
    }
    queries
}

/// The expressions of the rules, all of which have been judged without an error.
fn judged(prometheus: &Prometheus) -> Vec<(String, String)> {
    until("every rule has been judged", || {
        let url = format!("{}/api/v1/rules", prometheus.url());
        let text = ureq::get(url).call().ok()?.body_mut().read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        let groups = answer["data"]["groups"].as_array()?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let rule = |rule: &Value| {
            assert_ne!(rule["health"], "err", "{rule}");
            let text = |key: &str| rule[key].as_str().unwrap().to_owned();
            (rule["health"] == "ok").then(|| (text("name"), text("query")))
        };
        let rules: Option<Vec<_>> = rules.map(rule).collect();
        rules.filter(|rules| !rules.is_empty())
    })
}

/// Jobs of which some fail.
fn load(gateway: &Role) {
    let job = |n: usize| {
        let simulate = json!({"delayMs": 100, "fail": n == 0});
        json!({"type": format!("type-{}", n % 2), "payload": {"simulate": simulate}})
    };
    assert_eq!(gateway.post(&(0..4).map(job).collect()).0, 202);
}

#[test]
fn every_query_is_understood_and_none_that_should_find_something_comes_back_empty() {
    let world = World::new("monitoring");
    let (pipeline, gateway) = (world.ready("pipeline"), world.ready("gateway"));
    let (mut worker, api) = (world.ready("worker"), world.ready("api"));
    let (prometheus, alertmanager) = (Prometheus::start(), Alertmanager::start());
    let broker = Servers::shared().broker_metrics().to_string();
    prometheus.load(&with(
        "prometheus.yml",
        &[
            ("localhost:3000", &gateway.address),
            ("localhost:8000", &worker.address),
            ("localhost:9100", &pipeline.address),
            ("localhost:8080", &api.address),
            ("localhost:15692", &broker),
            ("localhost:9090", &prometheus.address().to_string()),
            ("localhost:9093", &alertmanager.address().to_string()),
            ("15s", "1s"),
            ("rules.yml", monitoring("rules.yml").to_str().unwrap()),
        ],
    ));
    runtime().block_on(async {
        Amqp::connect(world.vhost.url()).await.publish("observatory.events", "no event").await;
    });
    until("all are scraped", || {
        load(&gateway);
        let up = query(&prometheus, "count(up == 1)");
        (up.first()?["value"][1] == "8").then_some(())
    });

    for role in [&pipeline, &gateway, &worker, &api] {
        let metrics = role.metrics();
        assert_eq!(complaint("promtool", &["check", "metrics"], &metrics), None, "{metrics}");
    }
    let letters = r#"observatory_dead_letters_total{reason="bad_json"} == 1"#;
    until("the dead letter is counted", || has_data(&prometheus, letters).then_some(()));

    let finds = |of: &str, expr: &str| {
        until(&format!("{of} finds something by {expr}"), || {
            let found = has_data(&prometheus, expr);
            if !found {
                load(&gateway);
            }
            found.then_some(())
        });
    };
    let (alerts, queries): (Vec<_>, Vec<_>) =
        panels().into_iter().partition(|(_, expr)| expr == "ALERTS");
    for (title, expr) in &queries {
        finds(title, expr);
    }
    for (name, expr) in judged(&prometheus) {
        for selector in selectors(&expr) {
            finds(&name, &format!("count({selector})"));
        }
    }

    worker.kill();
    for (title, expr) in alerts {
        until(&title, || {
            let alerts = query(&prometheus, &expr);
            let down = |alert: &Value| {
                alert["metric"]["alertname"] == "ServiceDown"
                    && alert["metric"]["service"] == "worker"
            };
            alerts.iter().any(down).then_some(())
        });
    }
}

#[test]
fn an_alert_goes_through_alertmanager_to_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let api = Role::alone(folder.path(), &[]);
    let metrics = api.metrics();
    assert_eq!(complaint("promtool", &["check", "metrics"], &metrics), None, "{metrics}");

    let alertmanager = Alertmanager::start();
    alertmanager.load(&with(
        "alertmanager.yml",
        &[("localhost:8080", &api.address), ("group_wait: 10s", "group_wait: 0s")],
    ));
    let labels = json!({"alertname": "PipelineLag", "severity": "critical", "service": "pipeline"});
    let alerts = json!([{ "labels": labels, "annotations": {"summary": "late"} }]);
    let sent = ureq::post(format!("{}/api/v2/alerts", alertmanager.url()))
        .header("content-type", "application/json")
        .send(alerts.to_string());
    assert!(sent.is_ok(), "{sent:?}");
    let taken =
        r#"observatory_http_requests_total{method="POST",route="/webhook/alerts",status="200"}"#;
    until("the API has taken it", || (api.metric(taken)? >= 1.0).then_some(()));
}
