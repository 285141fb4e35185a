//! Events that wait for the archive while it is away, so that nothing else has to wait for it.
//!
//! ```text
//!   commit or spill ──▶ event_spill ──spilled──▶ archive ──unspill──▶ gone
//! ```
//!
//! An event may be kept twice, and archived twice: its key makes that harmless.

use super::columns::{At, Write};
use super::server::Fault;
use super::session::Session;
use super::{bigint, tick};
use crate::commit::SpillRow;

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spilled {
    /// What it is forgotten by.
    pub id: i64,
    pub event: SpillRow,
}

pub(super) fn keep(events: &[SpillRow]) -> Write<'_> {
    Write::new(
        "INSERT INTO event_spill (key, job_id, occurred_at, tick, late, body)
         SELECT key, job_id, occurred_at, tick, late, body
         FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::boolean[],
                 $6::bytea[])
             WITH ORDINALITY AS given (key, job_id, occurred_at, tick, late, body, place)
         ORDER BY place",
    )
    .column(events.iter().map(|event| event.key.as_str()))
    .column(events.iter().map(|event| event.job))
    .column(events.iter().map(|event| At(event.occurred_at)))
    .column(events.iter().map(|event| bigint(event.tick)))
    .column(events.iter().map(|event| event.late))
    .column(events.iter().map(|event| event.body.as_slice()))
}

pub(super) fn forget(ids: &[i64]) -> Write<'_> {
    Write::new("DELETE FROM event_spill WHERE id = ANY($1)").with(ids)
}

pub(super) async fn oldest(session: &mut Session, limit: usize) -> Result<Vec<Spilled>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT id, key, job_id, occurred_at, tick, late, body FROM event_spill
        ORDER BY id LIMIT $1";
    let rows = session.query(sql, &[&limit]).await?;
    let rows = rows.into_iter().map(|row| {
        Ok(Spilled {
            id: row.try_get(0)?,
            event: SpillRow {
                key: row.try_get(1)?,
                job: row.try_get(2)?,
                occurred_at: row.try_get::<_, At>(3)?.0,
                tick: tick(row.try_get(4)?),
                late: row.try_get(5)?,
                body: row.try_get(6)?,
            },
        })
    });
    rows.collect()
}
