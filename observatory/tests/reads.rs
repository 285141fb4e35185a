//! `observatory jobs`, `counts`, `latency`, `alerts` and `submit`, against a running service.
//!
//! `UPDATE_GOLDEN=1 cargo test -p observatory --test reads` rewrites what they print.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout};

use contracts::Micros;
use serde_json::{Value, json};
use support::program::{Run, arg, file, observatory};
use support::script::id;
use support::service::Service;
use support::{SECOND, assert_golden, now};

/// A service, and the program as its client.
struct Bakery {
    service: Service,
    _folder: tempfile::TempDir,
}

/// Two alerts that hold as soon as there are the jobs of [`jobs`].
const RULES: &str = "groups:
  - name: bakery
    rules:
      - { alert: SomebodyWaits, expr: 'jobs{state=\"PENDING\"} > 0', labels: { severity: page } }
      - { alert: Late, expr: 'jobs{state=\"PENDING\"} > 1', for: 1h }
";

/// What a terminal would obey, and hide.
const HOSTILE: &str = "black, \"charred\"\u{1b}[31m\u{9b}2J\nand \u{202e}gone";

impl Bakery {
    fn open() -> Bakery {
        let folder = tempfile::tempdir().unwrap();
        let rules = file(folder.path(), "rules.yaml", RULES);
        let data = folder.path().join("data");
        let service = Service::start_with(&data, &["--rules", arg(&rules)]);
        Bakery { service, _folder: folder }
    }

    /// With four jobs, of which one has completed and one failed.
    fn with_jobs() -> Bakery {
        let bakery = Bakery::open();
        bakery.service.client.send(&jobs());
        bakery.service.client.snapshot_with("all is seen, also by the rules", |snapshot| {
            snapshot.jobs == 4
                && snapshot.alerts.len() == 2
                && snapshot.latency.iter().any(|row| row.samples == 2)
        });
        bakery
    }

    /// The program with these arguments.
    fn command(&self, args: &str) -> std::process::Command {
        let mut command = observatory();
        command.args(args.split_whitespace());
        command.env("OBSERVATORY_API", format!("http://{}", self.service.client.address));
        command
    }

    fn run(&self, args: &str) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    /// What it prints, if all went well.
    #[track_caller]
    fn prints(&self, args: &str) -> String {
        self.run(args).printed()
    }
}

/// What happened in the bakery during the last half minute.
fn jobs() -> Vec<String> {
    let base = now().0 - 30 * SECOND;
    let event = |name: &str, kind: &str, millis: i64, more: Value| {
        let created = match name {
            "rye" => 0,
            "spelt" => 1_000,
            "roll" => 2_000,
            _ => 3_000,
        };
        let mut payload = json!({
            "id": id(name), "type": "bread.bake", "status": kind, "queue": "oven",
            "createdAt": Micros(base + created * 1_000),
        });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "contractVersion": "1.1.0", "eventType": format!("job.{kind}"),
            "eventId": id(&format!("{name} {kind}")),
            "occurredAt": Micros(base + (created + millis) * 1_000),
            "producer": { "service": "bakery", "instanceId": "oven-1", "version": "2.4.1" },
            "correlationId": id(name), "idempotencyKey": name, "payload": payload,
        })
        .to_string()
    };
    vec![
        event("rye", "created", 0, json!({})),
        event("rye", "executed", 500, json!({ "worker": "oven-1" })),
        event("rye", "completed", 2_500, json!({ "worker": "oven-1" })),
        event("spelt", "created", 0, json!({})),
        event("spelt", "executed", 250, json!({ "worker": "oven-1" })),
        event(
            "spelt",
            "failed",
            1_250,
            json!({ "worker": "oven-1", "error": { "kind": "Burnt", "message": HOSTILE } }),
        ),
        event("roll", "created", 0, json!({ "queue": null })),
        event("crumb", "created", 0, json!({ "type": "cr\u{202e}umb" })),
    ]
}

/// A text with its times, which are others each time, at zero.
fn timeless(text: &str) -> String {
    const ZERO: &[u8] = b"0000-00-00T00:00:00.000000Z";
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len().saturating_sub(ZERO.len() - 1) {
        let place = &mut bytes[at..at + ZERO.len()];
        let is = |(byte, zero): (&u8, &u8)| match zero {
            b'0' => byte.is_ascii_digit(),
            zero => byte == zero,
        };
        if place.iter().zip(ZERO).all(is) {
            place.copy_from_slice(ZERO);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn each_read_prints_what_is_there_in_each_form() {
    let bakery = Bakery::with_jobs();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed");
    for (name, args) in [
        ("jobs", "jobs"),
        ("failed-jobs", "jobs state:failed --type bread.bake --limit 1"),
        ("counts", "counts --by state,type,queue"),
        ("counts-of-a-queue", "counts type:bread.* --queue oven"),
        ("latency", "latency --window all --measure run"),
        ("latency-of-a-queue", "latency --window all --queue oven --type bread.bake"),
        ("alerts", "alerts"),
    ] {
        for form in ["table", "json", "jsonl", "csv"] {
            let printed = bakery.prints(&format!("{args} --output {form}"));
            assert_golden(&folder.join(format!("{name}.{form}")), &timeless(&printed));
        }
    }
}

#[test]
fn what_a_producer_wrote_is_not_obeyed_by_a_terminal_and_is_whole_for_programs() {
    let bakery = Bakery::with_jobs();
    for form in ["table", "json", "jsonl"] {
        let printed = bakery.prints(&format!("jobs --output {form}"));
        assert!(!printed.chars().any(|c| c != '\n' && tui::hostile(c)), "{form}: {printed:?}");
    }
    let printed = bakery.prints("jobs state:failed --output json");
    let list: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(list["items"][0]["error"]["message"], HOSTILE);
    // CSV has no escapes, so the text is in it as it is, unless a terminal is to show it.
    assert!(bakery.prints("jobs --output csv").contains(&HOSTILE.replace('"', "\"\"")));
}

#[test]
fn json_is_the_answer_of_the_api() {
    let bakery = Bakery::with_jobs();
    for (args, path) in [
        ("jobs", "/api/v1/jobs?limit=50"),
        ("counts --by queue", "/api/v1/counts?by=queue"),
        ("latency", "/api/v1/latency"),
        ("alerts", "/api/v1/alerts"),
    ] {
        let mut printed: Value =
            serde_json::from_str(&bakery.prints(&format!("{args} --output json"))).unwrap();
        let mut answer: Value = bakery.service.client.get(path);
        for value in [&mut printed, &mut answer] {
            value["asOf"] = Value::Null;
        }
        assert_eq!(printed, answer, "{args}");
    }
}

#[test]
fn a_list_longer_than_a_page_is_read_to_its_end_or_to_the_limit() {
    let bakery = Bakery::open();
    let events: Vec<_> = (0..1_100)
        .map(|n| {
            let at = Micros(now().0 - 60 * SECOND + n * 1_000);
            json!({
                "contractVersion": "1.1.0", "eventType": "job.created",
                "eventId": id(&format!("event {n}")), "occurredAt": at,
                "producer": { "service": "bakery", "instanceId": "oven-1", "version": "2.4.1" },
                "correlationId": id("all"), "idempotencyKey": format!("{n}"),
                "payload": { "id": id(&format!("job {n}")), "type": "bread.bake",
                    "status": "PENDING", "createdAt": at },
            })
            .to_string()
        })
        .collect();
    bakery.service.client.send(&events);

    let ids = |args: &str| -> Vec<String> {
        let printed = bakery.prints(args);
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].to_string();
        printed.lines().map(id).collect()
    };
    let all = ids("jobs --all --output jsonl");
    assert_eq!(all.len(), 1_100);
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 1_100);
    assert_eq!(ids("jobs --limit 1005 --output jsonl"), all[..1_005]);
    assert_eq!(bakery.prints("jobs --all --output csv").lines().count(), 1_101);
    let whole: Value = serde_json::from_str(&bakery.prints("jobs --all --output json")).unwrap();
    assert_eq!(
        (whole["items"].as_array().unwrap().len(), &whole["nextCursor"]),
        (1_100, &Value::Null)
    );

    // Nobody reads: that is no failure, and nothing is said about it.
    let mut unread = bakery.command("jobs --all --output jsonl").spawn().unwrap();
    drop(unread.stdout.take());
    let ended = Run::of(unread.wait_with_output().unwrap());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

/// A command that goes on; dropped, it is killed.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(bakery: &Bakery, args: &str) -> Watch {
        let mut child = bakery.command(args).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Watch { child, lines }
    }

    /// The next line that it prints.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself, which no test expects.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}

#[test]
fn a_watch_prints_what_changes_and_only_that() {
    let bakery = Bakery::open();
    let mut counts = Watch::start(&bakery, "counts --watch");
    let mut jobs = Watch::start(&bakery, "jobs type:bread.bake --watch --output jsonl");
    assert_eq!(counts.next()["counts"], json!([]));

    let events = self::jobs();
    bakery.service.client.send(&events[..1]);
    assert_eq!(counts.next()["counts"], json!([{ "state": "PENDING", "jobs": 1 }]));
    let seen = jobs.next();
    assert_eq!((&seen["id"], &seen["state"]), (&json!(id("rye")), &json!("PENDING")));

    // A job that the filter leaves out changes the counts and not the list.
    bakery.service.client.send(&events[7..]);
    assert_eq!(counts.next()["jobs"], 2);
    bakery.service.client.send(&events[2..3]);
    let seen = jobs.next();
    assert_eq!((&seen["id"], &seen["state"]), (&json!(id("rye")), &json!("COMPLETED")));
}

#[test]
fn a_watch_survives_a_server_that_goes_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let address = service.client.address.clone();
    let mut bakery = Bakery { service, _folder: tempfile::tempdir().unwrap() };
    let mut counts = Watch::start(&bakery, "counts --watch --output jsonl");
    assert_eq!(counts.next()["jobs"], 0);
    bakery.service.kill();
    bakery.service = Service::spawn(&["--data-dir", arg(folder.path()), "--listen", &address], &[]);
    bakery.service.client.ready();
    bakery.service.client.send(&jobs()[..1]);
    assert_eq!(counts.next()["jobs"], 1);
}

#[test]
fn the_exit_code_says_what_came_of_it() {
    let bakery = Bakery::with_jobs();
    let tokens = bakery._folder.path().join("tokens");
    // The SHA-256 of `baker`.
    let hash = "530c4fc0e55038578184991c3f991043d4ec5bdceae63ed8f80743d313fb382d";
    std::fs::write(&tokens, format!("baker read {hash}\n")).unwrap();
    let guarded = bakery._folder.path().join("guarded");
    let guarded = Service::start_with(&guarded, &["--tokens-file", arg(&tokens)]);
    let guarded = format!("http://{}", guarded.client.address);
    let nobody = "--api http://127.0.0.1:1";
    let run = |args: &str| bakery.run(args);
    for (args, code) in [
        ("jobs", 0),
        ("counts", 0),
        ("alerts", 0),
        ("alerts --check --state pending", 0),
        ("submit email.send --idempotency-key k", 0),
        ("submit email.send --idempotency-key k", 0),
        ("submit another.type --idempotency-key k", 1),
        ("replay /nowhere", 1),
        ("jobs staet:failed", 2),
        ("jobs --state nowhere", 2),
        ("counts --by colour", 2),
        ("latency --window 2m", 2),
        ("jobs --watch --output csv", 2),
        ("jobs --colour", 2),
        ("nothing", 2),
        ("submit email.send --payload {", 2),
        ("alerts --check", 3),
        ("submit email.send --wait --payload {\"simulate\":{\"fail\":true}}", 3),
        (&format!("jobs --api {guarded}"), 4),
        (&format!("counts --watch --api {guarded}"), 4),
        (&format!("submit email.send --api {guarded} --token wrong"), 4),
        (&format!("jobs {nobody}"), 5),
        (&format!("counts {nobody} --watch"), 5),
        (&format!("submit email.send {nobody}"), 5),
        ("submit email.send --wait --within 0s --payload {\"simulate\":{\"hang\":true}}", 5),
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(code), "{args}: {run:?}");
        match code {
            0 | 3 => assert_eq!(run.stderr, "", "{args}"),
            _ => assert!(run.stderr.starts_with("error: ") && run.stdout.is_empty(), "{run:?}"),
        }
        assert!(
            !matches!(code, 4 | 5) || args.contains("0s") || run.stderr.contains("  fix: "),
            "{run:?}"
        );
    }
}

#[test]
fn colours_are_for_who_wants_them() {
    let bakery = Bakery::with_jobs();
    let coloured = |args: &str, variable: &str| {
        let mut command = bakery.command(args);
        command.env(variable, "1");
        Run::of(command.output().unwrap()).printed().contains("\u{1b}[")
    };
    assert!(!coloured("jobs", "NOTHING"), "this is no terminal");
    assert!(coloured("jobs", "CLICOLOR_FORCE"));
    assert!(!coloured("jobs --color never", "CLICOLOR_FORCE"));
    assert!(coloured("--color always alerts", "NO_COLOR"));
    assert!(!coloured("jobs --color always --output json", "NOTHING"));
}

#[test]
fn a_job_is_submitted_from_the_command_line_and_waited_for() {
    let bakery = Bakery::open();
    let folder = tempfile::tempdir().unwrap();
    let payload = file(folder.path(), "payload.json", r#"{"to":"ada","simulate":{"delayMs":1}}"#);
    let args =
        format!("submit email.send --queue mail --wait --output json --payload @{}", arg(&payload));
    let job: Value = serde_json::from_str(&bakery.prints(&args)).unwrap();
    assert_eq!((&job["state"], &job["queue"]), (&json!("COMPLETED"), &json!("mail")));
    assert_eq!(job["payload"]["to"], "ada");
    let id = bakery.prints("submit email.send");
    let list: Value = serde_json::from_str(&bakery.prints("jobs --output json")).unwrap();
    assert!(list["items"].as_array().unwrap().iter().any(|job| job["id"] == id.trim_end()));
}
