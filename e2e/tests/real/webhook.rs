//! Alerts at a server of the operator's choice: each episode once at its start and once at its end,
//! whoever goes away in between; and nothing of what is silenced.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use e2e::Alertmanager;
use serde_json::{Value, json};

use super::program::Role;
use super::support::until;

/// Fires while a job of a type is being executed.
const RULES: &str = "
groups:
  - name: kitchen
    rules:
      - alert: Cooking
        expr: jobs{state=\"EXECUTING\"} by (type) > 0
        annotations: { summary: \"{{ $labels.type }} on the stove\" }
";

/// A server that takes messages, and answers with the status that it is told.
struct Receiver {
    url: String,
    status: Arc<Mutex<u16>>,
    messages: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (status, messages) = (Arc::new(Mutex::new(200)), Arc::<Mutex<Vec<Value>>>::default());
        let (told, kept) = (Arc::clone(&status), Arc::clone(&messages));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(message) = message(&stream) else { continue };
                let status = *told.lock().unwrap();
                if status == 200 {
                    kept.lock().unwrap().push(message);
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                drop((&stream).write_all(answer.as_bytes()));
            }
        });
        Receiver { url, status, messages }
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// What it was told so far, as `type status`, in the order in which it came.
    fn told(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        let alerts = messages.iter().flat_map(|message| message["alerts"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        alerts
            .map(|alert| format!("{} {}", text(&alert["labels"]["type"]), text(&alert["status"])))
            .collect()
    }
}

/// The body of a request that has the right token.
fn message(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut token) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.strip_prefix("content-length: ") {
            length = n.parse().ok()?;
        }
        token |= line == "authorization: bearer of-the-hook";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    assert!(token, "a request without its token");
    serde_json::from_slice(&body).ok()
}

struct Kitchen {
    role: Role,
    folder: tempfile::TempDir,
}

impl Kitchen {
    fn open(flags: &[&str]) -> Kitchen {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yaml");
        std::fs::write(&rules, RULES).unwrap();
        let role = Kitchen::role(folder.path(), flags);
        Kitchen { role, folder }
    }

    fn role(folder: &std::path::Path, flags: &[&str]) -> Role {
        let rules = folder.join("rules.yaml");
        let args = [&["--rules", rules.to_str().unwrap()], flags].concat();
        Role::alone(&folder.join("data"), &args)
    }

    /// Begins to cook something, for as long as nobody says that it is done.
    fn cook(&self, dish: &str) -> String {
        let hang = json!({ "type": dish, "payload": { "simulate": { "hang": true } } });
        let (status, answer) = self.role.post(&hang);
        assert_eq!(status, 202, "{answer}");
        answer["jobId"].as_str().unwrap().to_owned()
    }

    fn done(&self, dish: &str, job: &str) {
        let now = self.role.get("/api/v1/snapshot").unwrap()["asOf"].clone();
        let event = json!({
            "contractVersion": "1.1.0", "eventType": "job.completed",
            "eventId": uuid::Uuid::now_v7(), "occurredAt": now,
            "producer": { "service": "kitchen", "instanceId": "1", "version": "1" },
            "correlationId": job, "idempotencyKey": "done",
            // A restart begins another attempt.
            "payload": { "id": job, "type": dish, "status": "COMPLETED", "createdAt": now, "attempt": 9 },
        });
        self.send("/events", &event, 202);
    }

    fn send(&self, path: &str, body: &Value, expected: u16) -> Value {
        let request = ureq::post(format!("http://{}{path}", self.role.address));
        let request = request.header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        assert_eq!(answer.status(), expected);
        answer.body_mut().read_to_string().unwrap().parse().unwrap()
    }

    fn silence(&self, dish: &str) -> String {
        let note = json!({
            "kind": "silence", "matchers": [{ "name": "type", "value": dish }],
            "endsAt": "2099-01-01T00:00:00Z", "comment": "known",
        });
        self.send("/api/v1/notes", &note, 201)["id"].as_str().unwrap().to_owned()
    }

    fn end(&self, note: &str) {
        let url = format!("http://{}/api/v1/notes/{note}", self.role.address);
        assert_eq!(ureq::delete(url).call().unwrap().status(), 204);
    }

    fn fires(&self, dish: &str) -> bool {
        let alerts = self.role.get("/api/v1/alerts").unwrap();
        let mut alerts = alerts["alerts"].as_array().unwrap().iter();
        alerts.any(|alert| alert["labels"]["type"] == dish && alert["state"] == "firing")
    }
}

#[test]
fn an_episode_is_told_once_at_its_start_and_once_at_its_end_over_a_restart() {
    let hook = Receiver::start();
    let flags = ["--alert-webhook", &hook.url, "--alert-webhook-token", "of-the-hook"];
    let mut kitchen = Kitchen::open(&flags);
    let soup = kitchen.cook("soup");
    until("the start is told", || (hook.told() == ["soup firing"]).then_some(()));
    let message = hook.messages.lock().unwrap()[0].clone();
    assert_eq!((&message["version"], &message["status"]), (&json!("4"), &json!("firing")));
    assert_eq!(message["commonLabels"]["alertname"], "Cooking");
    assert_eq!(message["alerts"][0]["annotations"]["summary"], "soup on the stove");
    let link = message["alerts"][0]["generatorURL"].as_str().unwrap().to_owned();
    assert!(link.contains("/ui/jobs?") && link.contains("type=soup"), "{link}");

    // It does not take the next, and we are killed meanwhile.
    hook.answers(503);
    let tea = kitchen.cook("tea");
    until("it is noticed", || {
        kitchen.role.log().contains("does not take our alerts").then_some(())
    });
    kitchen.role.kill();
    kitchen.role = Kitchen::role(kitchen.folder.path(), &flags);
    until("the alerts are there again", || {
        (kitchen.fires("soup") && kitchen.fires("tea")).then_some(())
    });
    hook.answers(200);
    until("the other start is told", || {
        hook.told().contains(&"tea firing".to_owned()).then_some(())
    });
    kitchen.done("soup", &soup);
    kitchen.done("tea", &tea);
    until("both ends are told", || (hook.told().len() >= 4).then_some(()));
    let mut told = hook.told();
    told.sort();
    assert_eq!(told, ["soup firing", "soup resolved", "tea firing", "tea resolved"]);
}

#[test]
fn what_is_silenced_is_told_when_the_silence_ends_and_an_end_is_always_told() {
    let hook = Receiver::start();
    let flags = ["--alert-webhook", &hook.url, "--alert-webhook-token", "of-the-hook"];
    let kitchen = Kitchen::open(&flags);
    let soup = kitchen.cook("soup");
    until("the start is told", || (hook.told() == ["soup firing"]).then_some(()));
    let (of_soup, of_tea) = (kitchen.silence("soup"), kitchen.silence("tea"));
    kitchen.cook("tea");
    until("it fires", || kitchen.fires("tea").then_some(()));
    kitchen.done("soup", &soup);
    // Told in silence, as the start was told without; by then tea would have been told, too.
    until("the end is told", || (hook.told().len() >= 2).then_some(()));
    assert_eq!(hook.told(), ["soup firing", "soup resolved"]);
    kitchen.end(&of_tea);
    until("the start is told late", || (hook.told().len() >= 3).then_some(()));
    assert_eq!(hook.told()[2], "tea firing");
    kitchen.end(&of_soup);
}

#[test]
fn a_silence_is_one_of_alertmanager_too_until_it_is_ended() {
    let mut alertmanager = Alertmanager::start();
    let url = alertmanager.url();
    let kitchen = Kitchen::open(&["--alertmanager-url", &url]);
    kitchen.cook("soup");
    let states = |alertmanager: &Alertmanager| -> Option<Vec<String>> {
        let url = format!("{}/api/v2/alerts", alertmanager.url());
        let text = ureq::get(url).call().ok()?.body_mut().read_to_string().ok()?;
        let alerts: Vec<Value> = serde_json::from_str(&text).ok()?;
        Some(alerts.iter().map(|it| it["status"]["state"].as_str().unwrap().to_owned()).collect())
    };
    let becomes = |what: &str, alertmanager: &Alertmanager, state: &str| {
        until(what, || states(alertmanager).filter(|states| states == &[state]));
    };
    becomes("it is not silent", &alertmanager, "active");
    let note = kitchen.silence("soup");
    becomes("it is silent", &alertmanager, "suppressed");
    // It comes back knowing nothing, or its silences; there is one in any case.
    alertmanager.kill();
    let dish = kitchen.cook("tea");
    until("it is noticed that alertmanager is away", || {
        kitchen.role.log().contains("alertmanager does not take our alerts").then_some(())
    });
    kitchen.done("tea", &dish);
    alertmanager.restart();
    becomes("it is silent again", &alertmanager, "suppressed");
    kitchen.end(&note);
    becomes("it speaks again", &alertmanager, "active");
}
