use contracts::snapshot::{CountRow, LatencyRow, Measure, TotalRow};

use super::*;
use crate::verify::made::jobs;
use crate::verify::rows::{Rows, Sample};

/// What eight jobs add up to, two of them retired.
fn tally() -> Tally {
    let (truth, mut found) = jobs(8);
    for row in &mut found[..2] {
        row.retired_at = Some(9);
    }
    let mut rows = Rows::new(truth, Sample::new(0, 1));
    found.into_iter().for_each(|row| rows.take(row));
    let (checks, tally, _) = rows.finish();
    assert!(!checks.iter().any(Check::differs));
    tally
}

/// The tables as the store keeps them.
fn kept(tally: &Tally) -> Tables {
    Tables {
        counts: tally.counts.clone(),
        totals: tally.totals.clone(),
        retired_samples: tally.retired_samples.clone(),
        minutes: tally.minutes.clone(),
        n_late: 0,
        last_event: None,
    }
}

/// The snapshot that is shown of them.
fn shown(tally: &Tally) -> Snapshot {
    let state = |text: &String| text.parse().unwrap();
    let counts = tally.counts.iter().map(|([of, job_type, queue, worker], jobs)| CountRow {
        state: state(of),
        job_type: job_type.clone(),
        queue: queue.clone(),
        worker: worker.clone(),
        jobs: *jobs as u64,
    });
    let totals = tally.totals.iter().map(|([of, job_type], jobs)| TotalRow {
        state: state(of),
        job_type: job_type.clone(),
        jobs: *jobs as u64,
    });
    let latency = tally.samples.iter().map(|((job_type, measure), samples)| LatencyRow {
        measure: Measure::ALL.into_iter().find(|one| one.as_str() == *measure).unwrap(),
        job_type: job_type.clone(),
        queue: None,
        window: Window::All,
        samples: *samples as u64,
        p50: 0.0,
        p90: 0.0,
        p95: 0.0,
        p99: 0.0,
        p999: 0.0,
        max: 0.0,
    });
    Snapshot {
        jobs: tally.jobs() as u64,
        counts: counts.collect(),
        totals: totals.collect(),
        latency: latency.collect(),
        ..Snapshot::default()
    }
}

/// The names of the checks that find a difference.
fn differing(checks: &[Check]) -> Vec<String> {
    let differing = checks.iter().filter(|check| check.differs());
    differing.map(|check| format!("{check:?}")).collect()
}

#[test]
fn rows_add_up_to_what_the_store_keeps() {
    let tally = tally();
    assert_eq!((tally.n_rows, tally.jobs()), (8, 6));
    assert_eq!(tally.ever_in_state(State::Failed), 3);
    assert_eq!(tally.samples[&(None, "run")], 8);
    let mut all = MinuteNumbers::default();
    for minute in tally.minutes.values() {
        all.iter_mut().zip(minute).for_each(|(sum, number)| *sum += number);
    }
    // Each waits for two seconds; the deciding attempt of the nth runs for n + 1.
    assert_eq!(all, [8, 8, 3, 0, 8, 16_000_000, 8, 36_000_000]);
    let checks = tables(&tally, &kept(&tally), 0);
    assert_eq!(differing(&checks), [""; 0]);
    assert!(checks.iter().all(|check| check.n_compared() > 0));
}

#[test]
fn a_change_of_any_table_is_told() {
    type Damage = fn(&mut Tables);
    let damages: [(&str, Damage); 6] = [
        ("counts,", |tables| drop(tables.counts.pop_first())),
        ("totals,", |tables| tables.totals.values_mut().for_each(|jobs| *jobs += 1)),
        ("distributions,", |tables| drop(tables.retired_samples.pop_last())),
        ("minutes,", |tables| tables.minutes.values_mut().for_each(|minute| minute[7] += 1)),
        ("sums:", |tables| tables.n_late = 1),
        ("counted once", |tables| drop(tables.counts.pop_last())),
    ];
    let tally = tally();
    for (name, damage) in damages {
        let mut damaged = kept(&tally);
        damage(&mut damaged);
        let told = differing(&tables(&tally, &damaged, 0));
        assert!(told.iter().any(|told| told.contains(name)), "{name}: {told:?}");
    }
}

#[test]
fn a_change_of_any_view_is_told() {
    type Damage = fn(&mut Snapshot);
    let damages: [(&str, Damage); 5] = [
        ("X counts", |shown| drop(shown.counts.pop())),
        ("X counts", |shown| shown.jobs += 1),
        ("X totals", |shown| shown.totals[0].jobs += 1),
        ("X samples", |shown| shown.latency[0].samples -= 1),
        ("X samples", |shown| drop(shown.latency.pop())),
    ];
    let tally = tally();
    assert_eq!(differing(&snapshot_of("X", &tally, &shown(&tally))), [""; 0]);
    for (name, damage) in damages {
        let mut damaged = shown(&tally);
        damage(&mut damaged);
        let told = differing(&snapshot_of("X", &tally, &damaged));
        assert!(told.iter().all(|told| told.contains(name)) && told.len() == 1, "{told:?}");
    }
}

#[test]
fn without_anything_in_redis_its_views_and_keys_are_missing() {
    let tally = tally();
    let held = Held { views: None, numbers: [const { None }; 4] };
    assert_eq!(differing(&redis(&tally, &kept(&tally), &held)).len(), 2);
}
