//! The pipeline's consumption: from deliveries to events, and to dead letters.
//!
//! ```text
//!   Raw ──elements──▶ each: decode, in time? ──good──▶ deliver(Delivery) ──▶ … durable ──┐
//!    │                          └──bad──▶ DeadLetters ──▶ jobs.dlx … confirmed ──────────┤
//!    ▼                                                                                   ▼
//!   Settle ◀───────────────────────── one receipt per element, all settled ◀────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. Every element of a delivery becomes exactly one event or one dead letter.
//! 2. A delivery is settled when all its events are durable and all its dead letters confirmed.

use std::sync::Arc;
use std::time::Duration;

use contracts::{Heartbeat, Micros, Reason, Rejection};
use tokio::sync::watch;

use super::cloud_event;
use super::connection::State;
use super::consumer::{self, Consumer, Raw, Settle, Status};
use super::dead_letter::{DeadLetter, DeadLetters};
use super::publisher::Publisher;
use crate::ahead::{in_time, time_in_time};
use crate::submit::{Delivery, Receipt, Submitted};
use crate::vocabulary::{Entry, Vocabulary};

/// What takes place of the events of a queue.
pub struct Events {
    consumer: Consumer,
}

impl Events {
    /// Consumes the queue of `config`, whose bodies are of `vocabulary`, and hands events to
    /// `deliver`, which must not block. What is rejected goes out through `publisher` and is then told
    /// to `reject`; what workers say of themselves is told to `hear`. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn start(
        config: consumer::Config,
        vocabulary: Vocabulary,
        publisher: Publisher,
        clock: impl Fn() -> Micros + Send + 'static,
        mut deliver: impl FnMut(Delivery) + Send + 'static,
        mut hear: impl FnMut(Heartbeat) + Send + 'static,
        reject: impl Fn(Reason) + Send + Sync + 'static,
    ) -> Events {
        let dead_letters = DeadLetters::start(publisher, reject);
        let consumer = Consumer::start(config, move |raw, settle| {
            take(&raw, settle, &vocabulary, clock(), &mut deliver, &mut hear, &dead_letters);
        });
        Events { consumer }
    }

    /// How things stand with the broker.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.consumer.state()
    }

    /// Whether there is a connection, and what was in the queue when it was made is in.
    #[must_use]
    pub fn current(&self) -> watch::Receiver<bool> {
        self.consumer.current()
    }

    /// How the consumer is doing.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        self.consumer.status()
    }

    /// Takes no more deliveries, acknowledges what is settled within `grace`, and closes.
    pub async fn stop(self, grace: Duration) {
        self.consumer.stop(grace).await;
    }
}

fn take(
    raw: &Raw,
    settle: Settle,
    vocabulary: &Vocabulary,
    now: Micros,
    deliver: &mut impl FnMut(Delivery),
    hear: &mut impl FnMut(Heartbeat),
    dead_letters: &DeadLetters,
) {
    let session = settle.session();
    let elements = match vocabulary {
        Vocabulary::Native(mapping) => cloud_event::read(raw, mapping).map(|envelope| {
            let submitted = envelope.and_then(|envelope| judged(&envelope, now));
            vec![submitted.map_or_else(|bad| Element::Bad(&raw.body, bad), Element::Good)]
        }),
        Vocabulary::Celery(_) | Vocabulary::CloudEvents(_) => None,
    };
    let elements = elements.unwrap_or_else(|| self::elements(&raw.body, vocabulary, now));
    let receipts = Receipt::several(elements.len(), move || settle.settle());
    for (element, receipt) in elements.into_iter().zip(receipts) {
        match element {
            Element::Good(event) => deliver(Delivery { event: *event, receipt }),
            Element::Pulse(heartbeat) => {
                // The next comes in seconds, if this one is lost.
                hear(*heartbeat);
                receipt.settle();
            }
            Element::Bad(body, rejection) => {
                let session = session.clone();
                dead_letters.send(DeadLetter::new(
                    raw,
                    body,
                    &rejection,
                    vocabulary.source(),
                    receipt,
                    session,
                ));
            }
        }
    }
}

/// What became of one element of a body.
#[derive(Debug)]
enum Element<'a> {
    Good(Box<Submitted>),
    /// There is nothing to keep.
    Pulse(Box<Heartbeat>),
    Bad(&'a [u8], Rejection),
}

/// An event of our contract, if it is one and not from the future.
fn judged(envelope: &[u8], now: Micros) -> Result<Box<Submitted>, Rejection> {
    let event = contracts::decode(envelope)?;
    in_time(&event, now)?;
    Ok(Box::new(Submitted::of(&event, false)))
}

/// Takes a body apart and judges each element; at least one.
fn elements<'a>(body: &'a [u8], vocabulary: &Vocabulary, now: Micros) -> Vec<Element<'a>> {
    let batch = match contracts::elements(body) {
        Ok(batch) => batch,
        Err(rejection) => return vec![Element::Bad(body, rejection)],
    };
    let judge = |entry: Entry<'_>| match entry {
        Entry::Event(event) => {
            in_time(event, now).map(|()| Element::Good(Box::new(Submitted::of(event, false))))
        }
        Entry::Note(note) => {
            time_in_time(note.at, now).map(|()| Element::Good(Box::new(Submitted::note(note))))
        }
        Entry::Pulse(heartbeat) => {
            time_in_time(heartbeat.at, now).map(|()| Element::Pulse(Box::new(heartbeat)))
        }
    };
    let element = |&element: &&'a [u8]| match vocabulary.read(element, judge).flatten() {
        Ok(good) => good,
        Err(bad) => Element::Bad(element, bad),
    };
    batch.elements().iter().map(element).collect()
}

#[cfg(test)]
mod tests {
    use contracts::Reason::{BadJson, BadTime, BadUtf8, Schema, TooLarge, UnknownType};

    use super::*;
    use crate::celery::Application;

    /// 2026-11-21T10:00:00Z.
    const NOW: Micros = Micros(1_795_255_200_000_000);

    fn event(occurred_at: &str) -> String {
        format!(
            r#"{{"contractVersion":"1.1.0","eventType":"job.created","eventId":"01936a3e-0000-7000-8000-000000000001","occurredAt":"{occurred_at}","producer":{{"service":"s","instanceId":"i","version":"1"}},"correlationId":"01936a3e-0000-7000-8000-000000000002","idempotencyKey":"k","payload":{{"id":"01936a3e-0000-7000-8000-000000000003","type":"t","status":"PENDING","createdAt":"{occurred_at}"}}}}"#
        )
    }

    fn good() -> String {
        event("2026-11-21T10:00:00Z")
    }

    /// For each element its reason and bytes, or none if it is good.
    fn judged(body: &[u8]) -> Vec<Option<(Reason, Vec<u8>)>> {
        let judged = |element| match element {
            Element::Good(_) | Element::Pulse(_) => None,
            Element::Bad(body, rejection) => Some((rejection.reason, body.to_vec())),
        };
        elements(body, &Vocabulary::default(), NOW).into_iter().map(judged).collect()
    }

    #[test]
    fn one_event_is_one_element() {
        assert_eq!(judged(good().as_bytes()), [None]);
        assert_eq!(judged(b"{"), [Some((BadJson, b"{".to_vec()))]);
        assert_eq!(judged(b"\xFF"), [Some((BadUtf8, b"\xFF".to_vec()))]);
        assert_eq!(judged(b""), [Some((BadJson, Vec::new()))]);
    }

    #[test]
    fn a_bad_element_of_a_batch_goes_alone_with_its_own_bytes() {
        let body = format!(r#"[ {0}, {{"eventType": "no"}} ,{0},7]"#, good());
        assert_eq!(
            judged(body.as_bytes()),
            [
                None,
                Some((UnknownType, br#"{"eventType": "no"}"#.to_vec())),
                None,
                Some((Schema, b"7".to_vec()))
            ]
        );
    }

    #[test]
    fn a_batch_that_is_none_goes_as_a_whole() {
        assert_eq!(judged(b"[]"), [Some((Schema, b"[]".to_vec()))]);
        let body = format!("[{},]", good());
        assert_eq!(judged(body.as_bytes()), [Some((BadJson, body.clone().into_bytes()))]);
        for open in [&b"["[..], b"{"] {
            let large = [open, &b" ".repeat(256 * 1024)].concat();
            assert_eq!(judged(&large), [Some((TooLarge, large.clone()))]);
        }
    }

    #[test]
    fn of_celery_everything_is_kept_but_heartbeats() {
        let event = |name, at| {
            format!(
                r#"{{"type":"{name}","uuid":"01936a3e-0000-7000-8000-000000000003","hostname":"w","pid":1,"clock":2,"timestamp":{at}}}"#
            )
        };
        let body = format!(
            "[{},{},{},{},7]",
            event("task-started", 1_795_255_200),
            event("task-progress", 1_795_255_200),
            event("worker-heartbeat", 1_795_255_200),
            event("task-failed", 1_795_255_200 + 3_601),
        );
        let kinds = elements(body.as_bytes(), &Vocabulary::Celery(Application::default()), NOW);
        let kinds = kinds.iter().map(|element| match element {
            Element::Good(event) if event.note => "note".to_owned(),
            Element::Good(event) => event.fact.kind.to_string(),
            Element::Pulse(_) => "pulse".to_owned(),
            Element::Bad(_, rejection) => rejection.reason.to_string(),
        });
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            ["job.executed", "note", "pulse", "bad_time", "schema"]
        );
    }

    #[test]
    fn an_event_from_the_future_is_refused_after_an_hour() {
        assert_eq!(judged(event("2026-11-21T11:00:00Z").as_bytes()), [None]);
        let ahead = event("2026-11-21T11:00:00.000001Z");
        assert_eq!(judged(ahead.as_bytes()), [Some((BadTime, ahead.clone().into_bytes()))]);
    }
}
