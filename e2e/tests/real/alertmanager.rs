//! Alerts at a real Alertmanager, which may go away and forgets everything.

use e2e::Alertmanager;
use serde_json::{Value, json};

use super::support::kitchen::Kitchen;
use super::support::until;

/// What Alertmanager has that has not ended.
fn held(alertmanager: &Alertmanager) -> Option<Vec<Value>> {
    let url = format!("{}/api/v2/alerts?active=true", alertmanager.url());
    let text = ureq::get(url).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

#[test]
fn an_alert_fires_arrives_and_resolves() {
    let alertmanager = Alertmanager::start();
    let kitchen = Kitchen::open(&["--alertmanager-url", &alertmanager.url()]);
    let job = kitchen.cook("soup.cook");
    let alerts =
        until("the alert arrives", || held(&alertmanager).filter(|alerts| !alerts.is_empty()));
    let [alert] = &alerts[..] else { panic!("{alerts:?}") };
    let labels = json!({ "alertname": "Cooking", "severity": "page", "state": "EXECUTING",
                         "type": "soup.cook" });
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["annotations"]["summary"], "soup.cook: 1 on the stove");
    let link = alert["generatorURL"].as_str().unwrap();
    // It leads to the job.
    let query = link.split_once("/ui/jobs?").unwrap().1;
    let list = kitchen.role.get(&format!("/api/v1/jobs?{query}")).unwrap();
    assert_eq!((&list["total"], &list["items"][0]["id"]), (&json!(1), &json!(job)), "{link}");
    let ours = kitchen.role.get("/api/v1/alerts").unwrap();
    let at = |value: &Value| value.as_str().unwrap()[..19].to_owned();
    assert_eq!(at(&alert["startsAt"]), at(&ours["alerts"][0]["firedAt"]));

    kitchen.done("soup.cook", &job);
    until("it has ended there, too", || held(&alertmanager).filter(Vec::is_empty));
}

#[test]
fn an_alertmanager_that_was_away_has_every_episode_once_and_with_its_start() {
    let mut alertmanager = Alertmanager::start();
    let kitchen = Kitchen::open(&["--alertmanager-url", &alertmanager.url()]);
    let job = kitchen.cook("soup.cook");
    let one = |alertmanager: &Alertmanager| {
        held(alertmanager).filter(|alerts| !alerts.is_empty()).map(|alerts| {
            assert_eq!(alerts.len(), 1, "{alerts:?}");
            alerts[0]["startsAt"].clone()
        })
    };
    let began = until("the alert arrives", || one(&alertmanager));
    alertmanager.kill();
    // Another one begins while nobody takes it, so that there is something to be sent.
    kitchen.cook("tea.boil");
    until("it is noticed that alertmanager is away", || {
        kitchen.role.log().contains("alertmanager does not take our alerts").then_some(())
    });
    alertmanager.restart();
    let alerts = until("both are there", || held(&alertmanager).filter(|alerts| alerts.len() == 2));
    let soup = alerts.iter().find(|alert| alert["labels"]["type"] == "soup.cook").unwrap();
    assert_eq!(soup["startsAt"], began);

    // What ceases while it is away does not come back with it.
    alertmanager.kill();
    kitchen.done("soup.cook", &job);
    until("it has ceased here", || {
        let alerts = kitchen.role.get("/api/v1/alerts")?;
        (alerts["alerts"].as_array()?.len() == 1).then_some(())
    });
    alertmanager.restart();
    let alerts = until("the other is there again", || {
        held(&alertmanager).filter(|alerts| !alerts.is_empty())
    });
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["labels"]["type"], "tea.boil");
}
