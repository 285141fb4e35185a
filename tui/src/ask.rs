//! The thread that asks the API, one question after the other.

use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::SystemTime;

use contracts::answers::JobEvents;
use contracts::{JobId, JobView, Micros};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::http::{Client, Server, Trouble, parse};
use crate::msg::{Ask, Got, Msg, Told};

/// How the page of a server says that its jobs are made up.
const DEMO: &str = "class=\"demo\"";

pub(crate) fn start(server: Server, answers: Sender<Msg>, questions: Receiver<Ask>) {
    let name = thread::Builder::new().name("ask".to_owned());
    let serve = move || {
        let client = Client::new(server);
        for ask in questions {
            if answers.send(Msg::Got(answer(&client, ask))).is_err() {
                return;
            }
        }
    };
    // Without threads nothing is answered, and the screen says that it waits.
    drop(name.spawn(serve));
}

pub(crate) fn now() -> Micros {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn answer(client: &Client, ask: Ask) -> Got {
    match ask {
        Ask::Jobs { turn, page, path } => Got::Jobs { turn, page, found: client.read(&path) },
        Ask::Job(id) => Got::Job { id, found: told(client, id).map(Box::new) },
        Ask::Resolved => Got::Resolved(client.read("/api/v1/alerts?state=resolved")),
        Ask::Rules => Got::Rules(client.read("/api/v1/rules")),
        Ask::Notes => Got::Notes(
            client
                .read("/api/v1/notes")
                .and_then(|notes| Ok((notes, client.read("/api/v1/alerts/received")?))),
        ),
        Ask::Note { body } => {
            let key = Uuid::now_v7().to_string();
            Got::Noted(client.post("/api/v1/notes", &key, &body).map(drop))
        }
        Ask::EndNote(id) => Got::Noted(client.delete(&format!("/api/v1/notes/{id}")).map(drop)),
        Ask::Workers => Got::Workers(client.read("/api/v1/workers?limit=500")),
        Ask::Dataflow => Got::Dataflow { found: client.read("/api/v1/dataflow"), at: now() },
        Ask::History { from } => Got::History(client.read(&format!("/api/v1/history?from={from}"))),
        Ask::Registry => Got::Registry(client.read("/page/registry.json")),
        // Who can not read its page is told nothing by it.
        Ask::Demo => Got::Demo(client.get("/").is_ok_and(|page| page.text.contains(DEMO))),
        Ask::Submit { key, body } => {
            let answer = client.post("/jobs", &key, &body);
            Got::Submitted(answer.and_then(|answer| parse(&answer.text)))
        }
    }
}

fn told(client: &Client, id: JobId) -> Result<Told, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Beside {
        as_of: Option<Micros>,
        payload: Option<Box<RawValue>>,
    }
    let text = client.get(&format!("/api/v1/jobs/{id}"))?.text;
    let (job, beside) = (parse::<JobView>(&text)?, parse::<Beside>(&text)?);
    let events: JobEvents = client.read(&format!("/api/v1/jobs/{id}/events"))?;
    let payload = beside.payload.map(|payload| payload.get().to_owned());
    Ok(Told { as_of: beside.as_of, job, payload, events })
}
