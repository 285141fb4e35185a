//! Alerts at a server of the operator's choice: each episode once at its start and once at its end,
//! whoever goes away in between; and nothing of what is silenced.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use e2e::Alertmanager;
use serde_json::{Value, json};

use super::support::kitchen::Kitchen;
use super::support::until;

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
    assert_eq!(message["alerts"][0]["annotations"]["summary"], "soup: 1 on the stove");
    let link = message["alerts"][0]["generatorURL"].as_str().unwrap().to_owned();
    assert!(link.contains("/ui/jobs?") && link.contains("type=soup"), "{link}");

    // It does not take the next, and we are killed meanwhile.
    hook.answers(503);
    let tea = kitchen.cook("tea");
    until("it is noticed", || {
        kitchen.role.log().contains("does not take our alerts").then_some(())
    });
    kitchen.role.kill();
    kitchen.open_again();
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
