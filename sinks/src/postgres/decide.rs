//! What people decide.
//!
//! It is not behind the fence of generations: whoever may write may decide, and the pipeline reads
//! what is in force.

use deadpool_postgres::Object;
use tokio_postgres::types::ToSql;

use super::columns::At;
use super::server::Fault;
use crate::decision::{Decided, Decision, What};

/// Writes a decision, with its entry in the audit.
pub(super) async fn decide(client: &mut Object, decision: &Decision) -> Result<Decided, Fault> {
    let Decision { at, by, what } = decision;
    let now = At(at.0);
    let transaction = client.transaction().await?;
    let (row, otherwise) = match what {
        What::Rules { yaml } => {
            // Two that come at once are one after the other.
            transaction.batch_execute("LOCK TABLE rules IN SHARE ROW EXCLUSIVE MODE").await?;
            let sql = "INSERT INTO rules (applied_at, applied_by, yaml)
                SELECT $1::timestamptz, $2::text, $3::text
                WHERE $3 IS DISTINCT FROM (SELECT yaml FROM rules ORDER BY id DESC LIMIT 1)
                RETURNING id";
            (transaction.query_opt(sql, &[&now, by, yaml]).await?, Decided::Already)
        }
        What::Acknowledge { alert, labels, active_at, acknowledged } => {
            let labels = serde_json::to_string(labels).unwrap_or_default();
            let (at, by) = (acknowledged.then_some(now), acknowledged.then_some(by));
            let sql =
                "UPDATE alerts SET acknowledged_at = $4::timestamptz, acknowledged_by = $5::text
                WHERE (alert, labels, active_at) = ($1::text, $2::text, $3::timestamptz)
                    AND resolved_at IS NULL
                RETURNING 0::bigint";
            let key: [&(dyn ToSql + Sync); 5] = [alert, &labels, &At(active_at.0), &at, &by];
            (transaction.query_opt(sql, &key).await?, Decided::Missing)
        }
        What::Silence { matchers, ends_at, comment } => {
            let matchers = serde_json::to_string(matchers).unwrap_or_default();
            let sql = "INSERT INTO silences (matchers, starts_at, ends_at, created_by, comment)
                VALUES ($1, $2, $3, $4, $5) RETURNING id";
            let row: [&(dyn ToSql + Sync); 5] = [&matchers, &now, &At(ends_at.0), by, comment];
            (transaction.query_opt(sql, &row).await?, Decided::Missing)
        }
        What::EndSilence { id } => {
            let sql = "UPDATE silences SET ends_at = $2::timestamptz
                WHERE id = $1 AND ends_at > $2 RETURNING id";
            (transaction.query_opt(sql, &[id, &now]).await?, Decided::Missing)
        }
    };
    let Some(row) = row else { return Ok(otherwise) };
    let audit = "INSERT INTO audit (at, who, what, detail) VALUES ($1, $2, $3, $4)";
    transaction.execute(audit, &[&now, by, &what.name(), &what.detail()]).await?;
    transaction.commit().await?;
    Ok(Decided::Done { id: row.try_get(0)? })
}
