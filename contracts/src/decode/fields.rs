//! The fields of an event that are read, and how each kind of field is read.

use std::borrow::Cow;

use uuid::Uuid;

use super::{Reason, Rejection};
use crate::event::MAX_NAME_BYTES;
use crate::json::{self, Keep, Shape, Span};

/// Declares the fields: variant, parent, key, JSON pointer.
macro_rules! fields {
    ($($field:ident = $parent:ident / $key:literal at $pointer:literal;)+) => {
        /// A field that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Field {
            Root,
            $($field),+
        }

        const N_FIELDS: usize = 1 + [$($pointer),+].len();

        impl Field {
            pub(super) fn pointer(self) -> &'static str {
                match self {
                    Field::Root => "",
                    $(Field::$field => $pointer),+
                }
            }

            fn of(parent: Field, key: &[u8]) -> Option<Field> {
                match (parent, key) {
                    $((Field::$parent, $key) => Some(Field::$field),)+
                    _ => None,
                }
            }
        }
    };
}

fields! {
    ContractVersion = Root / b"contractVersion" at "/contractVersion";
    EventType = Root / b"eventType" at "/eventType";
    EventId = Root / b"eventId" at "/eventId";
    OccurredAt = Root / b"occurredAt" at "/occurredAt";
    Producer = Root / b"producer" at "/producer";
    Service = Producer / b"service" at "/producer/service";
    InstanceId = Producer / b"instanceId" at "/producer/instanceId";
    Version = Producer / b"version" at "/producer/version";
    CorrelationId = Root / b"correlationId" at "/correlationId";
    IdempotencyKey = Root / b"idempotencyKey" at "/idempotencyKey";
    Job = Root / b"payload" at "/payload";
    Id = Job / b"id" at "/payload/id";
    JobId = Job / b"jobId" at "/payload/jobId";
    Type = Job / b"type" at "/payload/type";
    Status = Job / b"status" at "/payload/status";
    CreatedAt = Job / b"createdAt" at "/payload/createdAt";
    UpdatedAt = Job / b"updatedAt" at "/payload/updatedAt";
    Queue = Job / b"queue" at "/payload/queue";
    Worker = Job / b"worker" at "/payload/worker";
    Attempt = Job / b"attempt" at "/payload/attempt";
    Error = Job / b"error" at "/payload/error";
    ErrorKind = Error / b"kind" at "/payload/error/kind";
    ErrorMessage = Error / b"message" at "/payload/error/message";
    Payload = Job / b"payload" at "/payload/payload";
    Metadata = Job / b"metadata" at "/payload/metadata";
    Origin = Root / b"origin" at "/origin";
    OriginFormat = Origin / b"format" at "/origin/format";
    OriginExpires = Origin / b"expires" at "/origin/expires";
    OriginEvent = Origin / b"event" at "/origin/event";
}

/// The spans of an event's fields, filled by the scan.
pub(super) struct Fields<'a> {
    text: &'a str,
    spans: [Span; N_FIELDS],
}

impl Keep for Fields<'_> {
    type Slot = Field;
    const STRICT: bool = true;

    fn root(&self) -> Option<Field> {
        Some(Field::Root)
    }

    fn member(&self, parent: Field, key: &[u8]) -> Option<Field> {
        Field::of(parent, key)
    }

    fn element(&self, _: Field) -> Option<Field> {
        None
    }

    fn value(&mut self, field: Field, span: Span) {
        self.spans[field as usize] = span;
    }
}

impl<'a> Fields<'a> {
    pub(super) fn of(text: &'a str) -> Fields<'a> {
        Fields { text, spans: [Span::default(); N_FIELDS] }
    }

    pub(super) fn shape(&self, field: Field) -> Shape {
        self.spans[field as usize].shape
    }

    pub(super) fn raw(&self, field: Field) -> &'a str {
        self.spans[field as usize].of(self.text)
    }

    /// A required string.
    pub(super) fn text(&self, field: Field) -> Result<Cow<'a, str>, Rejection> {
        match self.shape(field) {
            Shape::Text => Ok(Cow::Borrowed(self.raw(field))),
            Shape::Escaped => Ok(Cow::Owned(json::unescape(self.raw(field)))),
            _ => Err(self.wrong(field, "a string")),
        }
    }

    /// A string that may be absent or null.
    pub(super) fn optional_text(&self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        match self.shape(field) {
            Shape::Absent | Shape::Null => Ok(None),
            _ => self.text(field).map(Some),
        }
    }

    /// A required label of a job.
    pub(super) fn name(&self, field: Field) -> Result<Cow<'a, str>, Rejection> {
        let name = self.text(field)?;
        if name.is_empty() {
            return Err(invalid(field, "must not be empty"));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(invalid(field, "is longer than 200 bytes of UTF-8: shorten it"));
        }
        // Most names are plain ASCII, which is quickly seen.
        let plain = name.bytes().all(|byte| (0x20..0x7F).contains(&byte));
        if !plain && name.chars().any(char::is_control) {
            return Err(invalid(field, "contains a control character: remove it"));
        }
        Ok(name)
    }

    /// A label that may be absent, null or empty, which are the same.
    pub(super) fn optional_name(&self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        if self.nothing(field) { Ok(None) } else { self.name(field).map(Some) }
    }

    /// Whether a field is absent, null or the empty string.
    pub(super) fn nothing(&self, field: Field) -> bool {
        match self.shape(field) {
            Shape::Absent | Shape::Null => true,
            Shape::Text => self.raw(field).is_empty(),
            _ => false,
        }
    }

    pub(super) fn uuid(&self, field: Field) -> Result<Uuid, Rejection> {
        let text = self.text(field)?;
        // Other lengths are other spellings, which the parser would accept too.
        let uuid = if text.len() == 36 { Uuid::try_parse(&text).ok() } else { None };
        uuid.ok_or_else(|| invalid(field, "must be a UUID of 36 characters with hyphens"))
    }

    /// An object that must be there; its own fields are read apart.
    pub(super) fn object(&self, field: Field) -> Result<(), Rejection> {
        match self.shape(field) {
            Shape::Object => Ok(()),
            _ => Err(self.wrong(field, "an object")),
        }
    }

    /// The raw text of an object that may be absent or null.
    pub(super) fn optional_object(&self, field: Field) -> Result<Option<&'a str>, Rejection> {
        match self.shape(field) {
            Shape::Absent | Shape::Null => Ok(None),
            _ => self.object(field).map(|()| Some(self.raw(field))),
        }
    }

    /// An integer from 1 to 65535, written as one; 1 when absent.
    pub(super) fn attempt(&self, field: Field) -> Result<u16, Rejection> {
        match self.shape(field) {
            Shape::Absent => Ok(1),
            // Fractions and exponents do not parse as an integer.
            Shape::Number => match self.raw(field).parse() {
                Ok(attempt @ 1..) => Ok(attempt),
                _ => Err(invalid(field, "must be an integer from 1 to 65535")),
            },
            _ => Err(self.wrong(field, "an integer from 1 to 65535")),
        }
    }

    #[cold]
    pub(super) fn wrong(&self, field: Field, expected: &str) -> Rejection {
        let found = match self.shape(field) {
            Shape::Absent => {
                return invalid(field, &format!("is required and missing: send {expected}"));
            }
            Shape::Null => "null",
            Shape::Bool => "a boolean",
            Shape::Number => "a number",
            Shape::Text | Shape::Escaped => "a string",
            Shape::Object => "an object",
            Shape::Array => "an array",
        };
        invalid(field, &format!("expected {expected}, found {found}"))
    }
}

#[cold]
pub(super) fn invalid(field: Field, detail: &str) -> Rejection {
    Rejection::new(Reason::Schema, field.pointer(), detail)
}
