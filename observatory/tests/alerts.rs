//! `observatory replay --rules`: alerts, reckoned by hand.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use contracts::Snapshot;
use contracts::snapshot::AlertRow;
use support::program::{arg, file, replay, run_on};
use support::script::{clock, stream};
use tempfile::TempDir;

/// A folder with a rule in it, named `Rule`.
struct Rules(TempDir);

impl Rules {
    fn new(expr: &str, more: &str) -> Rules {
        let yaml = format!(
            "groups:\n  - name: bakery\n    rules:\n      - alert: Rule\n        expr: '{expr}'\n        {more}\n"
        );
        Rules::of(&yaml)
    }

    fn of(yaml: &str) -> Rules {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "rules.yaml", yaml);
        Rules(folder)
    }

    /// The alerts at the end of a script, each in a line; on two workers they are the same.
    #[track_caller]
    fn at_the_end_of(&self, script: &str) -> Vec<String> {
        let (stream, path) = (stream(script), self.0.path().join("rules.yaml"));
        let run = replay(&stream, &["--rules", arg(&path)]);
        assert_eq!(replay(&stream, &["--rules", arg(&path), "--workers", "2"]), run);
        let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
        snapshot.alerts.iter().map(told).collect()
    }

    /// What is said of a file that can not be used.
    #[track_caller]
    fn complaint(&self) -> String {
        let path = self.0.path().join("rules.yaml");
        run_on(&["replay", "-", "--rules", arg(&path)], stream("00:01 rye created").as_bytes())
            .complaint()
    }
}

/// `firing {queue=oven} since 00:11, fired 00:41: 3`.
fn told(row: &AlertRow) -> String {
    let labels: Vec<_> = row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let fired = row.fired_at.map_or(String::new(), |at| format!(", fired {}", clock(at)));
    // Quantiles are within 0.1 %, which two digits do not show here.
    let value = (row.value * 100.0).round() / 100.0;
    let (state, labels, since) = (row.state, labels.join(","), clock(row.active_at));
    format!("{state} {{{labels}}} since {since}{fired}: {value}")
}

const NONE: [String; 0] = [];

#[test]
fn a_failure_ratio_is_judged_at_the_next_whole_second_and_by_type() {
    let rules = Rules::new("failure_ratio[5m] by (type) > 0.25", "");
    let script = "
        00:03    a  completed
        00:06    b  completed
        00:08    c  completed
        00:10    d  failed
    ";
    // One of four is not more than a quarter.
    assert_eq!(rules.at_the_end_of(&format!("{script} 00:11 x created")), NONE);
    let script = format!(
        "{script}
        00:12.5  e  failed
        00:14    f  failed  type=cake.order
        00:15    x  created"
    );
    assert_eq!(
        rules.at_the_end_of(&script),
        [
            "firing {type=bread.bake} since 00:13, fired 00:13: 0.4",
            "firing {type=cake.order} since 00:14, fired 00:14: 1",
        ],
    );
}

#[test]
fn a_failure_counts_until_it_has_left_the_window() {
    let rules = Rules::new("failed[1m] > 0", "");
    // It leaves a minute after the next whole second.
    let still = "firing {} since 00:01, fired 00:01: 1";
    assert_eq!(rules.at_the_end_of("00:00.5 a failed \n 01:00.999999 x created"), [still]);
    assert_eq!(rules.at_the_end_of("00:00.5 a failed \n 01:01 x created"), NONE);
}

#[test]
fn a_backlog_fires_when_it_has_held_for_exactly_as_long_as_its_rule_says() {
    let rules = Rules::new("backlog by (queue) > 1", "for: 30s");
    let script = "
        00:09    a  created    queue=oven
        00:10.4  b  validated  queue=oven
        00:10.5  c  created    queue=counter
        00:12    d  executed   queue=oven
    ";
    let at = |time: &str| rules.at_the_end_of(&format!("{script} {time} x cancelled"));
    assert_eq!(at("00:40.999999"), ["pending {queue=oven} since 00:11: 2"]);
    assert_eq!(at("00:41"), ["firing {queue=oven} since 00:11, fired 00:41: 2"]);
    assert_eq!(at("05:00"), ["firing {queue=oven} since 00:11, fired 00:41: 2"]);
}

#[test]
fn what_ceased_before_it_fired_begins_anew() {
    let rules = Rules::new("backlog > 0", "for: 30s");
    let script = "
        00:10    a  created
        00:39.5  a  executed
        00:39.6  b  created
        00:40    b  executed
    ";
    assert_eq!(rules.at_the_end_of(&format!("{script} 00:50 x cancelled")), NONE);
    assert_eq!(
        rules.at_the_end_of(&format!("{script} 00:45 c created \n 00:50 x cancelled")),
        ["pending {} since 00:45: 1"],
    );
}

#[test]
fn what_fired_and_ceased_is_gone() {
    let rules = Rules::new("backlog > 0", "");
    let at = |script: &str| rules.at_the_end_of(&format!("00:10 a created \n {script}"));
    assert_eq!(at("00:29.999999 x cancelled"), ["firing {} since 00:10, fired 00:10: 1"]);
    assert_eq!(at("00:30 a executed"), NONE);
}

#[test]
fn an_alert_fires_on_for_as_long_as_its_rule_says() {
    let rules = Rules::new("backlog > 0", "keep_firing_for: 20s");
    let at = |script: &str| {
        rules.at_the_end_of(&format!("00:10 a created \n 00:30 a executed \n {script}"))
    };
    let kept = "firing {} since 00:10, fired 00:10: 1";
    assert_eq!(at("00:49.999999 x cancelled"), [kept]);
    assert_eq!(at("00:50 x cancelled"), NONE);
    // It holds again meanwhile, and is still the same alert.
    assert_eq!(at("00:40 b created \n 02:00 x cancelled"), [kept]);
    assert_eq!(at("00:40 b created \n 02:00 b executed \n 02:19.9 x cancelled"), [kept]);
    assert_eq!(at("00:40 b created \n 02:00 b executed \n 02:20 x cancelled"), NONE);
}

#[test]
fn what_has_not_fired_is_not_kept() {
    let rules = Rules::new("backlog > 0", "for: 1m\n        keep_firing_for: 1h");
    assert_eq!(
        rules.at_the_end_of("00:10 a created \n 01:09 a executed \n 01:30 x cancelled"),
        NONE
    );
}

#[test]
fn a_job_is_stuck_when_it_has_executed_for_longer() {
    let rules = Rules::new(r#"stuck{longer_than="1m"} by (type) > 0"#, "");
    // Ages are taken from the start of a slot of ten seconds.
    let script = "
        00:07.3  a  executed
        00:08    b  executed
        00:09    b  completed
        00:09    c  created
        00:50    d  executed
    ";
    let at = |time: &str| rules.at_the_end_of(&format!("{script} {time} x cancelled"));
    assert_eq!(at("01:00.999999"), NONE);
    assert_eq!(at("01:01"), ["firing {type=bread.bake} since 01:01, fired 01:01: 1"]);
    assert_eq!(at("01:50"), ["firing {type=bread.bake} since 01:01, fired 01:01: 1"]);
    assert_eq!(at("01:51"), ["firing {type=bread.bake} since 01:01, fired 01:01: 2"]);
}

#[test]
fn the_oldest_age_is_that_of_the_oldest_unfinished_job() {
    let rules = Rules::new("oldest_age_seconds by (queue) > 45", "");
    let script = "
        00:02  done   completed  queue=oven
        00:10  old    created    queue=oven
        00:30  young  created    queue=oven
        00:40  other  created    queue=counter
    ";
    let at = |time: &str| rules.at_the_end_of(&format!("{script} {time} x cancelled"));
    assert_eq!(at("00:55.999999"), NONE);
    assert_eq!(at("00:56"), ["firing {queue=oven} since 00:56, fired 00:56: 46"]);
    assert_eq!(at("01:10.5"), ["firing {queue=oven} since 00:56, fired 00:56: 60"]);
    // When the oldest has moved on, the next is not old enough.
    assert_eq!(rules.at_the_end_of(&format!("{script} 01:10 old executed queue=oven")), NONE);
}

/// Twenty jobs that begin together, of which so many run for five seconds and the others for one.
fn of_twenty(slow: usize) -> String {
    let begin = (0..20).map(|n| format!("00:00 job-{n} executed \n"));
    let end = (0..20).map(|n| {
        let seconds = if n < 20 - slow { 1 } else { 5 };
        format!("00:0{seconds} job-{n} completed \n")
    });
    begin.chain(end).collect()
}

#[test]
fn a_quantile_is_the_value_at_its_rank() {
    let p95 = Rules::new(r#"run_seconds{quantile="0.95"}[1m] > 4"#, "");
    // The nineteenth of twenty.
    assert_eq!(p95.at_the_end_of(&of_twenty(1)), NONE);
    assert_eq!(p95.at_the_end_of(&of_twenty(2)), ["firing {} since 00:05, fired 00:05: 5"]);
    let max = Rules::new(r#"run_seconds{quantile="1"}[1m] by (type) > 4"#, "");
    assert_eq!(
        max.at_the_end_of(&of_twenty(1)),
        ["firing {type=bread.bake} since 00:05, fired 00:05: 5"],
    );
    let median = Rules::new(r#"total_seconds{quantile="0.5"}[1m] < 2"#, "");
    assert_eq!(
        median.at_the_end_of(&of_twenty(10)),
        ["firing {} since 00:01, fired 00:01: 1"],
        "the tenth of twenty",
    );
    assert_eq!(median.at_the_end_of(&of_twenty(11)), NONE);
}

#[test]
fn what_should_come_and_does_not_is_absent() {
    let rules = Rules::new(r#"absent(finished{type="oven.clean"}[1m])"#, "for: 30s");
    let at = |script: &str| rules.at_the_end_of(&format!("00:00.2 a created \n {script}"));
    assert_eq!(at("00:30 x created"), ["pending {type=oven.clean} since 00:01: 1"]);
    assert_eq!(at("00:31 x created"), ["firing {type=oven.clean} since 00:01, fired 00:31: 1"]);
    let cleaned = "00:45 c completed type=oven.clean";
    assert_eq!(at(cleaned), NONE);
    assert_eq!(at(&format!("{cleaned} \n 01:44.9 x created")), NONE);
    assert_eq!(
        at(&format!("{cleaned} \n 01:50 x created")),
        ["pending {type=oven.clean} since 01:45: 1"],
    );
}

#[test]
fn a_rule_counts_only_what_its_labels_match() {
    let rules = Rules::new(
        r#"jobs{state="RETRYING",type="bread.bake"} by (queue) >= 2"#,
        "labels: { severity: page, queue: nobody }",
    );
    let script = "
        00:01  a  retried  queue=oven
        00:02  b  retried  queue=oven  type=cake.order
        00:03  c  created  queue=oven
        00:04  d  retried  queue=counter
        00:05  e  retried  queue=oven  attempt=2
    ";
    assert_eq!(
        rules.at_the_end_of(script),
        [concat!(
            "firing {queue=oven,severity=page,state=RETRYING,type=bread.bake} ",
            "since 00:05, fired 00:05: 2",
        )],
    );
}

#[test]
fn time_passes_with_the_lines_unless_they_are_sorted_first() {
    let rules = Rules::new("backlog > 0", "for: 30s");
    let path = rules.0.path().join("rules.yaml");
    let in_order = stream("00:10 a created \n 02:00 x cancelled");
    let alerts = |stream: &str, args: &[&str]| {
        let run = replay(stream, &[&["--rules", arg(&path)], args].concat());
        let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
        snapshot.alerts.iter().map(told).collect::<Vec<_>>()
    };
    let backwards: String = in_order.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(alerts(&backwards, &[]), ["pending {} since 02:00: 1"]);
    let sorted = ["firing {} since 00:10, fired 00:40: 1"];
    assert_eq!(alerts(&in_order, &[]), sorted);
    assert_eq!(alerts(&backwards, &["--sort"]), sorted);
}

#[test]
fn a_sorted_stream_has_the_same_alerts_in_whatever_order_it_came() {
    let rules = Rules::of(include_str!("recorded/a-morning-in-the-bakery.rules.yaml"));
    let path = rules.0.path().join("rules.yaml");
    let args = ["--rules", arg(&path), "--sort"];
    let stream = include_str!("recorded/a-morning-in-the-bakery.jsonl");
    let once = replay(stream, &args);
    assert_eq!(once, replay(stream, &args[..2]), "it is recorded in order");
    let mut lines: Vec<_> = stream.lines().collect();
    for seed in 0..3 {
        fastrand::Rng::with_seed(seed).shuffle(&mut lines);
        assert_eq!(replay(&lines.join("\n"), &args), once, "shuffled with seed {seed}");
    }
}

#[test]
fn a_fault_in_the_rules_is_told_with_its_place() {
    let good = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: backlog > 1\n";
    for (bad, place) in [
        (good.replace("backlog > 1", "backlog > lots"), "groups[0].rules[0].expr: column 11: "),
        (good.replace("backlog", "backlogs"), "groups[0].rules[0].expr: column 1: "),
        (format!("{good}        for: soon\n"), "groups[0].rules[0].for: "),
        (format!("{good}        four: 5m\n"), "line 6"),
        (good.replace("- alert", "alert"), "line 4"),
        ("groups: [".to_owned(), "line 2"),
    ] {
        let complaint = Rules::of(&bad).complaint();
        assert!(complaint.contains("rules.yaml: "), "{complaint}");
        assert!(complaint.contains(place), "{place} is in {complaint}");
    }
}

#[test]
fn a_rules_file_that_is_not_there_is_named() {
    let rules = Rules::of("");
    assert_eq!(rules.at_the_end_of("00:10 a created"), NONE, "an empty file has no rules");
    std::fs::remove_file(rules.0.path().join("rules.yaml")).unwrap();
    let complaint = rules.complaint();
    assert!(complaint.contains("cannot read the rules file"), "{complaint}");
    assert!(complaint.contains("rules.yaml"), "{complaint}");
}
