//! When alerts are judged: not before what waits in the broker is in, and not without the broker.

use std::io::Write;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::program::{Role, World};
use super::support::crowd::Crowd;
use super::support::load::{insist, now};
use super::support::{runtime, until};

/// Whatever has not begun after three seconds. An age counts from the ten seconds in which it began.
const RULES: &str = "groups: [{name: test, rules: [
    {alert: Waits, expr: 'oldest_age_seconds > 13'},
    {alert: Many, expr: 'jobs > 0'}]}]";

fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(RULES.as_bytes()).unwrap();
    file
}

/// The names of the alerts that fire.
fn firing(api: &Role) -> Option<Vec<String>> {
    let snapshot = api.get("/api/v1/snapshot")?;
    let alerts = snapshot["alerts"].as_array()?.iter();
    let firing = alerts.filter(|alert| alert["state"] == "firing");
    Some(firing.map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect())
}

fn publish_a_job(world: &World) {
    use ingress::amqp::{Publisher, publisher};
    runtime().block_on(async {
        let config = publisher::Config::new(world.vhost.url().parse().unwrap(), "test");
        insist(&Publisher::start(config), Crowd::new(1).next(now())).await;
    });
}

#[test]
fn while_the_broker_is_away_no_alert_changes_and_then_the_time_has_counted() {
    let mut broker = e2e::Broker::start();
    let world = World::on(broker.vhost("judged"));
    let rules = rules();
    let rules = [("OBSERVATORY_RULES", rules.path().to_str().unwrap())];
    let _pipeline = world.start_with("pipeline", &rules);
    let api = world.ready("api");
    publish_a_job(&world);
    until("there is a job", || (firing(&api)? == ["Many"]).then_some(()));

    broker.kill();
    let as_of = |snapshot: &Value| snapshot["asOf"].as_str().map(str::to_owned);
    let since = as_of(&api.get("/api/v1/snapshot").unwrap()).unwrap();
    let micros = |time: &str| contracts::Micros::parse(time).unwrap().0;
    until("the job has waited for longer than the rule allows", || {
        let snapshot = api.get("/api/v1/snapshot")?;
        (micros(&as_of(&snapshot)?) > micros(&since) + 16_000_000).then_some(())
    });
    assert_eq!(firing(&api).unwrap(), ["Many"]);
    broker.restart();
    until("it is judged again", || (firing(&api)? == ["Many", "Waits"]).then_some(()));
}
