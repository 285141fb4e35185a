//! Celery's events, as events of our contract.
//!
//! ```text
//!   {"type": "task-started", "uuid": …, "hostname": …, "timestamp": …}
//!      ──read──▶ envelope {"eventType": "job.executed", …, "origin": {"format": "celery", "event": …}}
//! ```
//!
//! Everything behind the decoder sees events of our contract, whose `origin` has what was received.
//! They differ in one thing: they do not tell the attempt, which follows from all events of a task.
//!
//! | event | says | because |
//! |---|---|---|
//! | `task-sent` | PENDING | its sender is no worker; it alone tells the queue |
//! | `task-received` | VALIDATED | a worker has it in its own queue |
//! | `task-started` | EXECUTING | |
//! | `task-retried` | RETRYING | this attempt failed, and has sent the next |
//! | `task-succeeded` | COMPLETED | |
//! | `task-failed` | FAILED | |
//! | `task-rejected` | FAILED | `Reject` is a failure to Celery's result backend |
//! | `task-rejected`, `requeue` | PENDING | the message is in its queue again |
//! | `task-revoked` | CANCELLED | |
//! | `task-…`, any other | nothing | kept in the archive with its task |
//! | `worker-…` | nothing | kept in the archive, but for heartbeats |
//!
//! # Invariants
//!
//! 1. `timestamp` is UTC: `utcoffset` is of no use, and nothing is ordered by `clock`.
//! 2. An event's id follows from (hostname, pid, clock, type, uuid); a task's id is its uuid.
//! 3. Arguments and results are kept only where that was asked for.
//! 4. Of several applications, each by a name of its own, neither workers nor queues nor ids are taken
//!    for each other's, but for tasks whose id is a UUID.
//!
//! # Cost
//!
//! Each event is parsed three times: checked, read, and read again as an envelope; some 20 µs.

mod error;
mod privacy;
mod recorded;
#[cfg(test)]
mod tests;

use contracts::event::{EventId, JobId, Kind, MAX_NAME_BYTES};
use contracts::workers::Beat;
use contracts::{Heartbeat, Micros, Reason, Rejection};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::names;

pub use privacy::{Keep, KeepError};
pub(crate) use recorded::recorded;

/// Characters of what a worker says of its software.
const MAX_SAID: usize = 64;

/// Ids of events and tasks of Celery that are no UUIDs are names in this space.
const CELERY: Uuid = Uuid::from_u128(0x8a5c_1c5e_6d0b_5a53_9c1e_43de_1e1f_0c01);

/// An application that is watched.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// What it is called beside others: its workers and queues have that and a `/` before their names.
    /// Empty for the only one.
    pub source: String,
    pub keep: Keep,
}

impl Application {
    /// What something of it is called here.
    fn name(&self, own: &str) -> String {
        match &*self.source {
            "" => own.to_owned(),
            source => format!("{source}/{own}"),
        }
    }

    /// In which its names are ids.
    fn space(&self) -> Uuid {
        match &*self.source {
            "" => CELERY,
            source => Uuid::new_v5(&CELERY, source.as_bytes()),
        }
    }

    /// The id of a task: its own, if that is a UUID.
    fn task(&self, own: &str) -> JobId {
        names::id(&self.space(), own)
    }
}

/// What an event of Celery comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// An event of our contract, as JSON.
    Job(Vec<u8>),
    /// Something that says nothing of a task's state.
    Note(Note),
    /// A worker lives. So many of these come that none is kept.
    Pulse(Heartbeat),
}

/// An event that is archived, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub id: EventId,
    /// The task that it is about; of a worker, an id that stands for the worker.
    pub job: JobId,
    pub at: Micros,
    /// It in the form of an event of our contract, of a type that the contract does not have.
    pub body: Vec<u8>,
    /// What a worker says of itself by it.
    pub heartbeat: Option<Heartbeat>,
}

/// Reads one event.
pub fn read(event: &[u8], of: &Application) -> Result<Told, Rejection> {
    let text = contracts::decode::object(event)?;
    let fields = serde_json::from_str(text);
    // What has been checked is JSON.
    let fields = fields.map_err(|_| Rejection::new(Reason::BadJson, "", "not JSON"))?;
    Reader { fields, of }.read()
}

/// What an event of a task says.
struct Says {
    kind: Kind,
    error: Option<error::Error>,
}

struct Reader<'a> {
    fields: Map<String, Value>,
    of: &'a Application,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Told, Rejection> {
        let name = self.text("type")?.to_owned();
        let at = self.at()?;
        let heartbeat = self.heartbeat(&name, at)?;
        if let Some(heartbeat @ Heartbeat { beat: Beat::Heartbeat, .. }) = heartbeat {
            return Ok(Told::Pulse(heartbeat));
        }
        let id = self.id(&name);
        let says = self.says(&name);
        let Some(uuid) = self.fields.get("uuid").and_then(Value::as_str).map(str::to_owned) else {
            if says.is_some() || name.starts_with("task-") && name != "task-" {
                return Err(schema(
                    "/uuid",
                    "is required and missing: an event of a task names it",
                ));
            }
            let worker = Uuid::new_v5(&self.of.space(), self.text("hostname")?.as_bytes());
            let note = self.note(&name, id, worker, at);
            return Ok(Told::Note(Note { heartbeat, ..note }));
        };
        let job = self.of.task(&uuid);
        let Some(says) = says else { return Ok(Told::Note(self.note(&name, id, job, at))) };
        let hostname = self.of.name(self.text("hostname")?);
        // Whoever sends a task is not who works on it.
        let worker = (name != "task-sent").then_some(&*hostname);
        let payload = json!({
            "id": job,
            "type": self.optional("name")?,
            "status": says.kind.state(),
            "createdAt": at,
            "queue": self.optional("queue")?.map(|queue| self.of.name(queue)),
            "worker": worker,
            "error": says.error.map(|error| self.of.keep.error(error)),
        });
        let expires = self.fields.get("expires").and_then(Value::as_str);
        let expires = expires.and_then(|text| Micros::parse(text).ok());
        let event_type = says.kind.as_str();
        let envelope = self.envelope(event_type, id, job, at, &hostname, payload, expires);
        Ok(Told::Job(envelope))
    }

    /// What an event of that type says of its task.
    fn says(&self, name: &str) -> Option<Says> {
        let flag = |name| self.fields.get(name).and_then(Value::as_bool) == Some(true);
        let mut error = None;
        let kind = match name {
            "task-sent" => Kind::Created,
            "task-received" => Kind::Validated,
            "task-started" => Kind::Executed,
            "task-retried" => Kind::Retried,
            "task-succeeded" => Kind::Completed,
            "task-failed" => Kind::Failed,
            "task-revoked" => Kind::Cancelled,
            "task-rejected" if flag("requeue") => Kind::Created,
            "task-rejected" => Kind::Failed,
            _ => return None,
        };
        match name {
            "task-retried" | "task-failed" => {
                let text = |name| self.fields.get(name).and_then(Value::as_str).unwrap_or_default();
                error = Some(error::of(text("exception"), text("traceback")));
            }
            "task-rejected" if kind == Kind::Failed => {
                error = Some(error::named("Reject", "rejected, and not queued again"));
            }
            "task-revoked" => {
                error = Some(if flag("expired") {
                    error::named("Expired", "a worker found that it had expired")
                } else if flag("terminated") {
                    error::named("Terminated", "revoked while it ran")
                } else {
                    error::named("Revoked", "revoked before it ran")
                });
            }
            _ => {}
        }
        Some(Says { kind, error })
    }

    fn note(&mut self, name: &str, id: EventId, job: JobId, at: Micros) -> Note {
        let hostname = self.fields.get("hostname").and_then(Value::as_str).unwrap_or_default();
        let hostname = self.of.name(hostname);
        let event_type = format!("celery.{name}");
        let payload = json!({ "id": job });
        let body = self.envelope(&event_type, id, job, at, &hostname, payload, None);
        Note { id, job, at, body, heartbeat: None }
    }

    /// What a worker says of itself, if it is that.
    fn heartbeat(&self, name: &str, at: Micros) -> Result<Option<Heartbeat>, Rejection> {
        let beat = match name {
            "worker-heartbeat" => Beat::Heartbeat,
            "worker-online" => Beat::Online,
            "worker-offline" => Beat::Offline,
            _ => return Ok(None),
        };
        let worker = self.of.name(self.text("hostname")?);
        if worker.len() > MAX_NAME_BYTES || worker.chars().any(char::is_control) {
            return Err(schema("/hostname", "must be 1 to 200 bytes without control characters"));
        }
        let number = |name| self.fields.get(name).and_then(Value::as_u64);
        let text = |name| {
            let text = self.fields.get(name).and_then(Value::as_str)?;
            Some(text.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect())
        };
        let load = self.fields.get("loadavg").and_then(Value::as_array);
        Ok(Some(Heartbeat {
            worker,
            beat,
            at,
            process: number("pid"),
            every: self.fields.get("freq").and_then(Value::as_f64),
            active: number("active"),
            processed: number("processed"),
            load: load.into_iter().flatten().filter_map(Value::as_f64).take(3).collect(),
            software: text("sw_ident"),
            version: text("sw_ver"),
            system: text("sw_sys"),
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of an envelope")]
    fn envelope(
        &mut self,
        event_type: &str,
        id: EventId,
        job: JobId,
        at: Micros,
        hostname: &str,
        payload: Value,
        expires: Option<Micros>,
    ) -> Vec<u8> {
        let root = self.fields.get("root_id").and_then(Value::as_str);
        let correlation = root.map_or(job, |root| self.of.task(root));
        self.of.keep.apply(&mut self.fields);
        let envelope = json!({
            "contractVersion": contracts::event::CONTRACT_VERSION,
            "eventType": event_type,
            "eventId": id,
            "occurredAt": at,
            "producer": { "service": "celery", "instanceId": hostname, "version": "" },
            "correlationId": correlation,
            "idempotencyKey": id,
            "payload": payload,
            "origin": {
                "format": "celery",
                "expires": expires,
                "event": std::mem::take(&mut self.fields),
            },
        });
        envelope.to_string().into_bytes()
    }

    /// When it happened: seconds since the epoch, of UTC.
    fn at(&self) -> Result<Micros, Rejection> {
        let Some(Value::Number(seconds)) = self.fields.get("timestamp") else {
            return Err(schema("/timestamp", "must be a number: seconds since the epoch, UTC"));
        };
        let at = Micros(micros(seconds));
        if at < Micros::EARLIEST || at >= Micros::TOO_LATE {
            let detail = "outside 2000-01-01 .. 2100-01-01 UTC: send seconds since the epoch";
            return Err(Rejection::new(Reason::BadTime, "/timestamp", detail));
        }
        Ok(at)
    }

    /// Celery gives its events no id; a process counts its own.
    fn id(&self, name: &str) -> EventId {
        let part = |name: &str| match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        // Other programs that speak this language may not count.
        let count = if self.fields.contains_key("clock") { "clock" } else { "timestamp" };
        let identity = [&part("hostname"), &part("pid"), &part(count), name, &part("uuid")];
        Uuid::new_v5(
            &self.of.space(),
            identity.map(|part| part.replace('\n', " ")).join("\n").as_bytes(),
        )
    }

    fn text(&self, name: &str) -> Result<&str, Rejection> {
        match self.fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(schema(&format!("/{name}"), "is required: send a text that is not empty")),
        }
    }

    /// A text that may be absent.
    fn optional(&self, name: &str) -> Result<Option<&str>, Rejection> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(schema(&format!("/{name}"), "must be a text")),
        }
    }
}

/// Seconds as µs, digits beyond them cut as in every other time; nothing is multiplied, so what is
/// written with six digits stays what it is.
fn micros(seconds: &serde_json::Number) -> i64 {
    let text = seconds.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = fraction.bytes().chain([b'0'; 6]).take(6);
    let digits = String::from_utf8(digits.collect()).unwrap_or_default();
    match (whole.parse::<i64>(), digits.parse::<i64>()) {
        (Ok(whole @ 0..4_102_444_800), Ok(digits)) => whole * 1_000_000 + digits,
        // With an exponent, or of another century.
        _ => i64::MIN,
    }
}

fn schema(pointer: &str, detail: &str) -> Rejection {
    Rejection::new(Reason::Schema, pointer, detail)
}
