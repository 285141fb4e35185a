//! One job through everything.

use contracts::view::{JobAccepted, JobView};
use contracts::{JobId, Kind, Snapshot, State};
use serde_json::json;
use uuid::Uuid;

use super::findings::Findings;
use super::stores::{Stores, completed};
use super::{Deadline, Places, roles};

/// The type of the job, and the queue that it waits in.
pub(super) const GATE: &str = "observatory.gate";

/// What happens to it, in this order.
const LIFE: [Kind; 4] = [Kind::Created, Kind::Validated, Kind::Executed, Kind::Completed];

/// Events that were taken in and were there already.
const REPEATED: &str = r#"observatory_events_total{result="repeated"}"#;

/// What follows a submission; skipped if there was none.
const AFTER: [&str; 7] = [
    "lifecycle",
    "postgres.row",
    "mongo.events",
    "redis.views",
    "api.views",
    "submit.again",
    "duplicate",
];

pub(super) fn check(findings: &mut Findings, at: &Places, stores: &Stores, deadline: Deadline) {
    // Where they are away, it is told when it is looked for what was to change.
    let before = Moved { redis: stores.shown(), api: shown_by(at) };
    let key = Uuid::now_v7().to_string();
    let accepted = deadline.until(|| submit(at, &key));
    let seen = accepted.map(|accepted| (accepted, format!("job {}", accepted.job_id)));
    let fix = "see that the gateway is ready, and that the broker takes messages";
    let Some(accepted) = findings.note("submit", seen, fix) else {
        return findings.skip(&AFTER);
    };
    let job = accepted.job_id;

    let seen = deadline.until(|| lifecycle(at, job));
    let fix = "see that a worker and a pipeline are ready, and what they say on standard error";
    if findings.note("lifecycle", seen, fix).is_none() {
        return findings.skip(&AFTER[1..]);
    }
    let seen = deadline.until(|| match stores.row(job)? {
        State::Completed => Ok(((), "COMPLETED".to_owned())),
        state => Err(state.to_string()),
    });
    let fix = "see that gate and pipeline name the same database";
    findings.note("postgres.row", seen, fix);
    let seen = deadline.until(|| events(stores, job));
    let fix = "see that gate and pipeline name the same MongoDB, and that it is up";
    let events = findings.note("mongo.events", seen, fix);
    let seen = deadline.until(|| one_more(&before.redis, stores.shown()));
    let fix = "see that gate and pipeline name the same Redis, and that it is up";
    let in_redis = findings.note("redis.views", seen, fix);
    let seen = deadline.until(|| one_more(&before.api, shown_by(at)));
    findings.note("api.views", seen, "see that the API names the pipeline's Redis");

    let seen = submit(at, &key).and_then(|again| match again == accepted {
        true => Ok(((), "the same job, and the same event".to_owned())),
        false => Err(format!("another job: {}", again.job_id)),
    });
    let fix = "see that the gateway names the pipeline's MongoDB";
    findings.note("submit.again", seen, fix);
    let (Some(events), Some(in_redis)) = (events, in_redis) else {
        return findings.skip(&["duplicate"]);
    };
    let seen = duplicate(at, stores, job, &events, in_redis, deadline);
    findings.note(
        "duplicate",
        seen,
        "keep what is said here, and report it: this is a fault of ours",
    );
}

/// Completed jobs of the gate, or why they are not known.
struct Moved {
    redis: Result<u64, String>,
    api: Result<u64, String>,
}

fn submit(at: &Places, key: &str) -> Result<JobAccepted, String> {
    let job = json!({
        "type": GATE, "queue": GATE, "payload": { "simulate": { "delayMs": 20 } },
    });
    let answer = at.gateway.post("/jobs", &[("idempotency-key", key)], &job.to_string());
    answer.and_then(|answer| answer.read()).map_err(|error| error.to_string())
}

/// That the API tells the whole life of the job.
fn lifecycle(at: &Places, job: JobId) -> Result<((), String), String> {
    let found = at.api.find::<JobView>(&format!("/api/v1/jobs/{job}"));
    let view = found.map_err(|error| error.to_string())?.ok_or("no event of it has arrived")?;
    let kinds: Vec<Kind> = view.timeline.iter().map(|entry| entry.event_type).collect();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let told = names.join(", ");
    match view.state == State::Completed && LIFE.iter().all(|kind| kinds.contains(kind)) {
        true => Ok(((), told)),
        false => Err(format!("{}, after {told}", view.state)),
    }
}

/// The archived events of the job, if all are there.
fn events(stores: &Stores, job: JobId) -> Result<(Vec<Vec<u8>>, String), String> {
    let events = stores.events(job)?;
    let told = format!("{} events", events.len());
    if events.len() == LIFE.len() { Ok((events, told)) } else { Err(told) }
}

/// That there is one job more than before.
fn one_more(
    before: &Result<u64, String>,
    after: Result<u64, String>,
) -> Result<(u64, String), String> {
    let (before, after) = (before.clone()?, after?);
    let told = format!("{before} jobs of the gate before, {after} after");
    // Another gate may have been at it.
    if after > before { Ok((after, told)) } else { Err(told) }
}

fn shown_by(at: &Places) -> Result<u64, String> {
    let snapshot = at.api.get::<Snapshot>("/api/v1/snapshot");
    snapshot.map(|snapshot| completed(&snapshot)).map_err(|error| error.to_string())
}

/// That an event which comes once more changes nothing.
fn duplicate(
    at: &Places,
    stores: &Stores,
    job: JobId,
    events: &[Vec<u8>],
    shown: u64,
    deadline: Deadline,
) -> Result<((), String), String> {
    let last = events.last().ok_or("no event")?;
    let kind = contracts::decode(last).map_err(|rejection| rejection.to_string())?.kind;
    let repeated = || {
        let metrics = roles::answer(&at.pipeline, "/metrics")?;
        Ok::<_, String>(roles::sample(&metrics, REPEATED).unwrap_or(0.0))
    };
    let before = repeated()?;
    stores.publish(kind.as_str(), last)?;
    deadline.until(|| match repeated()? > before {
        true => Ok(()),
        false => Err("it was published, and the pipeline has not taken it in".to_owned()),
    })?;
    let after = (stores.row(job)?, stores.events(job)?.len(), stores.shown()?);
    match after == (State::Completed, events.len(), shown) {
        true => Ok(((), "taken in, and nothing has changed".to_owned())),
        false => Err(format!(
            "{}, {} events, {} jobs of the gate; before COMPLETED, {} events, {shown} jobs",
            after.0,
            after.1,
            after.2,
            events.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_does_not_move_is_told_with_both_values() {
        assert_eq!(one_more(&Ok(3), Ok(4)).map(|(after, _)| after), Ok(4));
        assert_eq!(one_more(&Ok(3), Ok(3)), Err("3 jobs of the gate before, 3 after".to_owned()));
        assert_eq!(one_more(&Err("away".to_owned()), Ok(3)), Err("away".to_owned()));
    }
}
