//! Events as they are on the wire.

use axum::body::Bytes;
use contracts::{Delta, Snapshot};
use sinks::fold::Position;

/// How long a client is to wait before it connects again, ms.
pub(super) const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// Says nothing.
pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

pub(super) const RESET: Bytes = Bytes::from_static(b"event: reset\ndata: {}\n\n");
pub(super) const LAGGED: Bytes = Bytes::from_static(b"event: lagged\ndata: {}\n\n");

pub(super) fn snapshot(at: Position, snapshot: &Snapshot) -> Bytes {
    event("snapshot", at, snapshot)
}

pub(super) fn delta(at: Position, delta: &Delta) -> Bytes {
    event("delta", at, delta)
}

fn event(name: &str, at: Position, data: &impl serde::Serialize) -> Bytes {
    // Rows are texts, numbers and maps of texts, which always serialise; and JSON has no line ends.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("id: {at}\nevent: {name}\ndata: {data}\n\n"))
}
