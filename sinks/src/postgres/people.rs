//! What is not made of events: what people say of alerts, what others tell us of theirs, and what
//! somebody has been told of ours.

use contracts::Micros;
use contracts::notes::{Note, ReceivedAlert};
use deadpool_postgres::{Object, Transaction};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::columns::At;
use super::read::json;
use super::recover::parsed;
use super::server::Fault;
use crate::store::{Episode, MOST_RECEIVED, Notified, WhichNotes};

const NOTES: &str = "SELECT id, kind, matchers, active_at, starts_at, ends_at, comment, created_by, ended_at, \
     ended_by FROM notes";

fn bigint(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) async fn notes(
    transaction: &Transaction<'_>,
    which: WhichNotes,
) -> Result<Vec<Note>, Fault> {
    let rows = match which {
        WhichNotes::Standing { now, since } => {
            let sql = format!(
                "{NOTES} WHERE ended_at IS NULL
                     AND (ends_at > $1 OR ends_at IS NULL AND starts_at >= $2) ORDER BY n DESC"
            );
            let statement = transaction.prepare_cached(&sql).await?;
            transaction.query(&statement, &[&At(now.0), &At(since.0)]).await?
        }
        WhichNotes::Newest(limit) => {
            let sql = format!("{NOTES} ORDER BY n DESC LIMIT $1");
            let statement = transaction.prepare_cached(&sql).await?;
            transaction.query(&statement, &[&bigint(limit)]).await?
        }
    };
    rows.iter().map(note).collect()
}

fn note(row: &Row) -> Result<Note, Fault> {
    let time =
        |column| Ok::<_, Fault>(row.try_get::<_, Option<At>>(column)?.map(|at| Micros(at.0)));
    Ok(Note {
        id: row.try_get(0)?,
        kind: parsed(row, 1)?,
        matchers: json(row.try_get(2)?)?.unwrap_or_default(),
        active_at: time(3)?,
        starts_at: Micros(row.try_get::<_, At>(4)?.0),
        ends_at: time(5)?,
        comment: row.try_get(6)?,
        created_by: row.try_get(7)?,
        ended_at: time(8)?,
        ended_by: row.try_get(9)?,
    })
}

pub(super) async fn add_note(client: &Object, note: &Note) -> Result<(), Error> {
    let sql = "INSERT INTO notes (id, kind, matchers, active_at, starts_at, ends_at, comment,
            created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let at = |at: Option<Micros>| at.map(|at| At(at.0));
    let matchers = serde_json::to_string(&note.matchers).unwrap_or_default();
    client
        .execute(
            sql,
            &[
                &note.id,
                &note.kind.as_str(),
                &matchers,
                &at(note.active_at),
                &At(note.starts_at.0),
                &at(note.ends_at),
                &note.comment,
                &note.created_by,
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn end_note(
    client: &Object,
    id: Uuid,
    at: Micros,
    by: &str,
) -> Result<bool, Error> {
    let sql = "UPDATE notes SET ended_at = $2, ended_by = $3
        WHERE id = $1 AND ended_at IS NULL AND (ends_at IS NULL OR ends_at > $2)";
    Ok(client.execute(sql, &[&id, &At(at.0), &by]).await? > 0)
}

pub(super) async fn received(
    transaction: &Transaction<'_>,
    limit: usize,
) -> Result<Vec<ReceivedAlert>, Fault> {
    let sql = "SELECT alert FROM received_alerts ORDER BY received_at DESC, fingerprint LIMIT $1";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&bigint(limit)]).await?;
    let alerts = rows.iter().map(|row| Ok::<_, Fault>(json(row.try_get(0)?)?));
    Ok(alerts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

pub(super) async fn receive(
    client: &Object,
    alerts: &[ReceivedAlert],
    forget: Micros,
) -> Result<(), Error> {
    // Of several that one statement would write, only one may have a fingerprint.
    let mut last = std::collections::BTreeMap::new();
    for alert in alerts {
        last.insert(alert.fingerprint.as_str(), alert);
    }
    let fingerprints: Vec<&str> = last.keys().copied().collect();
    let received: Vec<At> = last.values().map(|alert| At(alert.received_at.0)).collect();
    let texts = last.values().map(|alert| serde_json::to_string(alert).unwrap_or_default());
    let texts: Vec<String> = texts.collect();
    let sql = "INSERT INTO received_alerts (fingerprint, received_at, alert)
        SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[])
        ON CONFLICT (fingerprint) DO UPDATE
            SET received_at = excluded.received_at, alert = excluded.alert";
    client.execute(sql, &[&fingerprints, &received, &texts]).await?;
    let sql = "DELETE FROM received_alerts WHERE received_at < $1 OR fingerprint IN
        (SELECT fingerprint FROM received_alerts ORDER BY received_at DESC, fingerprint OFFSET $2)";
    client.execute(sql, &[&At(forget.0), &bigint(MOST_RECEIVED)]).await?;
    Ok(())
}

pub(super) async fn notified(
    transaction: &Transaction<'_>,
    limit: usize,
) -> Result<Vec<(Episode, Notified)>, Fault> {
    let sql = "SELECT alert, labels, active_at, notified FROM alerts
        WHERE notified IS NOT NULL ORDER BY active_at DESC LIMIT $1";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&bigint(limit)]).await?;
    let told = rows.iter().map(|row| {
        let episode = Episode {
            alert: row.try_get(0)?,
            labels: json(row.try_get(1)?)?.unwrap_or_default(),
            active_at: Micros(row.try_get::<_, At>(2)?.0),
        };
        Ok((episode, Notified::of(row.try_get(3)?)))
    });
    told.collect()
}

pub(super) async fn notify(client: &Object, told: &[(Episode, Notified)]) -> Result<(), Error> {
    let alerts: Vec<&str> = told.iter().map(|(episode, _)| episode.alert.as_str()).collect();
    let labels: Vec<String> = told.iter().map(|(episode, _)| episode.labels()).collect();
    let since: Vec<At> = told.iter().map(|(episode, _)| At(episode.active_at.0)).collect();
    let notified: Vec<&str> = told.iter().map(|(_, notified)| notified.as_str()).collect();
    let sql = "UPDATE alerts SET notified = told.notified
        FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
            AS told (alert, labels, active_at, notified)
        WHERE (alerts.alert, alerts.labels, alerts.active_at)
            = (told.alert, told.labels, told.active_at)";
    client.execute(sql, &[&alerts, &labels, &since, &notified]).await?;
    Ok(())
}
