//! A line of a recorded stream: a delivery with its `body`, an event, or a list of events.

use std::borrow::Cow;

use contracts::Rejection;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a recorder writes of a delivery; whatever else it writes is its own affair.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    /// An event of its own, which may have a field `body`.
    #[serde(borrow, default, rename = "type")]
    event_type: Option<&'a RawValue>,
}

/// Calls `take` with each event of a line.
pub(crate) fn recorded(line: &[u8], mut take: impl FnMut(Result<&[u8], Rejection>)) {
    let body = match serde_json::from_slice(line) {
        Ok(Line { body: Some(body), event_type: None }) => body.get().as_bytes(),
        // What is no JSON is told so by who reads the event.
        _ => line,
    };
    let body = match serde_json::from_slice::<String>(body) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(body),
    };
    // A line may be a longer list than a delivery.
    if body.trim_ascii_start().first() == Some(&b'[')
        && let Ok(events) = serde_json::from_slice::<Vec<&RawValue>>(&body)
        && !events.is_empty()
    {
        return events.into_iter().for_each(|event| take(Ok(event.get().as_bytes())));
    }
    match contracts::elements(&body) {
        Ok(batch) => batch.elements().iter().for_each(|element| take(Ok(element))),
        Err(rejection) => take(Err(rejection)),
    }
}
