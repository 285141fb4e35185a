//! What it is started with: what it takes, and what it refuses, with a way out.

use std::net::TcpListener;

use contracts::State;
use serde_json::json;

use super::support::program::{Run, arg, file, observatory, run};
use super::support::service::{Service, database};
use super::{RULES, folder};

/// Runs `up` to its end, which is a failure.
fn refused(args: &[&str]) -> String {
    run(&[&["up"], args].concat()).complaint()
}

#[test]
fn an_address_in_use_is_told_with_a_way_out() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let complaint = refused(&["--data-dir", arg(folder.path()), "--listen", &address]);
    assert!(complaint.contains(&address) && complaint.contains("--listen"), "{complaint}");
    assert!(complaint.contains("in use"), "{complaint}");
}

#[test]
fn a_data_folder_that_is_none_is_told_with_a_way_out() {
    let folder = folder();
    let in_its_place = file(folder.path(), "data", "something");
    for path in [in_its_place.clone(), in_its_place.join("below")] {
        let complaint = refused(&["--data-dir", arg(&path), "--listen", "127.0.0.1:0"]);
        assert!(complaint.contains(arg(&path)), "{complaint}");
        assert!(complaint.contains("--data-dir"), "{complaint}");
    }
    assert_eq!(std::fs::read_to_string(in_its_place).unwrap(), "something");
}

#[test]
fn a_password_in_the_address_of_another_celery_is_not_repeated() {
    let folder = folder();
    for source in ["eu=amqp://u:s3cret@h/", "amqp://u:s3=cret@h/%2f", "e u=amqp://u:s3cret@h"] {
        let args = ["--data-dir", arg(folder.path()), "--rabbitmq-url", "amqp://127.0.0.1:1/%2f"];
        let complaint = refused(&[&args[..], &["--celery-source", source]].concat());
        assert!(complaint.contains("--celery-source"), "{complaint}");
        assert!(!complaint.contains("s3"), "{complaint}");
    }
    let same = "amqp://127.0.0.1:1/%2f";
    let twice = format!("eu={same}");
    let args = ["--data-dir", arg(folder.path()), "--rabbitmq-url", same, "--celery"];
    let complaint = refused(&[&args[..], &["--celery-source", &twice]].concat());
    assert!(complaint.contains("watched already"), "{complaint}");
}

#[test]
fn a_database_that_is_none_is_named() {
    let folder = folder();
    let other = file(folder.path(), "observatory.sqlite", "a letter to a friend\n".repeat(500));
    let complaint = refused(&["--data-dir", arg(folder.path()), "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains("observatory.sqlite"), "{complaint}");
    assert!(std::fs::read_to_string(other).unwrap().starts_with("a letter"), "it is left alone");
}

#[test]
fn a_second_service_on_a_folder_is_refused_and_the_first_goes_on() {
    let folder = folder();
    let service = Service::start(folder.path());
    let complaint = refused(&["--data-dir", arg(folder.path()), "--listen", "127.0.0.1:0"]);
    assert!(complaint.contains(arg(folder.path())), "{complaint}");
    assert!(complaint.contains("another observatory"), "{complaint}");
    assert!(complaint.contains("--data-dir"), "{complaint}");
    let id = service.client.submit(&json!({ "type": "a" }));
    service.client.becomes(id, State::Completed);
    service.stop();
}

#[test]
fn bad_rules_are_told_with_their_place_before_anything_is_touched() {
    let folder = folder();
    let data = folder.path().join("data");
    let start = |rules: &str| {
        let rules = file(folder.path(), "rules.yaml", rules);
        refused(&["--data-dir", arg(&data), "--listen", "127.0.0.1:0", "--rules", arg(&rules)])
    };
    let complaint = start(&RULES.replace("1000000", "a million"));
    assert!(complaint.contains("rules.yaml: groups[0].rules[2].expr: column 11"), "{complaint}");
    let complaint = start(&RULES.replace("for:", "four:"));
    assert!(complaint.contains("rules.yaml") && complaint.contains("`four`"), "{complaint}");
    let missing = folder.path().join("missing.yaml");
    let complaint = refused(&["--data-dir", arg(&data), "--rules", arg(&missing)]);
    assert!(complaint.contains("missing.yaml"), "{complaint}");
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn it_listens_on_loopback_unless_told_otherwise() {
    let help = run(&["up", "--help"]).printed();
    assert!(help.contains("[default: 127.0.0.1:8080]"), "{help}");
}

#[test]
fn a_port_of_its_own_choice_is_told() {
    let folder = folder();
    let service = Service::start(folder.path());
    let address: std::net::SocketAddr = service.client.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
}

#[test]
fn a_flag_counts_more_than_the_environment() {
    let folder = folder();
    let given = folder.path().join("given");
    let environment = folder.path().join("environment");
    let service = Service::spawn(
        &["--data-dir", arg(&given)],
        &[
            ("OBSERVATORY_DATA_DIR", arg(&environment)),
            // Where nobody may listen without being root, nor anybody at all: no such address here.
            ("OBSERVATORY_LISTEN", "192.0.2.1:1"),
        ],
    );
    service.client.ready();
    assert!(given.exists() && !environment.exists());
    service.stop();

    let service = Service::spawn(&[], &[("OBSERVATORY_DATA_DIR", arg(&environment))]);
    service.client.ready();
    assert!(database(&environment).exists());

    let mut command = observatory();
    command.args(["up", "--data-dir", arg(&given)]).env("OBSERVATORY_WORKERS", "several");
    let Run { code, stderr, .. } = Run::of(command.output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("several") && stderr.contains("--workers"), "{stderr}");
}
