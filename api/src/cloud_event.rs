//! CloudEvents over HTTP: how a request says that it carries some.
//!
//! | mode | content type | attributes |
//! |---|---|---|
//! | structured | `application/cloudevents+json` | in the body |
//! | batch | `application/cloudevents-batch+json` | in the elements of the body |
//! | binary | that of the data | headers `ce-…`, with `%` before the bytes of what is no ASCII |

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use contracts::{Reason, Rejection};
use ingress::cloudevents::{Mapping, binary, structured};
use percent_encoding::percent_decode_str;

const PREFIX: &str = "ce-";

/// How a request carries its events.
pub(crate) enum Mode {
    /// As events of our own contract.
    Native,
    /// As CloudEvents, one or several.
    Structured { several: bool },
    /// As a CloudEvent whose attributes these are.
    Binary { attributes: Vec<(String, String)>, content_type: Option<String> },
}

impl Mode {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Mode, Rejection> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        match essence.map(str::to_ascii_lowercase).as_deref() {
            Some("application/cloudevents+json" | "application/cloudevents") => {
                return Ok(Mode::Structured { several: false });
            }
            Some("application/cloudevents-batch+json") => {
                return Ok(Mode::Structured { several: true });
            }
            _ => {}
        }
        let mut attributes = Vec::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
            let text = value.to_str().ok().and_then(|text| {
                percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
            });
            let Some(text) = text else {
                let detail = "must be UTF-8, with `%` before what is no visible ASCII";
                return Err(Rejection::new(Reason::BadUtf8, format!("/{name}"), detail));
            };
            attributes.push((name.to_owned(), text));
        }
        if attributes.is_empty() {
            return Ok(Mode::Native);
        }
        Ok(Mode::Binary { attributes, content_type: content_type.map(str::to_owned) })
    }

    /// An event of our contract, as JSON, of one element of the body.
    pub(crate) fn read<'a>(
        &self,
        element: &'a [u8],
        mapping: &Mapping,
    ) -> Result<Cow<'a, [u8]>, Rejection> {
        let envelope = match self {
            Mode::Native => return Ok(Cow::Borrowed(element)),
            Mode::Structured { .. } => structured(element, mapping),
            Mode::Binary { attributes, content_type } => {
                binary(attributes.clone(), content_type.as_deref(), element, mapping)
            }
        };
        envelope.map(Cow::Owned)
    }

    /// Whether an array is several events.
    pub(crate) fn several(&self) -> bool {
        matches!(self, Mode::Native | Mode::Structured { several: true })
    }

    /// Whether the content type is for us to judge.
    pub(crate) fn native(&self) -> bool {
        matches!(self, Mode::Native)
    }
}
