//! A service whose rule fires while something is being cooked, for as long as a test wants it to be.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::Role;

/// Fires while a job of a type is being executed.
pub(crate) const RULES: &str = "
groups:
  - name: kitchen
    rules:
      - alert: Cooking
        expr: jobs{state=\"EXECUTING\"} by (type) > 0
        labels: { severity: page }
        annotations: { summary: \"{{ $labels.type }}: {{ $value }} on the stove\" }
";

pub(crate) struct Kitchen {
    pub(crate) role: Role,
    folder: TempDir,
    flags: Vec<String>,
}

impl Kitchen {
    pub(crate) fn open(flags: &[&str]) -> Kitchen {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let role = role(folder.path(), &flags);
        Kitchen { role, folder, flags }
    }

    /// Starts it once more on the same data, after it was killed.
    pub(crate) fn open_again(&mut self) {
        self.role = role(self.folder.path(), &self.flags);
    }

    /// Begins to cook something, which is never done unless somebody says so; gives the job.
    pub(crate) fn cook(&self, dish: &str) -> String {
        let hang = json!({ "type": dish, "payload": { "simulate": { "hang": true } } });
        let (status, answer) = self.role.post(&hang);
        assert_eq!(status, 202, "{answer}");
        answer["jobId"].as_str().unwrap().to_owned()
    }

    /// Says that it is done.
    pub(crate) fn done(&self, dish: &str, job: &str) {
        let now = self.role.get("/api/v1/snapshot").unwrap()["asOf"].clone();
        let event = json!({
            "contractVersion": "1.1.0", "eventType": "job.completed",
            "eventId": uuid::Uuid::now_v7(), "occurredAt": now,
            "producer": { "service": "kitchen", "instanceId": "1", "version": "1" },
            "correlationId": job, "idempotencyKey": "done",
            // A restart begins another attempt.
            "payload": { "id": job, "type": dish, "status": "COMPLETED", "createdAt": now, "attempt": 9 },
        });
        self.send("/events", &event, 202);
    }

    /// The answer to what is posted, which must have this status.
    #[track_caller]
    pub(crate) fn send(&self, path: &str, body: &Value, status: u16) -> Value {
        let request = ureq::post(format!("http://{}{path}", self.role.address));
        let request = request.header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        assert_eq!(answer.status(), status);
        answer.body_mut().read_to_string().unwrap().parse().unwrap()
    }

    /// Silences what is about a dish; gives the note.
    pub(crate) fn silence(&self, dish: &str) -> String {
        let note = json!({
            "kind": "silence", "matchers": [{ "name": "type", "value": dish }],
            "endsAt": "2099-01-01T00:00:00Z", "comment": "known",
        });
        self.send("/api/v1/notes", &note, 201)["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn end(&self, note: &str) {
        let url = format!("http://{}/api/v1/notes/{note}", self.role.address);
        assert_eq!(ureq::delete(url).call().unwrap().status(), 204);
    }

    pub(crate) fn fires(&self, dish: &str) -> bool {
        let alerts = self.role.get("/api/v1/alerts").unwrap();
        let mut alerts = alerts["alerts"].as_array().unwrap().iter();
        alerts.any(|alert| alert["labels"]["type"] == dish && alert["state"] == "firing")
    }
}

fn role(folder: &Path, flags: &[String]) -> Role {
    let rules = folder.join("rules.yaml");
    let mut args = vec!["--rules", rules.to_str().unwrap()];
    args.extend(flags.iter().map(String::as_str));
    Role::alone(&folder.join("data"), &args)
}
