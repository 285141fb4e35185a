//! Every view in every state, at three sizes.

use contracts::notes::{
    AlertKey, Matcher, Note, NoteKind, Notes, ReceivedAlert, ReceivedAlerts, StandingNote,
};
use contracts::workers::{Beat, Heartbeat, Presence, WorkerView, Workers};

use super::*;

#[test]
fn the_overview_is_seen_as_it_is_kept() {
    Bench::live().seen("overview");
}

#[test]
fn the_overview_says_what_it_waits_for_and_what_is_missing() {
    Bench::new().seen("overview-loading");

    let mut bench = Bench::new();
    bench.hear(News::Snapshot(Box::new(Snapshot { as_of: Some(now()), ..Snapshot::default() })));
    bench.seen("overview-empty");

    let mut bench = Bench::live();
    bench.later(Duration::from_secs(8));
    bench.seen("overview-standing-still");

    let mut bench = Bench::live();
    bench.hear(away());
    bench.seen("overview-reconnecting");
    bench.later(Duration::from_secs(8));
    bench.seen("overview-stale");

    let mut bench = Bench::live();
    bench.keys("f");
    bench.later(Duration::from_secs(8));
    bench.seen("overview-frozen");
}

#[test]
fn a_part_of_the_overview_can_be_alone_with_another_window_and_measure() {
    let mut bench = Bench::live();
    bench.press(KeyCode::Tab);
    bench.press(KeyCode::Tab);
    bench.keys("etms");
    bench.later(Duration::from_secs(7));
    bench.hear(News::Delta(Box::new(Delta {
        as_of: Some(bench.now),
        jobs: 124_711,
        ..Delta::default()
    })));
    bench.seen("overview-latency");
}

#[test]
fn the_list_of_jobs_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.keys("2");
    bench.seen("jobs-loading");
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(0, 200, 124_711)) });
    bench.keys("jjjjj");
    bench.seen("jobs");
    bench.keys("e");
    bench.seen("jobs-expanded");
}

#[test]
fn a_list_without_jobs_says_why_and_what_next() {
    let mut bench = Bench::live();
    bench.keys("2");
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(0, 0, 0)) });
    bench.seen("jobs-empty");

    bench.keys("/state:failed age:>5m");
    bench.press(KeyCode::Enter);
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(0, 0, 0)) });
    bench.seen("jobs-no-match");

    bench.keys("r");
    let turn = bench.turn();
    bench.later(Duration::from_secs(7));
    let trouble = Trouble { status: 503, ..Trouble::new("the store does not answer") };
    bench.got(Got::Jobs { turn, page: 0, found: Err(trouble) });
    bench.seen("jobs-error");
}

#[test]
fn a_filter_that_can_not_be_read_is_opened_again_where_it_is_wrong() {
    let mut bench = Bench::live();
    bench.keys("2/type:a.* colour:red");
    bench.seen("filter-typing");
    bench.press(KeyCode::Enter);
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Err(bad_q()) });
    assert_eq!(bench.app.place(), Place::Filter);
    bench.seen("filter-wrong");
}

#[test]
fn values_are_suggested_to_a_filter() {
    let mut bench = Bench::live();
    bench.keys("/state:");
    bench.press(KeyCode::Down);
    bench.seen("filter-suggestions");
}

#[test]
fn a_job_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.app.go(crate::spot::Spot::Job(id(5)));
    bench.seen("job-loading");
    bench.got(Got::Job { id: id(5), found: Ok(Box::new(told())) });
    bench.seen("job");
    bench.keys("Gke");
    bench.seen("job-event");

    let mut bench = Bench::live();
    bench.app.go(crate::spot::Spot::Job(id(6)));
    let trouble = Trouble { status: 404, ..Trouble::new("no event of this job has arrived") };
    bench.got(Got::Job { id: id(6), found: Err(trouble) });
    bench.seen("job-error");
}

/// What people say of the alerts of the bench.
pub(super) fn said() -> Notes {
    let note = |kind, n: u128, ends_at, alert: &str| StandingNote {
        note: Note {
            id: uuid::Uuid::from_u128(n),
            kind,
            matchers: vec![Matcher {
                name: "alertname".to_owned(),
                value: alert.to_owned(),
                is_regex: false,
                is_equal: true,
            }],
            active_at: None,
            starts_at: at("2026-11-21T09:58:00Z"),
            ends_at,
            comment: "known".to_owned(),
            created_by: "ada".to_owned(),
            ended_at: None,
            ended_by: None,
        },
        alerts: vec![AlertKey {
            alert: alert.to_owned(),
            labels: self::alert(alert, AlertState::Firing).labels,
        }],
    };
    let until = Some(at("2026-11-21T18:00:00Z"));
    let items = vec![
        note(NoteKind::Silence, 1, until, "QueueWaitsLong"),
        note(NoteKind::Acknowledgement, 2, None, "JobFailureRateHigh"),
    ];
    Notes { as_of: Some(now()), items }
}

pub(super) fn received() -> ReceivedAlerts {
    let text = |text: &str| text.to_owned();
    let alert = ReceivedAlert {
        fingerprint: text("1"),
        status: text("firing"),
        labels: [(text("alertname"), text("DiskFull")), (text("instance"), text("db-1"))].into(),
        annotations: [(text("summary"), text("93 % are used"))].into(),
        starts_at: at("2026-11-21T09:00:00Z"),
        ends_at: None,
        url: None,
        received_at: now(),
    };
    ReceivedAlerts { items: vec![alert] }
}

#[test]
fn alerts_are_seen_as_they_are_kept() {
    let mut bench = Bench::live();
    bench.keys("3");
    bench.seen("alerts-loading");
    let resolved = AlertRow {
        resolved_at: Some(at("2026-11-21T09:59:00Z")),
        ..alert("QueueWaitsLong", AlertState::Resolved)
    };
    let alerts = answers::Alerts { as_of: Some(now()), alerts: vec![resolved] };
    bench.got(Got::Resolved(Ok(alerts)));
    let rule = RuleView {
        alert: "JobFailureRateHigh".to_owned(),
        expr: "failure_ratio[5m] by (type) > 0.05".to_owned(),
        hold: 120.0,
        keep_firing_for: 0.0,
        labels: [("severity".to_owned(), "warning".to_owned())].into(),
        annotations: [("summary".to_owned(), "many jobs fail".to_owned())].into(),
    };
    let (as_of, yaml) = (Some(now()), String::new());
    let rules = answers::Rules { as_of, applied_at: None, rules: vec![rule], yaml };
    bench.got(Got::Rules(Ok(rules)));
    bench.got(Got::Notes(Ok((said(), received()))));
    bench.seen("alerts");
    bench.press(KeyCode::BackTab);
    bench.press(KeyCode::BackTab);
    bench.keys("e");
    bench.seen("alerts-rule");

    let mut bench = Bench::new();
    bench.hear(News::Snapshot(Box::new(Snapshot { as_of: Some(now()), ..Snapshot::default() })));
    bench.keys("3");
    bench.got(Got::Resolved(Ok(answers::Alerts::default())));
    bench.got(Got::Rules(Err(Trouble::new("the server did not answer in time"))));
    bench.seen("alerts-none");
}

fn dataflow(busy: f64, records: u64) -> answers::Dataflow {
    let operator =
        |id: &str, scope: Option<&str>, name: &str, busy_seconds, records| answers::OperatorView {
            id: id.to_owned(),
            scope: scope.map(str::to_owned),
            name: name.to_owned(),
            activations: 12_345,
            busy_seconds,
            records,
            pending_records: 3,
            pending_bytes: 1_024,
        };
    answers::Dataflow {
        as_of: Some(at("2026-11-21T10:00:00Z")),
        lag_seconds: 0.012,
        workers: 1,
        operators: vec![
            operator("0", None, "Dataflow", busy * 1.5, 0),
            operator("0.1", Some("0"), "JobStates", busy, 124_711),
            operator("0.2", Some("0"), "Views", busy / 2.0, 4_711),
        ],
        edges: vec![answers::EdgeView {
            from: "0.1".to_owned(),
            from_port: 0,
            to: "0.2".to_owned(),
            to_port: 0,
            messages: 9,
            records,
        }],
    }
}

#[test]
fn the_dataflow_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.keys("4");
    bench.seen("dataflow-loading");
    bench.got(Got::Dataflow { found: Ok(dataflow(10.0, 1_000)), at: now() });
    let later = Micros(now().0 + 2_000_000);
    bench.got(Got::Dataflow { found: Ok(dataflow(11.5, 5_000)), at: later });
    bench.seen("dataflow");

    let mut bench = Bench::live();
    bench.keys("4");
    let trouble = Trouble { status: 404, ..Trouble::new("there is no dataflow here") };
    bench.got(Got::Dataflow { found: Err(trouble), at: now() });
    bench.seen("dataflow-elsewhere");
}

fn workers() -> Workers {
    let heartbeat = |worker: &str, beat, active| Heartbeat {
        process: Some(4_711),
        every: Some(2.0),
        active: Some(active),
        processed: Some(12_345),
        load: vec![1.25, 0.8, 0.5],
        software: Some("py-celery".to_owned()),
        version: Some("5.7.0".to_owned()),
        system: Some("Linux".to_owned()),
        ..Heartbeat::of(worker, beat, at("2026-11-21T09:59:59Z"))
    };
    let view =
        |worker: &str, presence, last: Option<Heartbeat>, jobs: &[(State, u64)]| WorkerView {
            worker: worker.to_owned(),
            presence,
            heard_at: last.as_ref().map(|last| last.at),
            online_at: last.as_ref().map(|_| at("2026-11-21T08:00:00Z")),
            last,
            jobs: jobs.iter().copied().collect(),
        };
    let items = vec![
        view(
            "celery@mail-1",
            Presence::Online,
            Some(heartbeat("celery@mail-1", Beat::Heartbeat, 3)),
            &[(State::Executing, 3), (State::Completed, 12_001), (State::Failed, 17)],
        ),
        view(
            "celery@mail-2",
            Presence::Silent,
            Some(heartbeat("celery@mail-2", Beat::Heartbeat, 1)),
            &[(State::Executing, 1)],
        ),
        view("w-1", Presence::Unheard, None, &[(State::Completed, 40)]),
    ];
    let presences = [(Presence::Online, 1), (Presence::Silent, 1), (Presence::Unheard, 1)];
    Workers { as_of: Some(now()), total: 3, presences: presences.into(), items }
}

#[test]
fn workers_are_seen_as_they_are_kept() {
    let mut bench = Bench::live();
    bench.keys("0");
    bench.seen("workers-loading");
    bench.got(Got::Workers(Ok(workers())));
    bench.keys("e");
    bench.seen("workers");
    bench.got(Got::Workers(Ok(Workers { as_of: Some(now()), ..Workers::default() })));
    bench.seen("workers-none");
}

#[test]
fn dead_letters_are_seen_as_they_are_kept() {
    let mut bench = Bench::live();
    bench.keys("5");
    bench.seen("letters");

    let mut bench = Bench::new();
    bench.keys("5");
    bench.seen("letters-loading");
    bench.hear(News::Snapshot(Box::new(Snapshot { as_of: Some(now()), ..Snapshot::default() })));
    bench.seen("letters-none");
}

#[test]
fn what_just_changed_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.keys("6");
    bench.seen("log-empty");
    bench.hear(News::Delta(Box::new(Delta {
        as_of: Some(at("2026-11-21T10:00:00.2Z")),
        jobs: 124_711,
        late: 3,
        counts: vec![
            row(State::Pending, "email.send", "default", 40),
            row(State::Executing, "email.send", "default", 1),
        ],
        alerts: vec![alert("QueueWaitsLong", AlertState::Firing)],
        rejected: [(Reason::BadJson, 1), (Reason::Schema, 14)].into(),
        changed_jobs: vec![id(1), id(2)],
        ..Delta::default()
    })));
    bench.seen("log");
}

#[test]
fn the_doctor_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.keys("7");
    bench.seen("doctor-loading");
    bench.take(Msg::Hand(Hand::Checked(Err("this build has no `doctor`".to_owned()))));
    bench.seen("doctor-missing");
    let check = |id: &str, seen: &str, verdict, fix: Option<&str>| Check {
        id: id.to_owned(),
        seen: seen.to_owned(),
        verdict,
        fix: fix.map(str::to_owned),
    };
    bench.take(Msg::Hand(Hand::Checked(Ok(vec![
        check("file limit", "65,536 files", Verdict::Pass, None),
        check(
            "rabbitmq",
            "nothing listens at localhost:5672",
            Verdict::Fail,
            Some("systemctl start rabbitmq-server"),
        ),
        check("clock", "0.8 s behind", Verdict::Warn, Some("timedatectl set-ntp true")),
    ]))));
    bench.seen("doctor");
    bench.press(KeyCode::Enter);
    bench.seen("doctor-confirm");
    bench.keys("y");
    bench.take(Msg::Hand(Hand::Line(Task::Fix, "Starting RabbitMQ \u{1b}[32mok".to_owned())));
    bench.seen("doctor-running");
    bench.take(Msg::Hand(Hand::Ended(Task::Fix, Ok(0))));
    bench.seen("doctor-ended");
}

#[test]
fn without_a_server_there_is_a_screen_that_says_what_to_do() {
    let mut bench = Bench::new();
    bench.hear(away());
    bench.seen("server-none");
    bench.press(KeyCode::Enter);
    bench.take(Msg::Hand(Hand::Line(Task::Demo, "listening on http://127.0.0.1:8080".to_owned())));
    bench.seen("server-starting");

    let mut bench = Bench::new();
    bench.app.kind_up = Some("nix/kind/kind-up.sh".to_owned());
    bench.hear(away());
    bench.press(KeyCode::Down);
    bench.press(KeyCode::Enter);
    for line in [
        r#"{"phase": "prerequisites", "state": "done", "text": "all there"}"#,
        r#"{"phase": "cluster", "state": "started", "text": "making observatory"}"#,
        "Creating cluster \"observatory\" \u{1b}[32m...",
    ] {
        bench.take(Msg::Hand(Hand::Line(Task::Kind, line.to_owned())));
    }
    bench.seen("server-kind");

    let mut bench = Bench::live();
    bench.keys("8");
    bench.seen("server-connected");

    let mut bench = Bench::new();
    let trouble = Trouble { status: 401, ..Trouble::new("a token is needed here") };
    bench.hear(News::Lost { trouble, again: Duration::from_secs(1) });
    bench.keys("secret");
    bench.seen("token");
}

#[test]
fn what_lies_over_a_view_is_seen_as_it_is_kept() {
    let mut bench = Bench::live();
    bench.keys("?");
    bench.seen("keys");
    bench.press(KeyCode::Esc);
    bench.keys(":do");
    bench.seen("command");
    bench.press(KeyCode::Esc);
    bench.keys("u");
    bench.seen("pages-loading");
    let registry: UiRegistry =
        serde_json::from_str(include_str!("../../../contracts/ui-registry.json")).unwrap();
    bench.got(Got::Registry(Ok(registry)));
    bench.press(KeyCode::Enter);
    let (url, why) = ("http://localhost:8080/".to_owned(), "there is no display here".to_owned());
    bench.take(Msg::Hand(Hand::Unopened { url, why }));
    bench.seen("pages");
    bench.press(KeyCode::Esc);
    bench.keys("n");
    bench.press(KeyCode::Enter);
    bench.seen("form-faults");
    bench.keys("email.send");
    bench.press(KeyCode::Enter);
    bench.seen("form-sending");
}

#[test]
fn in_ascii_nothing_else_is_drawn() {
    let mut bench = Bench::with(Look { theme: Theme::Mono, ascii: true, colors: false });
    bench.hear(News::Snapshot(Box::new(snapshot())));
    bench.got(Got::History(Ok(history())));
    bench.seen("overview-ascii");
    for keys in ["2", "3", "4", "5", "6", "7", "8", "?", "\u{1b}n"] {
        bench.keys(keys);
        for size in SIZES {
            let frame = bench.frame(size);
            assert!(frame.is_ascii(), "{frame}");
        }
    }
}

#[test]
fn where_there_is_no_room_it_is_said() {
    let mut bench = Bench::live();
    for size in [(39, 24), (80, 9), (1, 1)] {
        let frame = bench.frame(size);
        assert!(size == (1, 1) || frame.contains("At least 40 columns"), "{frame}");
    }
    // Between the two every view can be drawn.
    for width in [40, 47, 55, 57, 200] {
        for key in ["1", "2", "3", "4", "5", "6", "7", "8", "?", "q"] {
            bench.keys(key);
            assert!(!bench.frame((width, 10)).contains("At least"));
        }
        bench.app.quit = None;
    }
}
