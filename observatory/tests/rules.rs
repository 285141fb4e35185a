//! `observatory rules`, and rules that change while the program runs.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use contracts::State;
use contracts::answers::{EpisodeView, Rules, RulesHistory};
use contracts::snapshot::AlertState;
use serde_json::{Value, json};
use support::program::{arg, file, run};
use support::script::stream;
use support::service::Service;
use support::until;

/// A rule over the backlog, with a threshold.
fn rules(threshold: usize) -> String {
    format!(
        "groups:
  - name: bakery
    rules:
      - alert: Waiting
        expr: backlog by (type) > {threshold}
        for: 10s
        annotations: {{ summary: '{{{{ $labels.type }}}}: {{{{ $value }}}} wait' }}
"
    )
}

#[test]
fn a_rules_file_is_checked_and_a_fault_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good.yaml", rules(3));
    let bad = file(folder.path(), "bad.yaml", rules(3).replace("backlog", "blacklog"));
    let checked = run(&["rules", "check", arg(&good)]);
    assert_eq!(checked.printed(), format!("{}: 1 rule, all good\n", good.display()));
    let checked = run(&["rules", "check", arg(&good), arg(&bad)]);
    assert_eq!(checked.code, Some(3), "{checked:?}");
    let told =
        "groups[0].rules[0].expr: column 1: `blacklog` is not a measure; did you mean backlog?";
    assert!(checked.stdout.contains(told), "{checked:?}");
}

/// Bread waits from 00:01 on, cake from 00:05 to 00:20.
const SCRIPT: &str = "
    00:01    a  created
    00:01    b  created
    00:05    c  created  type=cake.order
    00:05    d  created  type=cake.order
    00:20    c  executed type=cake.order
    00:30    e  created
";

fn episodes(json: &Value) -> Vec<EpisodeView> {
    serde_json::from_value(json.clone()).unwrap()
}

#[test]
fn a_back_test_shows_each_episode_with_its_value_and_the_jobs_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    // In no order: what would have fired does not depend on how it was recorded.
    let mut lines: Vec<String> = stream(SCRIPT).lines().map(str::to_owned).collect();
    lines.reverse();
    let events = file(folder.path(), "events.jsonl", lines.join("\n"));
    let rules = file(folder.path(), "rules.yaml", rules(1));
    let args = ["rules", "test", arg(&rules), "--events", arg(&events)];
    let printed = run(&[&args[..], &["--output", "json"]].concat()).printed();
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["events"], 6);
    let [bread, cake] = &episodes(&report["episodes"])[..] else { panic!("{printed}") };

    assert_eq!(bread.labels["type"], "bread.bake");
    assert_eq!(bread.fired_at.unwrap().0 - bread.active_at.0, 10_000_000);
    assert_eq!((bread.value, bread.ended_at), (2.0, None));
    assert_eq!(bread.annotations["summary"], "bread.bake: 2 wait");
    let jobs = bread.jobs.as_ref().unwrap();
    assert_eq!((jobs.n, jobs.ids.len()), (2, 2));
    assert_eq!(cake.ended_at.unwrap().0 - cake.active_at.0, 15_000_000);

    let table = run(&args).printed();
    assert!(table.starts_with("2 episodes") && table.contains("+10 s"), "{table}");
}

#[test]
fn another_threshold_shows_what_it_adds_and_what_it_misses() {
    let folder = tempfile::tempdir().unwrap();
    let events = file(folder.path(), "events.jsonl", stream(SCRIPT));
    let strict = file(folder.path(), "strict.yaml", rules(0));
    let lax = file(folder.path(), "lax.yaml", rules(1));
    let compare = |rules, against| {
        let args = ["--events", arg(&events), "--against", arg(against), "--output", "json"];
        let run = run(&[&["rules", "test", arg(rules)], &args[..]].concat());
        serde_json::from_str::<Value>(&run.printed()).unwrap()
    };
    let none = compare(&strict, &lax);
    assert_eq!((none["same"].as_u64(), episodes(&none["missed"]).len()), (Some(2), 0));
    let never = file(folder.path(), "never.yaml", rules(5));
    let missed = compare(&never, &lax);
    assert_eq!((episodes(&missed["added"]).len(), episodes(&missed["missed"]).len()), (0, 2));
    let added = compare(&lax, &never);
    assert_eq!((episodes(&added["added"]).len(), episodes(&added["missed"]).len()), (2, 0));
}

#[test]
fn unit_tests_of_rules_pass_or_say_what_fired_instead() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "rules.yaml", rules(3));
    let tests = "rule_files: [rules.yaml]
tests:
  - name: three are no backlog
    jobs: [{ type: a, count: 3, ends: waits }]
    alert_rule_test: [{ eval_time: 5m, alertname: Waiting }]
  - name: five are, until they run
    jobs: [{ type: a, count: 5, wait: 1m, run: 1s }]
    alert_rule_test:
      - { eval_time: 9s, alertname: Waiting }
      - eval_time: 30s
        alertname: Waiting
        exp_alerts: [{ exp_labels: { type: a }, exp_annotations: { summary: 'a: 5 wait' } }]
      - { eval_time: 61s, alertname: Waiting }
";
    let good = file(folder.path(), "good.yaml", tests);
    let passed = run(&["rules", "test", arg(&good)]).printed();
    assert!(passed.ends_with("2 tests, 0 failed\n"), "{passed}");
    let bad = file(folder.path(), "bad.yaml", tests.replace("type: a }, exp", "type: b }, exp"));
    let failed = run(&["rules", "test", arg(&bad)]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stdout.contains("FAILED  five are, until they run"), "{failed:?}");
    assert!(failed.stdout.contains("found [{\"exp_labels\":{\"type\":\"a\"}"), "{failed:?}");
}

/// Whether an alert is there, pending or firing, and what it says.
fn alert(service: &Service) -> Option<(AlertState, String)> {
    let row = service.client.snapshot().alerts.into_iter().next()?;
    Some((row.state, row.annotations.get("summary").cloned().unwrap_or_default()))
}

/// A job that is never finished, also after a restart.
fn hangs(service: &Service) {
    let hang = json!({ "type": "bread.bake", "payload": { "simulate": { "hang": true } } });
    let job = service.client.submit(&hang);
    service.client.becomes(job, State::Executing);
}

/// The same rule over all unfinished jobs.
fn unfinished(threshold: usize) -> String {
    rules(threshold).replace("backlog", "jobs")
}

#[test]
fn rules_that_are_put_are_judged_at_once_over_what_is_there_and_stay_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = file(folder.path(), "quiet.yaml", unfinished(5));
    let data = folder.path().join("data");
    let service = Service::start_with(&data, &["--rules", arg(&quiet)]);
    hangs(&service);
    assert_eq!(alert(&service), None);

    let api = format!("http://{}", service.client.address);
    let loud = file(folder.path(), "loud.yaml", unfinished(0));
    let applied = run(&["rules", "apply", arg(&loud), "--api", &api]).printed();
    assert_eq!(applied, "1 rules are in force from the next second on\n");
    until("it is pending", || alert(&service));

    // A bad file changes nothing.
    let bad = service.client.put("/api/v1/rules", &unfinished(0).replace("jobs", "yobs"));
    let problem: Value = bad.with(400);
    assert_eq!(problem["code"], "bad_rules");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean jobs?"), "{problem}");
    let kept: Rules = service.client.get("/api/v1/rules");
    assert_eq!(kept.yaml, unfinished(0));
    let history: RulesHistory = service.client.get("/api/v1/rules/history");
    let given: Vec<&str> = history.items.iter().map(|version| &*version.yaml).collect();
    assert_eq!(given, [unfinished(0), unfinished(5)]);
    let by: Vec<&str> = history.items.iter().map(|version| &*version.applied_by).collect();
    assert_eq!(by, ["127.0.0.1", arg(&quiet)]);
    // Nothing at all is rather a mistake than a wish; that there be no rules can be said.
    let nothing: Value = service.client.put("/api/v1/rules", "\n").with(400);
    assert!(nothing["detail"].as_str().unwrap().contains("groups: []"), "{nothing}");

    service.stop();
    let service = Service::start(&data);
    until("it fires after the restart", || {
        alert(&service).filter(|(state, _)| *state == AlertState::Firing)
    });
    assert_eq!(alert(&service).unwrap().1, "bread.bake: 1 wait");
}

#[test]
fn a_rules_file_that_is_edited_takes_effect_and_a_bad_edit_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let watched = file(folder.path(), "rules.yaml", unfinished(5));
    let data = folder.path().join("data");
    let service = Service::start_with(&data, &["--rules", arg(&watched)]);
    hangs(&service);
    file(folder.path(), "rules.yaml", unfinished(0).replace("> 0", "> nothing"));
    service.says("the rules stay as they are");
    assert_eq!(alert(&service), None);
    file(folder.path(), "rules.yaml", unfinished(0));
    until("it is pending", || alert(&service));
}
