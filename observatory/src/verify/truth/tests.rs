use contracts::State;
use contracts::event::Kind;

use super::*;
use crate::verify::made::{archived, event, job, life, truth};

#[test]
fn events_in_any_order_and_number_come_to_the_same_jobs() {
    let events = life(3);
    let forward = truth(&events);
    let backward: Vec<_> = events.iter().rev().cloned().collect();
    let backward = truth(&backward);
    assert_eq!(forward.jobs, backward.jobs);
    let known = &forward.jobs[&job(3)];
    assert_eq!(known.summary.state(), State::Failed);
    assert_eq!(known.error.as_deref(), Some(r#"{"kind":"Timeout","message":"attempt 2"}"#));
    assert_eq!(known.metadata(), Some(r#"{"n":3}"#));
    assert_eq!(known.n_events, 6);
}

#[test]
fn the_error_is_that_of_the_event_that_decides() {
    let mut events = life(3);
    events.truncate(4);
    assert_eq!(
        truth(&events).jobs[&job(3)].error.as_deref(),
        Some(r#"{"kind":"Timeout","message":"attempt 1"}"#)
    );
    events.push(event(3, Kind::Executed, 2, 4));
    assert_eq!(truth(&events).jobs[&job(3)].error, None, "it runs again");
}

#[test]
fn late_events_are_counted_and_left_out() {
    let mut body = archived(&event(1, Kind::Created, 1, 0));
    body.late = true;
    let (mut truth, mut check) = (Truth::default(), Check::new("events"));
    truth.take(&body, &mut check);
    truth.take(&archived(&event(1, Kind::Executed, 1, 2)), &mut check);
    assert_eq!((truth.n_events, truth.n_late), (2, 1));
    let known = &truth.jobs[&job(1)];
    assert_eq!(known.metadata(), None, "of the late event");
    assert_eq!(truth.n_events_of(job(1), known), 2);
}

#[test]
fn two_contents_of_the_event_that_decides_leave_the_error_open() {
    let failed = event(3, Kind::Failed, 1, 5);
    let mut other = failed.clone();
    other.payload.error = None;
    assert!(truth(&[failed.clone(), other.clone()]).jobs[&job(3)].disputed);
    let settled = truth(&[failed, other, event(3, Kind::Completed, 2, 9)]);
    assert!(!settled.jobs[&job(3)].disputed);
}

#[test]
fn a_document_that_is_no_event_or_under_another_id_is_told() {
    let (mut truth, mut check) = (Truth::default(), Check::new("events"));
    let mut damaged = archived(&event(1, Kind::Created, 1, 0));
    damaged.body.truncate(50);
    truth.take(&damaged, &mut check);
    let mut moved = archived(&event(2, Kind::Created, 1, 0));
    moved.key = "elsewhere".to_owned();
    truth.take(&moved, &mut check);
    assert_eq!(check.first().len(), 2);
    let mut second = archived(&event(2, Kind::Created, 1, 0));
    second.key.push_str(":0123456789abcdef");
    truth.take(&second, &mut check);
    assert_eq!(check.first().len(), 2, "a second content is as it should be");
}
