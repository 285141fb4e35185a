//! Deltas taken together: of each row what it came to.

use std::collections::{BTreeMap, BTreeSet};

use contracts::Delta;

/// Takes into `delta` the one that follows it.
pub fn merge(delta: &mut Delta, later: Delta) {
    let Delta { as_of, jobs, late, skewed, more, .. } = later;
    rows(&mut delta.counts, later.counts, |row| {
        (row.state, row.job_type.clone(), row.queue.clone(), row.worker.clone())
    });
    rows(&mut delta.latency, later.latency, |row| {
        (row.measure, row.job_type.clone(), row.queue.clone(), row.window)
    });
    rows(&mut delta.throughput, later.throughput, |row| (row.job_type.clone(), row.window));
    rows(&mut delta.alerts, later.alerts, |row| (row.alert.clone(), row.labels.clone()));
    rows(&mut delta.totals, later.totals, |row| (row.state, row.job_type.clone()));
    // Left out where it has not changed.
    if !later.rejected.is_empty() {
        delta.rejected = later.rejected;
    }
    let mut changed: BTreeSet<_> = delta.changed_jobs.drain(..).collect();
    changed.extend(later.changed_jobs);
    delta.more |= more || changed.len() > Delta::MAX_CHANGED_JOBS;
    delta.changed_jobs = changed.into_iter().take(Delta::MAX_CHANGED_JOBS).collect();
    *delta = Delta { as_of, jobs, late, skewed, ..std::mem::take(delta) };
}

fn rows<R, K: Ord>(earlier: &mut Vec<R>, later: Vec<R>, key: impl Fn(&R) -> K) {
    if later.is_empty() {
        return;
    }
    let both = std::mem::take(earlier).into_iter().chain(later);
    let merged: BTreeMap<K, R> = both.map(|row| (key(&row), row)).collect();
    *earlier = merged.into_values().collect();
}

#[cfg(test)]
mod tests {
    use contracts::snapshot::TotalRow;
    use contracts::{JobId, State};

    use super::*;

    fn total(job_type: &str, jobs: u64) -> TotalRow {
        TotalRow { state: State::Failed, job_type: job_type.to_owned(), jobs }
    }

    #[test]
    fn of_each_row_the_later_one_is_left_also_one_that_is_gone() {
        let mut delta = Delta { totals: vec![total("a", 1), total("b", 2)], ..Delta::default() };
        merge(&mut delta, Delta { totals: vec![total("a", 0), total("c", 3)], ..Delta::default() });
        assert_eq!(delta.totals, [total("a", 0), total("b", 2), total("c", 3)]);
    }

    #[test]
    fn more_jobs_than_may_be_listed_are_said_to_be_more() {
        let ids = |from: u128| (from..from + 150).map(JobId::from_u128).collect();
        let mut delta = Delta { changed_jobs: ids(0), ..Delta::default() };
        merge(&mut delta, Delta { changed_jobs: ids(10), ..Delta::default() });
        assert_eq!((delta.changed_jobs.len(), delta.more), (160, false));
        merge(&mut delta, Delta { changed_jobs: ids(200), ..Delta::default() });
        assert_eq!((delta.changed_jobs.len(), delta.more), (200, true));
    }
}
