//! Values as the server takes and gives them, and columns of them.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use pipeline::name::Name;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

pub(super) type Outcome<T> = Result<T, Box<dyn Error + Sync + Send>>;

/// An instant, µs since the Unix epoch; `timestamptz` counts them from 2000-01-01.
#[derive(Clone, Copy, Debug)]
pub(super) struct At(pub(super) i64);

/// 2000-01-01, µs since the Unix epoch.
const EPOCH: i64 = 946_684_800_000_000;
/// What `timestamptz` can hold, 4714 BC to AD 294276, in its own count. No event is outside; were
/// something of ours, refusing it would stop all that comes after.
const FIRST: i64 = -211_813_488_000_000_000;
const LAST: i64 = 9_223_371_331_199_999_999;

impl ToSql for At {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        out.put_i64(self.0.saturating_sub(EPOCH).clamp(FIRST, LAST));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Outcome<At> {
        Ok(At(i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH)))
    }

    accepts!(TIMESTAMPTZ);
}

/// An interned text; the absent one is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(pub(super) Name);

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        out.put_slice(self.0.text().as_bytes());
        Ok(IsNull::No)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Text {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Outcome<Text> {
        <&str>::from_sql(ty, raw).map(|text| Text(Name::new(text)))
    }

    accepts!(TEXT);
}

/// A statement and its parameters, most of them columns: arrays of one length.
pub(super) struct Write<'a> {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Box<dyn ToSql + Sync + 'a>>,
}

impl<'a> Write<'a> {
    pub(super) fn new(sql: &'static str) -> Write<'a> {
        Write { sql, parameters: Vec::new() }
    }

    /// With one more parameter.
    pub(super) fn with(mut self, value: impl ToSql + Sync + 'a) -> Write<'a> {
        self.parameters.push(Box::new(value));
        self
    }

    /// With one more column.
    pub(super) fn column<T: ToSql + Sync + 'a>(
        self,
        values: impl IntoIterator<Item = T>,
    ) -> Write<'a> {
        self.with(values.into_iter().collect::<Vec<T>>())
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}
