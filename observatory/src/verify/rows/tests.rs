use super::*;
use crate::verify::made::{job, jobs};

/// What is told of rows that were changed by hand: the places, each with what was found.
fn told(change: impl FnOnce(&mut Vec<JobRow>)) -> Vec<(String, String)> {
    let (truth, mut found) = jobs(6);
    change(&mut found);
    let mut rows = Rows::new(truth, Sample::new(0, 1));
    found.into_iter().for_each(|row| rows.take(row));
    let (checks, ..) = rows.finish();
    let first = checks.iter().flat_map(Check::first);
    first.map(|first| (first.place.clone(), first.found.clone())).collect()
}

#[test]
fn rows_as_the_store_writes_them_are_equal() {
    assert_eq!(told(|_| {}), []);
}

#[test]
fn a_change_of_any_column_is_told() {
    type Damage = fn(&mut JobRow);
    let damages: [(&str, Damage); 14] = [
        ("type", |row| row.job_type.push('x')),
        ("state", |row| row.state = "PENDING".to_owned()),
        ("inferred", |row| row.inferred = true),
        ("queue", |row| row.queue.clear()),
        ("worker", |row| row.worker.push('x')),
        ("attempt", |row| row.attempt = 1),
        ("created_at", |row| row.created += 1),
        ("validated_at", |row| row.validated = None),
        ("started_at", |row| row.started = row.started.map(|at| at + 1)),
        ("finished_at", |row| row.finished = None),
        ("error", |row| row.error = None),
        ("metadata", |row| row.metadata = Some("{}".to_owned())),
        ("summary", |row| {
            let last = row.summary.len() - 2;
            row.summary[last] ^= 1;
        }),
        ("summary", |row| row.summary.clear()),
    ];
    for (column, damage) in damages {
        // Job 3 has failed, so it has all that a row can have.
        let told = told(|rows| damage(&mut rows[3]));
        let place = format!("job {}, {column}", job(3));
        assert!(told.iter().any(|(found, _)| *found == place), "{column}: {told:?}");
    }
}

#[test]
fn a_row_that_is_missing_and_one_too_many_are_told() {
    let missing = told(|rows| drop(rows.remove(2)));
    assert_eq!(missing, [(format!("job {}, state", job(2)), "no row".to_owned())]);
    let unexpected = told(|rows| {
        let mut row = rows[2].clone();
        row.job = job(99);
        rows.push(row);
    });
    assert_eq!(unexpected, [(format!("job {}, state", job(99)), "COMPLETED".to_owned())]);
}

#[test]
fn a_job_that_was_given_up_is_what_its_row_says() {
    let given_up = told(|rows| {
        let row = &mut rows[1];
        (row.state, row.inferred, row.abandoned_at) = ("ABANDONED".to_owned(), true, Some(9));
    });
    assert_eq!(given_up, []);
    assert_eq!(told(|rows| rows[1].state = "ABANDONED".to_owned()).len(), 1);
}

#[test]
fn a_sample_has_its_size_and_is_the_same_for_the_same_seed() {
    let sample = |size, seed| -> Vec<JobId> {
        let (truth, found) = jobs(50);
        let mut rows = Rows::new(truth, Sample::new(size, seed));
        found.into_iter().for_each(|row| rows.take(row));
        let (_, _, sample) = rows.finish();
        assert!(sample.rows.iter().all(|sampled| sampled.n_events == Some(6)));
        sample.rows.iter().map(|sampled| sampled.row.job).collect()
    };
    assert_eq!(sample(5, 1).len(), 5);
    assert_eq!(sample(5, 1), sample(5, 1));
    assert_ne!(sample(5, 1), sample(5, 2));
    assert_eq!(sample(100, 1).len(), 50);
}
