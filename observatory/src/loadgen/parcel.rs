//! Events on their way: what goes out in one message.

use std::ops::Range;
use std::sync::Arc;

use contracts::Kind;
use contracts::decode::MAX_BODY_BYTES;
use ingress::amqp::{Message, topology};

use super::stream::Due;

/// The body of one message, and where its events are in it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// That of the first event is the routing key.
    kind: Kind,
    body: Arc<[u8]>,
    events: Vec<Range<usize>>,
}

impl Parcel {
    pub(super) fn message(&self) -> Message {
        Message {
            exchange: topology::JOBS.into(),
            routing_key: self.kind.as_str().into(),
            body: Arc::clone(&self.body),
            ..Message::default()
        }
    }

    /// The bodies of the events.
    pub(super) fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().map(|range| &self.body[range.clone()])
    }

    pub(super) fn n_events(&self) -> u64 {
        self.events.len() as u64
    }
}

/// Packs events: one alone as it is, several as an array.
#[derive(Default)]
pub(super) struct Packing {
    n: usize,
    open: Vec<Due>,
    bytes: usize,
}

impl Packing {
    pub(super) fn new(n: usize) -> Packing {
        Packing { n, ..Packing::default() }
    }

    /// Takes an event in; gives the parcel that is full.
    pub(super) fn put(&mut self, due: Due) -> Option<Parcel> {
        // Brackets around all, and a comma before each.
        let more = due.body.len() + 1;
        let full = self.bytes + more + 1 > MAX_BODY_BYTES;
        let parcel = if full { self.take() } else { None };
        self.bytes += more;
        self.open.push(due);
        parcel.or_else(|| (self.open.len() >= self.n).then(|| self.take()).flatten())
    }

    /// When the first event that waits was due.
    pub(super) fn since(&self) -> Option<u64> {
        self.open.first().map(|due| due.at)
    }

    /// Gives what is there, however little.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        let open = std::mem::take(&mut self.open);
        self.bytes = 0;
        let kind = open.first()?.kind;
        let array = self.n > 1;
        let (mut body, mut events) = (Vec::new(), Vec::with_capacity(open.len()));
        for due in open {
            if array {
                body.push(if body.is_empty() { b'[' } else { b',' });
            }
            let start = body.len();
            body.extend(due.body);
            events.push(start..body.len());
        }
        if array {
            body.push(b']');
        }
        Some(Parcel { kind, body: body.into(), events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at: u64, body: &str) -> Due {
        Due { at, kind: Kind::Created, body: body.as_bytes().to_vec(), repeat: false }
    }

    fn body(parcel: &Parcel) -> &str {
        str::from_utf8(&parcel.body).unwrap()
    }

    #[test]
    fn an_event_alone_goes_as_it_is() {
        let mut packing = Packing::new(1);
        let parcel = packing.put(due(0, "{}")).unwrap();
        assert_eq!((body(&parcel), parcel.n_events()), ("{}", 1));
        assert!(packing.take().is_none());
    }

    #[test]
    fn several_make_an_array_in_which_each_is_found() {
        let mut packing = Packing::new(3);
        assert!(packing.put(due(7, "{\"a\":1}")).is_none());
        assert!(packing.put(due(8, "{}")).is_none());
        assert_eq!(packing.since(), Some(7));
        let parcel = packing.put(due(9, "{\"b\":2}")).unwrap();
        assert_eq!(body(&parcel), r#"[{"a":1},{},{"b":2}]"#);
        let events: Vec<&[u8]> = parcel.events().collect();
        assert_eq!(events, [&br#"{"a":1}"#[..], b"{}", br#"{"b":2}"#]);
        assert_eq!(packing.since(), None);
    }

    #[test]
    fn a_message_stays_within_what_the_contract_takes() {
        let large = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES / 2 - 10));
        let mut packing = Packing::new(100);
        let parcels: Vec<Parcel> = (0..7).filter_map(|i| packing.put(due(i, &large))).collect();
        assert_eq!(parcels.iter().map(Parcel::n_events).collect::<Vec<_>>(), [2, 2, 2]);
        assert!(parcels.iter().all(|parcel| parcel.body.len() <= MAX_BODY_BYTES));
        assert_eq!(packing.take().unwrap().n_events(), 1);
    }
}
