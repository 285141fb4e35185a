//! What is not made of events: what people say of alerts, what others tell us of theirs, and what
//! somebody has been told of ours.

use contracts::Micros;
use contracts::notes::{Note, ReceivedAlert};
use rusqlite::{Connection, Error, Row, params};
use uuid::Uuid;

use super::read::json;
use super::recover::parsed;
use crate::store::{self, Episode, MOST_RECEIVED, Notified, WhichNotes};

const NOTES: &str = "SELECT id, kind, matchers, active_at, starts_at, ends_at, comment, created_by, ended_at, \
     ended_by FROM notes";

pub(super) fn notes(connection: &Connection, which: WhichNotes) -> Result<Vec<Note>, store::Error> {
    let (condition, parameters) = match which {
        WhichNotes::Standing { now, since } => (
            "WHERE ended_at IS NULL
                 AND (ends_at > ?1 OR ends_at IS NULL AND starts_at >= ?2) ORDER BY n DESC",
            vec![now.0, since.0],
        ),
        WhichNotes::Newest(limit) => {
            ("ORDER BY n DESC LIMIT ?1", vec![i64::try_from(limit).unwrap_or(i64::MAX)])
        }
    };
    let mut statement = connection.prepare_cached(&format!("{NOTES} {condition}"))?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    let mut notes = Vec::new();
    while let Some(row) = rows.next()? {
        notes.push(note(row)?);
    }
    Ok(notes)
}

fn note(row: &Row<'_>) -> Result<Note, store::Error> {
    let time = |column| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(Micros));
    Ok(Note {
        id: Uuid::from_bytes(row.get(0)?),
        kind: parsed(row, 1)?,
        matchers: json(row.get(2)?)?.unwrap_or_default(),
        active_at: time(3)?,
        starts_at: Micros(row.get(4)?),
        ends_at: time(5)?,
        comment: row.get(6)?,
        created_by: row.get(7)?,
        ended_at: time(8)?,
        ended_by: row.get(9)?,
    })
}

pub(super) fn add_note(connection: &Connection, note: &Note) -> Result<(), Error> {
    let micros = |at: Option<Micros>| at.map(|at| at.0);
    connection.execute(
        "INSERT INTO notes (id, kind, matchers, active_at, starts_at, ends_at, comment, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            note.id.as_bytes(),
            note.kind.as_str(),
            serde_json::to_string(&note.matchers).unwrap_or_default(),
            micros(note.active_at),
            note.starts_at.0,
            micros(note.ends_at),
            note.comment,
            note.created_by,
        ],
    )?;
    Ok(())
}

pub(super) fn end_note(
    connection: &Connection,
    id: Uuid,
    at: Micros,
    by: &str,
) -> Result<bool, Error> {
    let ended = connection.execute(
        "UPDATE notes SET ended_at = ?2, ended_by = ?3
         WHERE id = ?1 AND ended_at IS NULL AND (ends_at IS NULL OR ends_at > ?2)",
        params![id.as_bytes(), at.0, by],
    )?;
    Ok(ended > 0)
}

pub(super) fn received(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<ReceivedAlert>, store::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT alert FROM received_alerts ORDER BY received_at DESC, fingerprint LIMIT ?1",
    )?;
    let mut rows = statement.query([limit])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.extend(json(row.get(0)?)?);
    }
    Ok(alerts)
}

pub(super) fn receive(
    connection: &mut Connection,
    alerts: &[ReceivedAlert],
    forget: Micros,
) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    for alert in alerts {
        let text = serde_json::to_string(alert).unwrap_or_default();
        transaction.execute(
            "INSERT INTO received_alerts (fingerprint, received_at, alert) VALUES (?1, ?2, ?3)
             ON CONFLICT (fingerprint) DO UPDATE
                 SET received_at = excluded.received_at, alert = excluded.alert",
            params![alert.fingerprint, alert.received_at.0, text],
        )?;
    }
    transaction.execute(
        "DELETE FROM received_alerts WHERE received_at < ?1 OR fingerprint IN
             (SELECT fingerprint FROM received_alerts
              ORDER BY received_at DESC, fingerprint LIMIT -1 OFFSET ?2)",
        params![forget.0, MOST_RECEIVED],
    )?;
    transaction.commit()
}

pub(super) fn notified(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<(Episode, Notified)>, store::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT alert, labels, active_at, notified FROM alerts
         WHERE notified IS NOT NULL ORDER BY active_at DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([limit])?;
    let mut told = Vec::new();
    while let Some(row) = rows.next()? {
        let episode = Episode {
            alert: row.get(0)?,
            labels: json(row.get(1)?)?.unwrap_or_default(),
            active_at: Micros(row.get(2)?),
        };
        told.push((episode, Notified::of(&row.get::<_, String>(3)?)));
    }
    Ok(told)
}

pub(super) fn notify(
    connection: &mut Connection,
    told: &[(Episode, Notified)],
) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    for (episode, notified) in told {
        transaction.execute(
            "UPDATE alerts SET notified = ?4 WHERE (alert, labels, active_at) = (?1, ?2, ?3)",
            params![episode.alert, episode.labels(), episode.active_at.0, notified.as_str()],
        )?;
    }
    transaction.commit()
}
