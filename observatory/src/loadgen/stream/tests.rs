use std::collections::BTreeMap;

use contracts::JobId;

use super::*;
use crate::loadgen::tests::shape;

/// 2026-11-21T10:00:00Z.
const BEGAN: i64 = 1_795_255_200_000_000;

fn stream(arguments: &[&str], rate: f64, end: End) -> Stream {
    Stream::new(shape(arguments), 7, rate, end, BEGAN)
}

/// What each job's events say, in the order of their ids.
fn told(stream: Stream) -> BTreeMap<JobId, Vec<(uuid::Uuid, Kind, i64)>> {
    let mut jobs = BTreeMap::<JobId, Vec<_>>::new();
    for due in stream {
        let event = contracts::decode(&due.body).unwrap();
        let since = event.occurred_at.0 - event.job.created_at.0;
        jobs.entry(event.job.id).or_default().push((event.event_id, event.kind, since));
    }
    jobs.values_mut().for_each(|events| events.sort());
    jobs
}

#[test]
fn jobs_are_the_same_at_every_rate() {
    let jobs = |rate| told(stream(&["--duplicates", "100"], rate, End::Jobs(50)));
    assert_eq!(jobs(100.0), jobs(0.0));
    assert_eq!(jobs(0.0).len(), 50);
}

#[test]
fn events_come_in_the_order_in_which_they_are_sent_and_none_before_it_occurs() {
    let arguments = ["--disorder", "300", "--duplicates", "200"];
    let mut last = 0;
    for due in stream(&arguments, 500.0, End::Jobs(200)) {
        assert!(due.at >= last);
        last = due.at;
        let occurred = contracts::decode(&due.body).unwrap().occurred_at.0;
        assert!(occurred <= BEGAN + due.at as i64, "an event from the future");
    }
}

#[test]
fn a_repeat_has_the_bytes_of_the_first() {
    let dues: Vec<Due> = stream(&["--duplicates", "1000"], 100.0, End::Jobs(20)).collect();
    let (repeats, firsts): (Vec<_>, Vec<_>) = dues.into_iter().partition(|due| due.repeat);
    assert_eq!(repeats.len(), firsts.len());
    for repeat in repeats {
        assert!(firsts.iter().any(|first| first.body == repeat.body));
    }
}

#[test]
fn the_rate_is_that_of_all_events() {
    let dues: Vec<Due> = stream(&["--retrying", "500"], 1_000.0, End::Micros(20_000_000)).collect();
    let in_between = dues.iter().filter(|due| (5_000_000..15_000_000).contains(&due.at)).count();
    assert!((9_500..10_500).contains(&in_between), "{in_between} events in ten seconds");
}

#[test]
fn a_stream_that_is_to_end_after_a_time_still_ends_its_jobs() {
    let plain = ["--hanging", "0", "--retrying", "0"];
    let jobs = told(stream(&plain, 400.0, End::Micros(1_000_000)));
    assert!((95..=105).contains(&jobs.len()), "{} jobs", jobs.len());
    assert!(jobs.values().all(|events| events.len() == 4));
}
