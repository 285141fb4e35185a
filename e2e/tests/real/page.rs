//! The page in Debian's Chromium, as people use it.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::program::Role;
use super::support::browser::{DESK, Look, Page, key};
use super::support::kitchen::{Kitchen, RULES};
use super::support::until;

/// What tells the text of a program from its data, or so one would think.
const HOSTILE: [&str; 8] = [
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "\"><svg onload=hit()>",
    "' onmouseover='hit()",
    "javascript:hit()",
    "</title></noscript><script>hit()</script>",
    "${hit()}{{hit()}}",
    "\u{202e}&lt;b&gt;&amp;",
];

/// A service on a folder of its own.
struct Service {
    folder: TempDir,
    role: Role,
}

impl Service {
    #[track_caller]
    fn start(arguments: &[&str]) -> Service {
        let folder = tempfile::tempdir().unwrap();
        let role = Role::alone(folder.path(), arguments);
        Service { folder, role }
    }

    fn address(&self) -> &str {
        &self.role.address
    }

    /// Submits a job; gives its id.
    #[track_caller]
    fn add(&self, job: &Value) -> String {
        let (status, answer) = self.role.post(job);
        assert_eq!(status, 202, "{answer}");
        answer["jobId"].as_str().unwrap().to_owned()
    }

    /// Submits jobs and waits until each has ended.
    #[track_caller]
    fn ended(&self, jobs: &[Value]) {
        let (status, answer) = self.role.post(&json!(jobs));
        assert_eq!(status, 202, "{answer}");
        until("all jobs have ended", || {
            let snapshot = self.role.get("/api/v1/snapshot")?;
            let ended = |row: &&Value| row["state"] == "COMPLETED" || row["state"] == "FAILED";
            let counts = snapshot["counts"].as_array()?.iter().filter(ended);
            let ended: u64 = counts.filter_map(|row| row["jobs"].as_u64()).sum();
            (ended == jobs.len() as u64 && snapshot["jobs"] == ended).then_some(())
        });
    }
}

/// So many jobs of a type, which take no time.
fn jobs(job_type: &str, n: usize, fail: bool) -> Vec<Value> {
    let simulate = json!({"delayMs": 1, "fail": fail});
    vec![json!({"type": job_type, "queue": "fast", "payload": {"simulate": simulate}}); n]
}

/// A number as the page writes it.
fn number(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

#[test]
fn every_view_opens_without_a_complaint_and_keeps_nobody_out() {
    let service = Service::start(&[]);
    service.ended(&[jobs("email.send", 30, false), jobs("email.digest", 7, true)].concat());
    let job = service.add(&json!({"type": "report.build"}));
    let narrow = Look { width: 360, height: 740, ..DESK };
    let dark = Look { dark: true, ..DESK };
    for look in [DESK, dark, narrow] {
        let page = Page::looked_at(service.address(), "/", look);
        page.shows("#standing-word", "live");
        let scheme = page.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]);
        assert_eq!(scheme, look.dark);
        let job = format!("/ui/jobs/{job}");
        let views = [
            "/",
            "/ui/jobs",
            &job,
            "/ui/alerts",
            "/ui/rules",
            "/ui/workers",
            "/ui/dataflow",
            "/ui/letters",
            "/ui/add",
        ];
        for view in views {
            page.goto(view);
            page.shows("#standing-word", "live");
            until("it has loaded", || page.texts("main [aria-busy]").is_empty().then_some(()));
            assert_eq!(page.barriers(), [""; 0], "{view} {look:?}");
            assert!(page.overhang() <= 0, "{view} {look:?} is {} px too wide", page.overhang());
            assert_eq!(page.complaints(), [""; 0], "{view} {look:?}");
        }
    }
    let docs = Page::open(service.address(), "/docs");
    docs.shows("main", "/api/v1/snapshot");
    assert_eq!((docs.barriers(), docs.complaints()), (vec![], vec![]));
}

#[test]
fn a_task_that_is_added_with_the_form_is_seen_to_begin_and_to_end() {
    let service = Service::start(&[]);
    let page = Page::open(service.address(), "/");
    page.shows("main", "No jobs yet");
    page.click("header nav a[data-view=add]");
    // What is wrong is said where it is, and nothing is sent.
    page.fill("#type", "bread.bake");
    page.fill("#payload", "{\"flour\": 9007199254740993,");
    page.click("main form button[type=submit]");
    page.shows("#payload-fault", "Not accepted");
    page.fill("#payload", "{\"flour\": 9007199254740993}");
    page.fill("#delay", "1500");
    page.click("main form button[type=submit]");
    page.shows("h1", "bread.bake");
    assert!(page.address().starts_with("/ui/jobs/"), "{}", page.address());
    page.shows("main .heading .state", "Executing");
    page.shows("main .heading .state", "Completed");
    page.shows("main .why", "job.completed");
    // A number that no double holds.
    page.shows("main", "9007199254740993");
    page.click("header nav a[data-view=overview]");
    page.shows(".tile.good b", "1");
}

#[test]
fn every_number_of_the_overview_leads_to_a_list_of_so_many_jobs() {
    let service = Service::start(&[]);
    service.ended(
        &[jobs("email.send", 30, false), jobs("email.digest", 7, true), jobs("=+1", 2, false)]
            .concat(),
    );
    let page = Page::open(service.address(), "/");
    page.shows(".conserved", "there are 39 jobs");
    until("the throughput is there", || page.text(".pair td a")?.parse::<u64>().ok());
    let links = "return [...document.querySelectorAll('main td a, main .tile, .conserved a')]
        .map((a) => [a.getAttribute('href'), (a.querySelector('b') ?? a).innerText])";
    let links = page.run(links, vec![]);
    let links = links.as_array().unwrap();
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        let (href, shown) = (link[0].as_str().unwrap(), number(link[1].as_str().unwrap()));
        page.goto(href);
        page.shows(".summary", "match");
        let total = number(&page.text(".summary strong").unwrap());
        assert_eq!(total, shown, "{href}");
        let rows = page.texts("main table.list tbody tr").len() as u64;
        assert_eq!(rows, total.min(50), "{href}");
    }
}

#[test]
fn a_filter_is_in_the_address_and_survives_a_reload_and_the_way_back() {
    let service = Service::start(&[]);
    service.ended(&[jobs("email.send", 53, false), jobs("email.digest", 7, true)].concat());
    let page = Page::open(service.address(), "/ui/jobs");
    page.shows(".summary", "60 jobs match");
    // The key for the filter; a suggestion is taken with the arrow and Enter.
    page.press("/");
    page.press("state:fa");
    page.shows("#suggestions li", "FAILED");
    page.press(&[key::DOWN, key::ENTER, key::ENTER].concat());
    page.shows(".summary", "7 jobs match");
    assert_eq!(page.address(), "/ui/jobs?q=state%3AFAILED");
    page.reload();
    page.shows(".summary", "7 jobs match");
    page.click("main table.list tbody tr:nth-child(2) a");
    page.shows("h1", "email.digest");
    page.back();
    page.shows(".summary", "7 jobs match");
    assert_eq!(page.run("return document.getElementById('filter').value", vec![]), "state:FAILED");
    page.back();
    page.shows(".summary", "60 jobs match");
    // The next page has what the first has not.
    page.click(".pages a[rel=next]");
    page.shows(".summary", "an older page of 10");
    // What cannot be read is pointed at.
    page.fill("#filter", &format!("state:failed typ:x{}", key::ENTER));
    page.shows("#filter-fault", "At character 14");
}

#[test]
fn a_page_goes_on_when_its_server_has_been_killed_and_started_again() {
    let mut service = Service::start(&[]);
    service.ended(&jobs("email.send", 5, false));
    let page = Page::open(service.address(), "/");
    page.shows(".conserved", "there are 5 jobs");
    let address = service.address().to_owned();
    service.role.kill();
    page.shows("#standing-word", "reconnecting");
    page.shows("#standing-word", "STALE");
    page.shows("#notice", "the last that arrived");
    service.role = Role::alone(service.folder.path(), &["--listen", &address]);
    page.shows("#standing-word", "live");
    page.shows(".conserved", "there are 5 jobs");
    assert_eq!(page.run("return document.getElementById('notice').hidden", vec![]), true);
    service.add(&json!({"type": "email.send"}));
    page.shows(".conserved", "there are 6 jobs");
}

#[test]
fn keys_go_everywhere_a_theme_stays_and_a_pause_stops_all() {
    let service = Service::start(&[]);
    let page = Page::open(service.address(), "/");
    page.shows("#standing-word", "live");
    for (keys, address) in
        [("gj", "/ui/jobs"), ("ga", "/ui/alerts"), ("gd", "/ui/dataflow"), ("go", "/")]
    {
        page.press(keys);
        until("the key has led there", || (page.address() == address).then_some(()));
    }
    page.press("?");
    page.shows("#help", "filter the jobs");
    page.press(key::ESCAPE);
    let theme = "return document.documentElement.dataset.theme ?? 'system'";
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(page.run(theme, vec![]), "system");
    page.press("t");
    let light = page.run(ground, vec![]);
    page.press("t");
    assert_eq!(page.run(theme, vec![]), "dark");
    page.reload();
    page.shows("#standing-word", "live");
    assert_eq!(page.run(theme, vec![]), "dark");
    assert_ne!(page.run(ground, vec![]), light);

    page.press("p");
    page.shows("#standing-word", "PAUSED");
    let asked = "return performance.getEntriesByType('resource').length";
    let before = page.run(asked, vec![]);
    service.add(&json!({"type": "email.send", "payload": {"simulate": {"delayMs": 1}}}));
    until("the job is there", || (service.role.get("/api/v1/counts")?["jobs"] == 1).then_some(()));
    page.shows(".conserved", "there are 0 jobs");
    assert_eq!(page.run(asked, vec![]), before, "it asks while it is paused");
    page.press("p");
    page.shows(".conserved", "there are 1 job");
}

#[test]
fn without_scripts_the_overview_and_the_list_are_tables() {
    let service = Service::start(&[]);
    service.ended(&[jobs("email.send", 3, false), jobs(HOSTILE[0], 2, true)].concat());
    let look = Look { scripts: false, ..DESK };
    let page = Page::looked_at(service.address(), "/", look);
    // Asked over the protocol: there are no scripts to ask with.
    let overview = page.whole_text();
    assert!(overview.contains("COMPLETED") && overview.contains(HOSTILE[0]), "{overview}");
    page.goto("/ui/jobs?state=FAILED");
    let jobs = page.whole_text();
    assert_eq!(jobs.matches(HOSTILE[0]).count(), 2, "{jobs}");
    assert!(!jobs.contains("email.send"), "{jobs}");
}

/// The creation of a job and its failure, in which every text would like to be a program.
fn hostile_events(job: Uuid, text: &str) -> [Value; 2] {
    let at = |second: i64| contracts::Micros((now() - 10 + second) * 1_000_000);
    let event = |kind: &str, second: i64| {
        json!({
            "contractVersion": "1.1.0", "eventType": kind, "eventId": Uuid::now_v7(),
            "occurredAt": at(second),
            "producer": { "service": text, "instanceId": text, "version": "1" },
            "correlationId": job, "idempotencyKey": text,
            "payload": { "id": job, "type": text, "status": text, "createdAt": at(0),
                         "queue": text, "worker": text, "metadata": { text: text },
                         "error": { "kind": text, "message": text } },
        })
    };
    [event("job.created", 0), event("job.failed", 1)]
}

/// Seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn what_jobs_are_called_and_say_stays_text() {
    let service = Service::start(&[]);
    let jobs = HOSTILE.map(|text| (Uuid::now_v7(), text));
    let events: Vec<Value> =
        jobs.iter().flat_map(|(job, text)| hostile_events(*job, text)).collect();
    let request = ureq::post(format!("http://{}/events", service.address()));
    request.header("content-type", "application/json").send(json!(events).to_string()).unwrap();
    let page = Page::open(service.address(), "/");
    page.run("window.hits = 0; window.hit = () => { window.hits += 1; }", vec![]);
    // Without loading the page again, so that whatever runs is counted.
    let follow = "const a = document.createElement('a'); a.href = arguments[0];
        document.body.append(a); a.click(); a.remove();";
    page.shows(".conserved", "there are 8 jobs");
    until("all types are shown", || {
        let shown = page.text("main")?;
        HOSTILE.iter().all(|text| shown.contains(text)).then_some(())
    });
    for by in ["type", "queue"] {
        page.run(follow, vec![format!("/?by={by}").into()]);
        page.shows(".matrix", HOSTILE[1]);
    }
    page.run(follow, vec!["/ui/jobs".into()]);
    page.shows(".summary", "8 jobs match");
    page.fill("#filter", "type:");
    page.shows("#suggestions", HOSTILE[1]);
    for (job, text) in jobs {
        page.run(follow, vec![format!("/ui/jobs/{job}").into()]);
        page.shows("main h1", text);
        page.shows("main pre.bad", &format!("{text}: {text}"));
        page.shows("main", "2 events");
    }
    page.run(follow, vec!["/ui/jobs/<img src=x onerror=hit()>".into()]);
    page.shows("main .notice", "To the list");
    let made = "return document.querySelectorAll('main script, main img, main [onerror], \
        main [onload], main [onmouseover], main a[href^=javascript]').length";
    assert_eq!(page.run(made, vec![]), 0);
    assert_eq!(page.run("return window.hits", vec![]), 0);
    // That last one is no id, and the browser says so of every such answer.
    let complaints = page.complaints();
    assert!(complaints.iter().all(|text| text.contains("400 (Bad Request)")), "{complaints:?}");
}

#[test]
fn whoever_has_the_token_signs_in_once_and_nobody_else_sees_anything() {
    let tokens = tempfile::tempdir().unwrap();
    let file = tokens.path().join("tokens");
    // The SHA-256 of "secret of bob".
    let hash = "0f66ae12bc9ba00d431d1c97d5a4b76355aa8e20a0954905b4cb0708dc82baa0";
    std::fs::write(&file, format!("bob read {hash}\n")).unwrap();
    let service = Service::start(&["--tokens-file", path(&file)]);
    let page = Page::open(service.address(), "/");
    page.shows("#session h2", "A token is needed");
    page.fill("#token", &format!("wrong{}", key::ENTER));
    page.shows("#session .fault", "token");
    page.fill("#token", &format!("secret of bob{}", key::ENTER));
    page.shows("#standing-word", "live");
    assert_eq!(page.run("return document.cookie", vec![]), "", "no script sees the token");
    page.reload();
    page.shows("#standing-word", "live");
    // Who may read may not write.
    page.click("header nav a[data-view=add]");
    page.fill("#type", "bread.bake");
    page.click("main form button[type=submit]");
    page.shows("main form .notice", "Not added");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_alert_is_acknowledged_and_silenced_and_both_can_be_taken_back() {
    let kitchen = Kitchen::open(&[]);
    kitchen.cook("soup");
    let page = Page::open(&kitchen.role.address, "/ui/alerts");
    page.shows("table.alerts tbody", "Cooking");
    page.click("table.alerts tbody td:last-child button:first-child");
    page.fill("#note-comment", "<b>mine</b>");
    page.click("dialog button[type=submit]");
    page.shows("table.alerts tbody", "seen by 127.0.0.1");
    page.shows("main", "<b>mine</b>");
    page.click("table.alerts tbody td:last-child button");
    page.click("dialog button[type=submit]");
    page.shows("table.alerts tbody", "silent until");
    page.shows("main", "alertname = Cooking");
    // The same from somebody else's tool.
    let notes = kitchen.role.get("/api/v1/notes").unwrap();
    assert_eq!(notes["items"].as_array().unwrap().len(), 2, "{notes}");
    for left in [1, 0] {
        page.click("main section:nth-of-type(3) tbody tr:first-child button");
        until("one is over", || {
            let notes = kitchen.role.get("/api/v1/notes")?;
            (notes["items"].as_array()?.len() == left).then_some(())
        });
        if left == 1 {
            until("it is gone from the list", || {
                (page.texts("main section:nth-of-type(3) tbody tr").len() == 1).then_some(())
            });
        }
    }
    page.shows("main", "Nothing is silent, and nothing is acknowledged.");
    assert_eq!((page.barriers(), page.complaints()), (vec![], vec![]));
}

#[test]
fn a_threshold_that_is_moved_shows_what_would_have_fired_before_it_is_put_in_force() {
    let kitchen = Kitchen::open(&[]);
    kitchen.cook("soup");
    until("it fires", || kitchen.fires("soup").then_some(()));
    let page = Page::open(&kitchen.role.address, "/ui/rules");
    page.shows("main", "1 as before");
    assert_eq!(page.texts(".sliders output"), ["0"]);
    // As a person would: with the keys of the slider.
    let slide = "const s = document.querySelector('.sliders input'); s.value = 5; \
                 s.dispatchEvent(new Event('input'))";
    page.run(slide, vec![]);
    page.shows("main", "1 fewer");
    page.shows(".sliders output", "5");
    assert_eq!(page.texts("main section.card td .good"), ["gone"]);
    // What is wrong is said, and nothing is put in force of it.
    page.fill("#rules-text", &RULES.replace("jobs{", "yobs{"));
    page.shows("pre[role=alert]", "did you mean jobs?");
    page.fill("#rules-text", &RULES.replace("> 0", "> 7"));
    page.shows("main", "1 fewer");
    page.click(".heading .primary");
    page.shows("main", "1 rule in force");
    let kept = kitchen.role.get("/api/v1/rules").unwrap();
    assert!(kept["yaml"].as_str().unwrap().contains("> 7"), "{kept}");
    until("it has ceased", || (!kitchen.fires("soup")).then_some(()));
    // The browser complains of the answer to the rules that were wrong, and of nothing else.
    let complaints = page.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("400")), "{complaints:?}");
    assert_eq!(page.barriers(), [""; 0]);
}
