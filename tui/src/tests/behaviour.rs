//! What keys, answers and hostile texts do.

use cpu_time::ThreadTime;

use super::*;
use crate::keys::Action;
use crate::spot::Spot;

#[test]
fn every_key_of_a_view_is_told_by_its_help() {
    for place in keys::VIEWS {
        let Place::View(view) = *place else { panic!("{place:?} is no view") };
        let mut bench = Bench::live();
        match view {
            View::Job => bench.app.go(Spot::Job(id(1))),
            view => bench.app.go(Spot::View(view)),
        }
        bench.keys("?");
        for size in [(200, 60), (80, 60), (60, 60)] {
            let frame = bench.frame(size);
            for binding in keys::bound(*place) {
                let told = format!("{:<11} {}", binding.names(), binding.words);
                assert!(frame.contains(told.trim_end()), "{told} in {view:?}\n{frame}");
            }
        }
    }
}

#[test]
fn what_lies_over_a_view_tells_its_keys_in_its_last_line() {
    let mut bench = Bench::live();
    for (keys, place) in [
        (":", Place::Command),
        ("/", Place::Filter),
        ("n", Place::Form),
        ("u", Place::Launcher),
        ("?", Place::Help),
    ] {
        bench.keys(keys);
        assert_eq!(bench.app.place(), place);
        let frame = bench.frame((200, 40));
        let told = |one: &keys::Binding| match one.moves() {
            true => format!("{} ", one.name()),
            false => format!("{} {}", one.name(), one.words),
        };
        let missing = keys::bound(place)
            .filter(|one| one.action != Action::Close && !frame.contains(&told(one)))
            .count();
        assert_eq!(missing, 0, "{frame}");
        bench.press(KeyCode::Esc);
    }
}

#[test]
fn every_action_of_a_key_does_something_or_says_why_not() {
    // No key may bring the program down, wherever it is pressed, with anything known or nothing.
    for mut bench in [Bench::new(), Bench::live()] {
        for place in keys::VIEWS {
            let Place::View(view) = *place else { continue };
            for binding in keys::bound(*place) {
                let spot = if view == View::Job { Spot::Job(id(1)) } else { Spot::View(view) };
                bench.app.go(spot);
                bench.app.perform(binding.action);
                bench.frame((80, 24));
                bench.app.over = None;
                bench.app.quit = None;
            }
        }
    }
}

/// Every text that a server can send, with everything in it that a terminal would obey.
const HOSTILE: &str =
    "\u{1b}]52;c;aGk=\u{7}\u{1b}[2J\u{9b}31m\u{202e}evil\u{2066}\u{200b}\u{0}\n\r\u{7f}日本";

#[test]
fn no_text_of_a_server_is_obeyed_by_a_terminal() {
    let hostile = || HOSTILE.to_owned();
    let mut snapshot = snapshot();
    for row in &mut snapshot.counts {
        (row.job_type, row.queue, row.worker) = (hostile(), hostile(), hostile());
    }
    snapshot.counts.truncate(1);
    for row in &mut snapshot.latency {
        row.job_type = row.job_type.as_ref().map(|_| hostile());
    }
    for row in &mut snapshot.throughput {
        row.job_type = row.job_type.as_ref().map(|_| hostile());
    }
    for row in &mut snapshot.alerts {
        row.alert = hostile();
        row.labels = [(hostile(), hostile())].into();
    }
    for ascii in [false, true] {
        let mut bench = Bench::with(Look { theme: Theme::Terminal, ascii, colors: true });
        bench.hear(News::Snapshot(Box::new(snapshot.clone())));
        let check = |bench: &mut Bench| {
            for size in SIZES {
                let frame = bench.frame(size).replace('\n', "");
                let bad = frame.chars().find(|c| {
                    c.is_control()
                        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                        || ascii && !c.is_ascii()
                });
                assert_eq!(bad, None, "{frame}");
            }
        };
        check(&mut bench);
        bench.keys("2");
        let mut list = page(0, 5, 5);
        for job in &mut list.items {
            (job.job_type, job.queue, job.worker) = (hostile(), Some(hostile()), Some(hostile()));
            job.error = Some(ErrorInfo { kind: hostile(), message: hostile() });
        }
        let turn = bench.turn();
        bench.got(Got::Jobs { turn, page: 0, found: Ok(list) });
        bench.keys("e");
        check(&mut bench);
        bench.press(KeyCode::Enter);
        let mut told = told();
        told.job.id = id(0);
        told.job.job_type = hostile();
        told.job.error = Some(ErrorInfo { kind: hostile(), message: hostile() });
        told.job.attempts[0].worker = Some(hostile());
        told.job.timeline[1].worker = Some(hostile());
        told.payload = Some(format!("{{\"a\": \"{HOSTILE}\"}}"));
        bench.got(Got::Job { id: id(0), found: Ok(Box::new(told)) });
        check(&mut bench);
        bench.keys("3");
        bench.got(Got::Resolved(Err(Trouble::new(HOSTILE))));
        check(&mut bench);
        bench.keys("4");
        bench.got(Got::Dataflow { found: Err(Trouble::new(HOSTILE)), at: now() });
        bench.got(Got::Workers(Err(Trouble::new(HOSTILE))));
        check(&mut bench);
        let mut labels = snapshot.alerts.clone();
        labels[0].state = AlertState::Resolved;
        bench.hear(News::Delta(Box::new(Delta { alerts: labels, ..Delta::default() })));
        bench.keys("6e");
        check(&mut bench);
        bench.keys("7");
        let fix = Some(hostile());
        let check_of = Check { id: hostile(), seen: hostile(), verdict: Verdict::Fail, fix };
        bench.take(Msg::Hand(Hand::Checked(Ok(vec![check_of]))));
        check(&mut bench);
        bench.press(KeyCode::Enter);
        check(&mut bench);
        bench.keys("y");
        bench.take(Msg::Hand(Hand::Line(Task::Fix, hostile())));
        check(&mut bench);
        bench.press(KeyCode::Esc);
        bench.keys("8");
        bench.take(Msg::Hand(Hand::Line(Task::Demo, hostile())));
        bench.hear(News::Lost { trouble: Trouble::new(HOSTILE), again: Duration::ZERO });
        check(&mut bench);
        bench.keys("/type:");
        check(&mut bench);
        bench.press(KeyCode::Esc);
        bench.keys("n");
        bench.take(Msg::Input(Event::Paste(hostile())));
        check(&mut bench);
    }
}

/// The paths of the lists that were asked for.
fn lists(bench: &mut Bench) -> Vec<(u64, usize, String)> {
    let one = |order| match order {
        Order::Ask(Ask::Jobs { turn, page, path }) => Some((turn, page, path)),
        _ => None,
    };
    bench.orders().into_iter().filter_map(one).collect()
}

#[test]
fn a_list_is_read_on_by_cursor_and_only_some_pages_of_it_are_held() {
    let mut bench = Bench::live();
    bench.keys("2");
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(0, 200, 1_000)) });
    bench.frame((80, 24));
    bench.keys("G");
    let asked = lists(&mut bench);
    assert_eq!(asked, [(turn, 1, "/api/v1/jobs?limit=200&cursor=after-199".to_owned())]);
    for n in 1..5 {
        bench.got(Got::Jobs { turn, page: n, found: Ok(page(n as u64 * 200, 200, 1_000)) });
        assert_eq!(lists(&mut bench).len(), usize::from(n < 4), "page {n}");
    }
    let frame = bench.frame((80, 24));
    assert!(frame.contains("rows 984–1,000 of 1,000"), "{frame}");
    // Into a job and back: the place is kept.
    bench.press(KeyCode::Enter);
    bench.press(KeyCode::Esc);
    assert_eq!(lists(&mut bench), []);
    assert!(bench.frame((80, 24)).contains("rows 984–1,000 of 1,000"));
    // Up again: pages that were let go are asked for by the cursors that led there.
    for _ in 0..80 {
        bench.take(Msg::Input(Event::Key(KeyEvent::new(KeyCode::PageUp, KeyModifiers::NONE))));
        bench.frame((80, 24));
    }
    assert_eq!(
        lists(&mut bench),
        [(turn, 1, "/api/v1/jobs?limit=200&cursor=after-199".to_owned())]
    );
    bench.got(Got::Jobs { turn, page: 1, found: Ok(page(200, 200, 1_000)) });
    bench.keys("g");
    assert_eq!(lists(&mut bench).first().map(|(_, page, _)| *page), Some(0));
}

#[test]
fn an_answer_to_a_question_that_is_no_longer_asked_changes_nothing() {
    let mut bench = Bench::live();
    bench.keys("2");
    let old = bench.turn();
    bench.keys("/state:failed");
    bench.press(KeyCode::Enter);
    let new = bench.turn();
    assert_ne!(old, new);
    bench.got(Got::Jobs { turn: old, page: 0, found: Ok(page(0, 50, 50)) });
    assert!(bench.frame((80, 24)).contains("Reading the list"));
    bench.got(Got::Jobs { turn: new, page: 0, found: Ok(page(0, 7, 7)) });
    let frame = bench.frame((80, 24));
    assert!(frame.contains("/ state:failed · rows 1–7 of 7"), "{frame}");
}

#[test]
fn a_list_whose_jobs_change_is_read_again_after_two_seconds_and_the_selected_job_stays() {
    let mut bench = Bench::live();
    bench.keys("2");
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(10, 50, 50)) });
    bench.frame((80, 24));
    bench.keys("jj");
    let changed = Delta { as_of: Some(now()), changed_jobs: vec![id(1)], ..Delta::default() };
    bench.hear(News::Delta(Box::new(changed.clone())));
    assert_eq!(lists(&mut bench), []);
    bench.later(Duration::from_millis(2_100));
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(5, 50, 55)) });
    // Five new jobs came above it.
    assert_eq!(bench.app.cursor(0).at, 7);
    // Frozen, nothing is read again.
    bench.keys("f");
    bench.hear(News::Delta(Box::new(changed)));
    bench.later(Duration::from_secs(9));
    assert_eq!(lists(&mut bench), []);
}

#[test]
fn a_key_is_drawn_within_fifty_milliseconds_with_a_hundred_thousand_jobs_behind_the_list() {
    let mut bench = Bench::live();
    bench.keys("2");
    let turn = bench.turn();
    for n in 0..4 {
        let found = Ok(page(n * 200, 200, 100_000));
        bench.got(Got::Jobs { turn, page: usize::try_from(n).unwrap(), found });
        bench.keys("G");
    }
    bench.frame((120, 40));
    // Time of the processor: other tests may have the other.
    let mut times: Vec<_> = (0..100)
        .map(|i| {
            let began = ThreadTime::now();
            bench.keys(if i % 3 == 0 { "k" } else { "j" });
            bench.frame((120, 40));
            began.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[98] < Duration::from_millis(50), "{times:?}");
}

#[test]
fn a_number_leads_to_the_jobs_behind_it_and_esc_leads_back() {
    let mut bench = Bench::live();
    bench.frame((80, 24));
    bench.keys("jjjjj");
    bench.press(KeyCode::Enter);
    let asked = lists(&mut bench);
    assert_eq!(asked[0].2, "/api/v1/jobs?limit=200&q=state%3AFAILED");
    bench.press(KeyCode::Esc);
    assert_eq!(bench.app.view(), View::Overview);

    // Of the latency of a type: those that ended within the window.
    bench.press(KeyCode::Tab);
    bench.press(KeyCode::Tab);
    bench.frame((80, 24));
    bench.keys("j");
    bench.press(KeyCode::Enter);
    let asked = lists(&mut bench);
    assert_eq!(
        asked[0].2,
        "/api/v1/jobs?limit=200&q=type%3Aemail.send&finishedAfter=2026-11-21T09%3A55%3A00.000000Z"
    );
    bench.press(KeyCode::Esc);

    bench.keys("3");
    bench.frame((80, 24));
    bench.press(KeyCode::Enter);
    assert_eq!(bench.app.jobs.filter.q, "state:FAILED type:email.send");
}

#[test]
fn a_task_is_sent_once_and_then_shown_and_waiting_for_the_answer_takes_keys() {
    let mut bench = Bench::live();
    bench.keys("nemail.send");
    bench.press(KeyCode::Enter);
    bench.press(KeyCode::Enter);
    let sent: Vec<_> = bench
        .orders()
        .into_iter()
        .filter(|order| matches!(order, Order::Ask(Ask::Submit { body, .. }) if body == "{\"type\":\"email.send\"}"))
        .collect();
    assert_eq!(sent.len(), 1);
    assert!(bench.frame((80, 24)).contains("Adding …"));
    let accepted = JobAccepted { job_id: id(9), event_id: id(10) };
    bench.got(Got::Submitted(Ok(accepted)));
    assert_eq!(bench.app.view(), View::Job);
    assert!(bench.orders().contains(&Order::Ask(Ask::Job(id(9)))));
}

#[test]
fn what_is_to_repair_something_runs_only_once_it_is_confirmed() {
    let mut bench = Bench::live();
    bench.keys("7");
    let fix = Some("true".to_owned());
    let check = Check { id: "a".to_owned(), seen: String::new(), verdict: Verdict::Fail, fix };
    bench.take(Msg::Hand(Hand::Checked(Ok(vec![check]))));
    let runs = |bench: &mut Bench| {
        bench.orders().iter().any(|order| matches!(order, Order::Run(Task::Fix, _)))
    };
    bench.frame((80, 24));
    bench.press(KeyCode::Enter);
    bench.press(KeyCode::Enter);
    assert!(!runs(&mut bench));
    bench.keys("n");
    assert!(!runs(&mut bench));
    bench.press(KeyCode::Enter);
    bench.keys("y");
    assert!(runs(&mut bench));
    bench.press(KeyCode::Esc);
    bench.keys("y");
    assert_eq!(bench.orders(), [Order::Copy("true".to_owned())]);
}

#[test]
fn without_a_server_the_screen_for_it_comes_and_goes_by_itself() {
    let mut bench = Bench::new();
    bench.hear(away());
    assert_eq!(bench.app.view(), View::Server);
    bench.press(KeyCode::Enter);
    let command = ["observatory", "up", "--demo", "--listen", "127.0.0.1:8080"].map(str::to_owned);
    assert_eq!(bench.orders(), [Order::Run(Task::Demo, command.to_vec())]);
    bench.take(Msg::Hand(Hand::Line(Task::Demo, "listening".to_owned())));
    assert_eq!(bench.orders(), [Order::Wake]);
    bench.hear(News::Snapshot(Box::new(snapshot())));
    assert_eq!(bench.app.view(), View::Overview);

    // Another address is another server.
    bench.keys("8jj");
    bench.press(KeyCode::Enter);
    bench.keys("https://there");
    bench.press(KeyCode::Enter);
    assert!(bench.frame((80, 24)).contains("https is not spoken here"));
    bench.take(Msg::Input(Event::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL))));
    bench.keys("there:1");
    bench.press(KeyCode::Enter);
    let url = "http://there:1".to_owned();
    assert!(bench.orders().contains(&Order::Move { url, token: None }));
    assert!(bench.app.live.views().is_none());
}

#[test]
fn a_cluster_is_made_by_a_script_whose_progress_is_told() {
    let script = |name: &str| format!("{}/src/tests/kind/{name}.sh", env!("CARGO_MANIFEST_DIR"));
    let (out, heard) = std::sync::mpsc::channel();
    let hands = crate::hands::Hands::new(out);

    let mut bench = Bench::new();
    bench.hear(away());
    bench.press(KeyCode::Down);
    bench.press(KeyCode::Enter);
    assert_eq!(bench.orders(), [], "there is no script to run");
    assert!(bench.frame((120, 40)).contains("--kind-up"));

    let run = |bench: &mut Bench, script: String| {
        bench.app.kind_up = Some(script.clone());
        bench.press(KeyCode::Enter);
        let orders = bench.orders();
        let [Order::Run(Task::Kind, command)] = &orders[..] else { panic!("{orders:?}") };
        assert_eq!(*command, [script, "--json".to_owned()]);
        assert!(bench.frame((120, 40)).contains("Stop making the cluster"));
        hands.run(Task::Kind, command.clone());
        for msg in &heard {
            let ended = matches!(msg, Msg::Hand(Hand::Ended(..)));
            bench.take(msg);
            if ended {
                break;
            }
        }
        bench.frame((120, 40))
    };
    let frame = run(&mut bench, script("up"));
    for line in [
        "The cluster is up:",
        "✓ prerequisites: all there",
        "· cluster: observatory is there",
        "✓ up: up",
        "Grafana: http://localhost:3002/",
        "Creating cluster \"observatory\" ...",
    ] {
        assert!(frame.contains(line), "{line} is not in\n{frame}");
    }
    assert!(!frame.contains("looking for"), "{frame}");
    // Somebody is there now, and is asked at once.
    assert_eq!(bench.orders(), [Order::Wake]);

    let frame = run(&mut bench, script("broken"));
    assert!(frame.contains("The cluster is not up"), "{frame}");
    assert!(frame.contains("✗ ready: api is not ready"), "{frame}");
    assert!(frame.contains("fix: kubectl describe deployment/api"), "{frame}");
    assert_eq!(bench.orders(), []);
}

#[test]
fn a_server_that_asks_for_a_token_is_asked_for_one_once() {
    let mut bench = Bench::new();
    let lost = || {
        let trouble = Trouble { status: 401, ..Trouble::new("a token is needed here") };
        News::Lost { trouble, again: Duration::from_secs(1) }
    };
    bench.hear(lost());
    assert_eq!(bench.app.place(), Place::Entry);
    let frame = bench.frame((80, 24));
    bench.keys("secret");
    assert!(!frame.contains("secret") && bench.frame((80, 24)).contains("******"));
    bench.press(KeyCode::Esc);
    bench.hear(lost());
    assert_eq!(bench.app.place(), Place::View(View::Overview));
}

#[test]
fn a_click_selects_and_a_second_one_goes_in_and_the_wheel_scrolls() {
    let mut bench = Bench::live();
    bench.frame((80, 24));
    let click = MouseEventKind::Down(MouseButton::Left);
    // The eighth column of the tabs is within `1 Overview`; the next are within `2 Jobs`.
    bench.mouse(click, 13, 1);
    assert_eq!(bench.app.view(), View::Jobs);
    let turn = bench.turn();
    bench.got(Got::Jobs { turn, page: 0, found: Ok(page(0, 200, 200)) });
    bench.frame((80, 24));
    bench.mouse(MouseEventKind::ScrollDown, 10, 10);
    assert_eq!(bench.app.cursor(0).at, 3);
    bench.mouse(click, 10, 10);
    let at = bench.app.cursor(0).at;
    assert_ne!(at, 3);
    assert_eq!(bench.app.view(), View::Jobs);
    bench.mouse(click, 10, 10);
    assert_eq!(bench.app.view(), View::Job);
    assert_eq!(
        bench.take(Msg::Input(Event::Mouse(MouseEvent {
            kind: MouseEventKind::Moved,
            column: 1,
            row: 1,
            modifiers: KeyModifiers::NONE,
        }))),
        Due::Never
    );
}

#[test]
fn the_locale_and_the_environment_decide_how_it_looks() {
    let options = |ascii, color| crate::Options {
        url: String::new(),
        token: None,
        ascii,
        color,
        program: "observatory".into(),
        kind_up: None,
    };
    let look = |ascii, color, env: &[(&str, &str)]| {
        let get = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let look = crate::look(&options(ascii, color), &get);
        (look.ascii, look.theme)
    };
    use crate::Color::{Always, Auto, Never};
    let utf8 = [("LANG", "de_DE.UTF-8"), ("TERM", "xterm")];
    assert_eq!(look(false, Auto, &utf8), (false, Theme::Terminal));
    assert_eq!(look(true, Auto, &utf8), (true, Theme::Terminal));
    assert_eq!(look(false, Never, &utf8), (false, Theme::Mono));
    let posix = [("LC_ALL", "C"), ("LANG", "de_DE.UTF-8"), ("TERM", "xterm"), ("NO_COLOR", "1")];
    assert_eq!(look(false, Auto, &posix), (true, Theme::Mono));
    assert_eq!(look(false, Always, &posix), (true, Theme::Terminal));
    assert_eq!(look(false, Auto, &[("TERM", "dumb")]), (true, Theme::Mono));
}

#[test]
fn what_is_said_of_an_alert_is_confirmed_first_and_can_be_taken_back() {
    use contracts::notes::NewNote;

    let mut bench = Bench::live();
    bench.keys("3");
    let said = |bench: &mut Bench| -> Vec<NewNote> {
        let note = |order| match order {
            Order::Ask(Ask::Note { body }) => serde_json::from_str(&body).ok(),
            _ => None,
        };
        bench.orders().into_iter().filter_map(note).collect()
    };
    // No is an answer, too.
    bench.keys("an");
    assert_eq!(said(&mut bench), []);
    bench.keys("ay");
    let NewNote::Acknowledgement { alert, labels, .. } = &said(&mut bench)[0] else { panic!() };
    let first = bench.app.live.views().unwrap().alerts.values();
    let first = first.min_by_key(|row| row.state != AlertState::Firing).unwrap();
    assert_eq!((alert, labels), (&first.alert, &first.labels));
    bench.keys("sy");
    let NewNote::Silence { matchers, ends_at, .. } = &said(&mut bench)[0] else { panic!() };
    assert_eq!((matchers[0].name.as_str(), &matchers[0].value), ("alertname", alert));
    assert_eq!(ends_at.0 - bench.app.now.0, 3_600_000_000);

    // There must be something to take back, and it must be pointed at.
    bench.keys("x");
    assert!(bench.app.said().unwrap().0.contains("Tab"));
    bench.got(Got::Notes(Ok((super::frames::said(), super::frames::received()))));
    bench.press(KeyCode::Tab);
    bench.keys("xy");
    let end = Order::Ask(Ask::EndNote(uuid::Uuid::from_u128(1)));
    assert!(bench.orders().contains(&end));
    bench.got(Got::Noted(Err(Trouble { status: 403, ..Trouble::new("this needs `write`") })));
    assert_eq!(bench.app.said().unwrap().0, "Not done: this needs `write`");
    assert!(bench.orders().contains(&Order::Ask(Ask::Notes)), "what is there now");
}
