//! Workers: what each said last of itself, and its jobs.
//!
//! Who says nothing of itself, as the workers of our own contract, is there by its jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use contracts::Micros;
use contracts::event::State as JobState;
use contracts::workers::{KnownWorker, Presence, WorkerView, Workers};

use crate::Api;
use crate::params::{Params, listed};
use crate::problem::Problem;
use crate::reads::some_time;

/// Workers in an answer.
const WORKERS: usize = 200;
const MAX_WORKERS: usize = 1_000;

pub(crate) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Workers>, Problem> {
    let params = Params::of(&uri, &["presence", "limit"])?;
    let wanted = params.text("presence").map(presences).transpose()?;
    let limit = params.limit(WORKERS, MAX_WORKERS)?;
    api.recovered()?;
    let known = api.app.readers.read(|reader| reader.workers()).await?;
    let (as_of, cube) = api.app.views.cube();
    let jobs = cube.into_iter().filter_map(|([state, _, _, worker], jobs)| {
        Some((worker, state.parse::<JobState>().ok()?, jobs))
    });
    // The views may stand still, and then it is not the workers that are silent.
    let mut workers = put_together(known, jobs, as_of);
    let mut found = BTreeMap::<Presence, u64>::new();
    for worker in &workers {
        *found.entry(worker.presence).or_default() += 1;
    }
    workers.retain(|worker| wanted.as_ref().is_none_or(|wanted| wanted.contains(&worker.presence)));
    let total = workers.len() as u64;
    workers.truncate(limit);
    Ok(Json(Workers { as_of: some_time(as_of), total, presences: found, items: workers }))
}

fn presences(text: &str) -> Result<Vec<Presence>, Problem> {
    let one = |name: &str| {
        name.parse().map_err(|_| {
            let names = listed(&Presence::ALL.map(Presence::as_str));
            let detail = format!("`presence` takes, separated by commas: {names}");
            Problem::bad_request("bad_parameter", detail)
        })
    };
    text.split(',').map(one).collect()
}

/// All workers, those that are there first, in the order of their names.
fn put_together(
    known: Vec<KnownWorker>,
    jobs: impl Iterator<Item = (String, JobState, u64)>,
    now: Micros,
) -> Vec<WorkerView> {
    let unheard = |worker: &String| WorkerView {
        worker: worker.clone(),
        presence: Presence::Unheard,
        heard_at: None,
        online_at: None,
        last: None,
        jobs: BTreeMap::new(),
    };
    let heard = known.into_iter().map(|known| {
        let (name, presence) = (known.last.worker.clone(), known.presence(now));
        let KnownWorker { last, heard_at, online_at } = known;
        let (heard_at, last) = (Some(heard_at), Some(last));
        (name.clone(), WorkerView { presence, heard_at, online_at, last, ..unheard(&name) })
    });
    let mut workers: BTreeMap<String, WorkerView> = heard.collect();
    for (worker, state, n) in jobs.filter(|(worker, _, _)| !worker.is_empty()) {
        let view = workers.entry(worker).or_insert_with_key(unheard);
        *view.jobs.entry(state).or_default() += n;
    }
    let mut workers: Vec<WorkerView> = workers.into_values().collect();
    workers.sort_by_key(|worker| worker.presence);
    workers
}

#[cfg(test)]
mod tests {
    use contracts::Heartbeat;
    use contracts::workers::Beat;

    use super::*;

    fn known(worker: &str, beat: Beat, heard_at: i64) -> KnownWorker {
        let last = Heartbeat::of(worker, beat, Micros(heard_at));
        KnownWorker::of(last, Micros(heard_at))
    }

    #[test]
    fn those_that_are_there_come_first_each_with_all_its_jobs() {
        let heard = vec![
            known("a", Beat::Heartbeat, 0),
            known("b", Beat::Offline, 60_000_000),
            known("c", Beat::Heartbeat, 60_000_000),
        ];
        let jobs = [
            ("c", JobState::Executing, 1),
            ("c", JobState::Executing, 2),
            ("c", JobState::Failed, 4),
            ("d", JobState::Completed, 5),
            ("", JobState::Pending, 9),
        ];
        let jobs = jobs.map(|(worker, state, n)| (worker.to_owned(), state, n));
        let workers = put_together(heard, jobs.into_iter(), Micros(61_000_000));
        let seen: Vec<_> = workers
            .iter()
            .map(|one| (&*one.worker, one.presence, one.jobs.values().sum::<u64>()))
            .collect();
        assert_eq!(
            seen,
            [
                ("c", Presence::Online, 7),
                ("a", Presence::Silent, 0),
                ("b", Presence::Offline, 0),
                ("d", Presence::Unheard, 5),
            ]
        );
        assert_eq!(workers[0].jobs[&JobState::Executing], 3);
    }
}
