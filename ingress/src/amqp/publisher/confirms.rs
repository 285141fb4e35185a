//! Which confirm, and which return, belongs to which message.
//!
//! A message that no queue wants is *returned* and then acknowledged like any other. The client
//! library hands a return to the next confirm that it completes, and one acknowledgement can be
//! about many messages, which it completes in no particular order: the return of one message
//! arrives with the confirm of another. So a return is matched by what was returned, and a
//! confirm without one is believed only when no return can follow any more:
//!
//! ```text
//!   wire:     return(5)  ack(1..10)
//!   library:  3: ack + return(5)   7: ack   5: ack   …     under one lock, in any order
//!   us:       7: ack ──barrier──▶ all of that frame can be seen ──▶ return(5) seen: 7 is fine, 5 is not
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Message, PublishError};
use crate::amqp::connection::Fault;

/// A message's number in its session.
pub(super) type Id = u64;

/// The messages of a session that have not been confirmed.
pub(super) struct Confirms {
    channel: Channel,
    /// Confirms that are waited for. None is dropped before: the library would keep it.
    confirming: FuturesUnordered<Confirming>,
    waiting: Waiting,
}

type Confirming = Pin<Box<dyn Future<Output = (Id, lapin::Result<Confirmation>)> + Send>>;

impl Confirms {
    pub(super) fn new(channel: Channel) -> Confirms {
        Confirms { channel, confirming: FuturesUnordered::new(), waiting: Waiting::default() }
    }

    /// Enters a message that is about to be written.
    pub(super) fn register(
        &mut self,
        message: &Message,
        answer: oneshot::Sender<Result<(), PublishError>>,
        room: OwnedSemaphorePermit,
    ) -> Id {
        self.waiting.register(message, answer, Some(room))
    }

    /// Waits for the confirm of a message that has been written.
    pub(super) fn wait_for(&mut self, id: Id, confirm: PublisherConfirm) {
        self.confirming.push(Box::pin(async move { (id, confirm.await) }));
    }

    /// Answers all who wait; what the broker will say of their messages is of no interest.
    pub(super) fn give_up(&mut self, error: &PublishError) {
        self.waiting.give_up(error);
    }

    /// Waits for the broker, and answers those of whom it has spoken; whether a message was
    /// unroutable.
    pub(super) async fn next(&mut self) -> Result<bool, Fault> {
        let Some(first) = self.confirming.next().await else {
            // All that was written is confirmed.
            return std::future::pending().await;
        };
        let mut unroutable = false;
        let mut seen = vec![self.see(first)?];
        // Nothing is written meanwhile, so it ends with the window at the latest.
        while !seen.is_empty() {
            self.barrier();
            let mut later = Vec::new();
            while let Some(Some(confirmed)) = self.confirming.next().now_or_never() {
                later.push(self.see(confirmed)?);
            }
            for (id, acked) in seen {
                unroutable |= self.waiting.answer(id, acked);
            }
            seen = later;
        }
        Ok(unroutable)
    }

    /// Keeps the return that a confirm brought, whoever it belongs to; whether it is an ack.
    fn see(
        &mut self,
        (id, result): (Id, lapin::Result<Confirmation>),
    ) -> Result<(Id, bool), Fault> {
        let confirmation = result.map_err(|error| Fault::during(&error))?;
        let acked = confirmation.is_ack();
        if let Some(returned) = confirmation.take_message() {
            self.waiting.returned(&returned);
        }
        Ok((id, acked))
    }

    /// Returns when all confirms have been completed that are completed together with one that was
    /// seen: the library completes them under a lock, and this question takes it.
    fn barrier(&self) {
        drop(self.channel.wait_for_confirms().now_or_never());
    }
}

/// What two messages have in common only if they are the same; then it does not matter which of
/// them a return is taken for.
type Fingerprint = u64;

/// Who waits, and what has come back.
#[derive(Default)]
struct Waiting {
    next: Id,
    entries: HashMap<Id, Entry>,
    returns: Vec<Fingerprint>,
    hasher: RandomState,
}

struct Entry {
    /// None when it has been given up.
    answer: Option<oneshot::Sender<Result<(), PublishError>>>,
    fingerprint: Fingerprint,
    exchange: String,
    routing_key: String,
    /// In the window until the broker has answered, also when nobody waits any more.
    _room: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    fn register(
        &mut self,
        message: &Message,
        answer: oneshot::Sender<Result<(), PublishError>>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Id {
        let Message { exchange, routing_key, body, message_id, .. } = message;
        let message_id = message_id.as_deref().unwrap_or_default();
        let entry = Entry {
            answer: Some(answer),
            fingerprint: self.fingerprint(exchange, routing_key, message_id, body),
            exchange: exchange.to_string(),
            routing_key: routing_key.to_string(),
            _room: room,
        };
        self.next += 1;
        self.entries.insert(self.next, entry);
        self.next
    }

    fn give_up(&mut self, error: &PublishError) {
        for answer in self.entries.values_mut().filter_map(|entry| entry.answer.take()) {
            // Whoever waited may have gone.
            drop(answer.send(Err(error.clone())));
        }
    }

    fn returned(&mut self, message: &BasicReturnMessage) {
        let message_id = message.properties.message_id().as_ref().map_or("", |id| id.as_str());
        let (exchange, routing_key) = (message.exchange.as_str(), message.routing_key.as_str());
        self.returns.push(self.fingerprint(exchange, routing_key, message_id, &message.data));
    }

    /// Answers for one message, all returns up to its confirm being known; whether it was
    /// unroutable.
    fn answer(&mut self, id: Id, acked: bool) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        let returned = self.returns.iter().position(|one| *one == entry.fingerprint);
        let Entry { answer, exchange, routing_key, .. } = entry;
        let result = match (returned, acked) {
            (Some(at), _) => {
                self.returns.swap_remove(at);
                Err(PublishError::Unroutable { exchange, routing_key })
            }
            (None, true) => Ok(()),
            (None, false) => Err(PublishError::Refused(format!(
                "a queue bound for `{routing_key}` on exchange `{exchange}` is full or has no \
                 leader: look at it, and publish again"
            ))),
        };
        if let Some(answer) = answer {
            drop(answer.send(result));
        }
        returned.is_some()
    }

    fn fingerprint(&self, exchange: &str, key: &str, message_id: &str, body: &[u8]) -> Fingerprint {
        self.hasher.hash_one((exchange, key, message_id, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<(), PublishError>>;

    fn message(body: &str) -> Message {
        Message { body: body.as_bytes().into(), ..Message::default() }
    }

    fn register(waiting: &mut Waiting, body: &str) -> (Id, Answer) {
        let (answer, answered) = oneshot::channel();
        (waiting.register(&message(body), answer, None), answered)
    }

    fn come_back(waiting: &mut Waiting, body: &str) {
        let fingerprint = waiting.fingerprint("", "", "", body.as_bytes());
        waiting.returns.push(fingerprint);
    }

    fn unroutable(answer: &mut Answer) -> bool {
        matches!(answer.try_recv().unwrap(), Err(PublishError::Unroutable { .. }))
    }

    #[test]
    fn a_return_goes_to_its_message_whichever_confirm_brought_it() {
        let mut waiting = Waiting::default();
        let (one, mut first) = register(&mut waiting, "one");
        let (two, mut second) = register(&mut waiting, "two");
        come_back(&mut waiting, "two");
        assert!(!waiting.answer(one, true));
        assert!(waiting.answer(two, true));
        assert!(!unroutable(&mut first) && unroutable(&mut second));
    }

    #[test]
    fn one_return_is_for_one_of_two_equal_messages() {
        let mut waiting = Waiting::default();
        let (one, mut first) = register(&mut waiting, "same");
        let (two, mut second) = register(&mut waiting, "same");
        come_back(&mut waiting, "same");
        waiting.answer(one, true);
        waiting.answer(two, true);
        assert!(unroutable(&mut first) && !unroutable(&mut second));
    }

    #[test]
    fn a_nack_is_no_success() {
        let mut waiting = Waiting::default();
        let (id, mut answer) = register(&mut waiting, "one");
        waiting.answer(id, false);
        assert!(matches!(answer.try_recv().unwrap(), Err(PublishError::Refused(_))));
    }

    #[test]
    fn who_was_given_up_is_answered_once() {
        let mut waiting = Waiting::default();
        let (id, mut answer) = register(&mut waiting, "one");
        waiting.give_up(&PublishError::Blocked);
        assert_eq!(answer.try_recv().unwrap(), Err(PublishError::Blocked));
        assert!(!waiting.answer(id, true));
        assert!(waiting.entries.is_empty());
    }
}
