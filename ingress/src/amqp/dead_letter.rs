//! Dead letters: what was rejected is put aside, with the reason, before its delivery is settled.
//!
//! ```text
//!   DeadLetter ──▶ jobs.dlx, key = reason ──confirmed──▶ counted, receipt settled
//!       ▲                     │ not confirmed
//!       └───── wait ◀─────────┘ (given up when the session of its delivery is over)
//! ```
//!
//! # Invariants
//!
//! 1. The body is the one that was received, byte for byte; of a batch, the element's. So are the
//!    content type and the attributes of a CloudEvent, which it would be none without.
//! 2. A receipt is settled only after the broker has confirmed the dead letter.
//! 3. A dead letter is given up when its delivery will come again anyway, so that it is not put
//!    aside once for every session.
//!
//! # Cost
//!
//! The bytes of what is rejected and not confirmed; that is never more than what was delivered and
//! is not settled.

use std::sync::Arc;

use contracts::decode::MAX_DETAIL_BYTES;
use contracts::{Reason, Rejection};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::consumer::{Raw, Session};
use super::publisher::{Message, Publisher};
use super::topology::DEAD_LETTER_EXCHANGE;
use crate::submit::Receipt;

/// Dead letters that are published at once.
const AT_ONCE: usize = 100;

/// Why; one of the names of [`Reason`].
pub const REASON: &str = "x-reason";
/// Where and what, and how to fix it.
pub const DETAIL: &str = "x-detail";
/// Where it was published.
pub const EXCHANGE: &str = "x-exchange";
/// With which key it was published.
pub const ROUTING_KEY: &str = "x-routing-key";
/// Which other broker it came from, as that is called here; absent if it came from this one.
pub const SOURCE: &str = "x-source";

/// Something that was rejected, on its way to the dead-letter queue.
#[derive(Debug)]
pub struct DeadLetter {
    message: Message,
    reason: Reason,
    receipt: Receipt,
    session: Session,
}

impl DeadLetter {
    /// A dead letter of `body`, which came in `raw`.
    #[must_use]
    pub fn new(
        raw: &Raw,
        body: &[u8],
        rejection: &Rejection,
        source: &str,
        receipt: Receipt,
        session: Session,
    ) -> DeadLetter {
        let message = message(raw, body, rejection, source);
        DeadLetter { message, reason: rejection.reason, receipt, session }
    }
}

/// The message that is put aside.
fn message(raw: &Raw, body: &[u8], rejection: &Rejection, source: &str) -> Message {
    let Rejection { reason, pointer, detail } = rejection;
    let mut detail = match &**pointer {
        "" => detail.clone(),
        pointer => format!("{pointer}: {detail}"),
    };
    detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
    // A CloudEvent is one by what stands beside its body.
    let attributes = raw.cloud_event.iter().cloned().map(|(name, text)| (name.into(), text));
    let ours = [
        (REASON.into(), reason.to_string()),
        (DETAIL.into(), detail),
        (EXCHANGE.into(), raw.exchange.clone()),
        (ROUTING_KEY.into(), raw.routing_key.clone()),
    ];
    // From another broker than the one where it is put aside.
    let source = (!source.is_empty()).then(|| (SOURCE.into(), source.to_owned()));
    Message {
        exchange: DEAD_LETTER_EXCHANGE.into(),
        routing_key: reason.as_str().into(),
        body: body.into(),
        message_id: raw.message_id.clone(),
        content_type: raw.content_type.clone(),
        headers: ours.into_iter().chain(source).chain(attributes).collect(),
    }
}

/// Takes dead letters and puts them aside, however long that takes.
#[derive(Clone, Debug)]
pub struct DeadLetters(mpsc::UnboundedSender<DeadLetter>);

impl DeadLetters {
    /// Publishes through `publisher`, and tells `reject` of every one that is confirmed; must be
    /// called within a tokio runtime. It ends when it is dropped and all are settled or given up.
    #[must_use]
    pub fn start(
        publisher: Publisher,
        reject: impl Fn(Reason) + Send + Sync + 'static,
    ) -> DeadLetters {
        let (letters, mut received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut under_way = FuturesUnordered::new();
            let reject = Arc::new(reject);
            loop {
                tokio::select! {
                    letter = received.recv(), if under_way.len() < AT_ONCE => match letter {
                        Some(letter) => {
                            under_way.push(put_aside(letter, publisher.clone(), Arc::clone(&reject)));
                        }
                        None if under_way.is_empty() => return,
                        None => { under_way.next().await; }
                    },
                    Some(()) = under_way.next() => {}
                }
            }
        });
        DeadLetters(letters)
    }

    /// Puts one aside; its receipt is settled when that is done.
    pub fn send(&self, letter: DeadLetter) {
        // The task goes with the runtime only; then the delivery comes again.
        drop(self.0.send(letter));
    }
}

async fn put_aside(letter: DeadLetter, publisher: Publisher, reject: Arc<impl Fn(Reason)>) {
    let DeadLetter { message, reason, receipt, session } = letter;
    let mut backoff = Backoff::default();
    while !session.is_over() {
        match publisher.publish(message.clone()).await {
            Ok(()) => {
                reject(reason);
                receipt.settle();
                return;
            }
            Err(error) => {
                let delay = backoff.delay();
                tracing::warn!(%reason, retry_in = ?delay, "a dead letter was not confirmed: {error}");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = session.over() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(pointer: &str, detail: &str) -> Rejection {
        Rejection { reason: Reason::Schema, pointer: pointer.to_owned(), detail: detail.to_owned() }
    }

    fn header<'a>(message: &'a Message, name: &str) -> &'a str {
        &message.headers.iter().find(|(header, _)| header == name).unwrap().1
    }

    #[test]
    fn a_dead_letter_says_why_and_where_from_and_keeps_the_bytes() {
        let raw = Raw {
            exchange: "jobs".to_owned(),
            routing_key: "job.created".to_owned(),
            message_id: Some("m-1".to_owned()),
            ..Raw::default()
        };
        let message = message(&raw, b"{\"a\":\xFF}", &rejection("/payload/type", "missing"), "");
        assert_eq!((&*message.exchange, &*message.routing_key), ("jobs.dlx", "schema"));
        assert_eq!(&*message.body, b"{\"a\":\xFF}");
        assert_eq!(message.message_id.as_deref(), Some("m-1"));
        assert_eq!(header(&message, "x-reason"), "schema");
        assert_eq!(header(&message, "x-detail"), "/payload/type: missing");
        assert_eq!(header(&message, "x-exchange"), "jobs");
        assert_eq!(header(&message, "x-routing-key"), "job.created");
    }

    #[test]
    fn a_detail_is_cut_between_characters() {
        let message = message(&Raw::default(), b"", &rejection("/a", &"é".repeat(300)), "");
        let detail = header(&message, "x-detail");
        assert!(detail.len() <= 512 && detail.len() > 508, "{}", detail.len());
        assert!(detail.ends_with('é'));
    }
}
