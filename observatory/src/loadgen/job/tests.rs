use std::collections::BTreeSet;

use super::*;
use crate::loadgen::tests::shape;

/// 2026-11-21T10:00:00Z.
const CREATED: i64 = 1_795_255_200_000_000;

fn jobs(arguments: &[&str], n: u64) -> Vec<Job> {
    let shape = shape(arguments);
    (0..n).map(|number| Job::new(&shape, 7, number)).collect()
}

fn ends_with(jobs: &[Job], kind: Kind) -> usize {
    jobs.iter().filter(|job| job.steps.last().unwrap().kind == kind).count()
}

#[test]
fn the_same_seed_gives_the_same_jobs_and_another_gives_others() {
    assert_eq!(jobs(&[], 100), jobs(&[], 100));
    let shape = shape(&[]);
    let ids: BTreeSet<_> = (0..20)
        .flat_map(|seed| (0..50).map(move |number| (seed, number)))
        .map(|(seed, number)| Job::new(&shape, seed, number).id)
        .collect();
    assert_eq!(ids.len(), 1_000, "two seeds share a job");
}

#[test]
fn the_shares_are_kept() {
    let arguments =
        ["--failing", "200", "--retrying", "300", "--hanging", "100", "--duplicates", "250"];
    let jobs = jobs(&arguments, 10_000);
    let about = |n: usize, share: f64| {
        assert!((n as f64 - 10_000.0 * share).abs() < 200.0, "{n} of 10,000, not {share}");
    };
    about(ends_with(&jobs, Kind::Executed), 0.1);
    about(ends_with(&jobs, Kind::Failed), 0.9 * 0.2);
    about(ends_with(&jobs, Kind::Completed), 0.9 * 0.8);
    let retried = |job: &&Job| job.steps.iter().any(|step| step.kind == Kind::Retried);
    about(jobs.iter().filter(retried).count(), 0.3);
    let steps = jobs.iter().flat_map(|job| &job.steps);
    let n_steps = steps.clone().count();
    let n_again = steps.filter(|step| step.again.is_some()).count();
    assert!((n_again as f64 / n_steps as f64 - 0.25).abs() < 0.02, "{n_again} of {n_steps}");
    let mean = (n_steps + n_again) as f64 / 10_000.0;
    let expected = mean_events(&shape(&arguments));
    assert!((mean - expected).abs() < 0.1, "{mean} events a job, not {expected}");
}

#[test]
fn with_shares_of_none_and_of_all_nothing_is_left_to_chance() {
    let plain = jobs(&["--failing", "0", "--retrying", "0", "--hanging", "0"], 100);
    assert_eq!(ends_with(&plain, Kind::Completed), 100);
    assert!(plain.iter().all(|job| job.steps.len() == 4));
    let failing = jobs(&["--failing", "1000", "--retrying", "0", "--hanging", "0"], 100);
    assert_eq!(ends_with(&failing, Kind::Failed), 100);
}

#[test]
fn every_step_is_an_event_of_the_contract() {
    let arguments = ["--failing", "500", "--retrying", "500", "--types", "11", "--queues", "4"];
    let clocks = Clocks::new(&shape(&arguments), 7);
    let mut types = BTreeSet::new();
    for job in jobs(&arguments, 200) {
        for step in &job.steps {
            let body = job.event(step, CREATED, &clocks);
            let event = contracts::decode(&body).unwrap();
            assert_eq!(
                (event.kind, event.job.id, event.job.attempt),
                (step.kind, job.id, step.attempt)
            );
            assert_eq!(event.occurred_at.0, CREATED + step.at as i64);
            assert_eq!(event.job.worker.is_some(), step.producer > 0);
            types.insert(event.job.job_type.to_string());
        }
    }
    assert_eq!(types.len(), 11);
}

#[test]
fn events_are_sent_when_they_occur_or_within_the_disorder() {
    for job in jobs(&[], 100) {
        assert!(job.steps.iter().all(|step| step.sent == step.at));
    }
    let disordered = jobs(&["--disorder", "500"], 100);
    let steps = || disordered.iter().flat_map(|job| &job.steps);
    assert!(steps().all(|step| step.sent >= step.at && step.sent <= step.at + 500 * MS));
    let out_of_order = |job: &&Job| !job.steps.is_sorted_by_key(|step| step.sent);
    assert!(disordered.iter().filter(out_of_order).count() > 50);
}

#[test]
fn clocks_are_off_by_at_most_the_skew_and_each_by_its_own() {
    let shape = shape(&["--skew", "1000", "--workers", "50"]);
    let Clocks(clocks) = Clocks::new(&shape, 7);
    assert!(clocks.iter().all(|off| off.abs() <= 1_000_000));
    assert!(clocks.iter().any(|off| *off < -100_000) && clocks.iter().any(|off| *off > 100_000));
    assert_eq!(clocks, Clocks::new(&shape, 7).0);
}
