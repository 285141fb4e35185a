//! What people decide, on a connection of its own: SQLite lets one write at a time, and makes the
//! other wait.

use std::path::Path;

use rusqlite::{TransactionBehavior, params};

use super::connect;
use crate::decision::{Decided, Decision, What};
use crate::store::Error;

/// Writes a decision, with its entry in the audit.
pub(super) fn decide(path: &Path, decision: &Decision) -> Result<Decided, Error> {
    let Decision { at, by, what } = decision;
    let mut connection = connect(path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (changed, otherwise) = match what {
        What::Rules { yaml } => {
            let sql = "INSERT INTO rules (applied_at, applied_by, yaml) SELECT ?1, ?2, ?3
                WHERE ?3 IS NOT (SELECT yaml FROM rules ORDER BY id DESC LIMIT 1)";
            (transaction.execute(sql, params![at.0, by, yaml])?, Decided::Already)
        }
        What::Acknowledge { alert, labels, active_at, acknowledged } => {
            let labels = serde_json::to_string(labels).unwrap_or_default();
            let (by, at) = (acknowledged.then_some(by), acknowledged.then_some(at.0));
            let sql = "UPDATE alerts SET acknowledged_at = ?4, acknowledged_by = ?5
                WHERE (alert, labels, active_at) = (?1, ?2, ?3) AND resolved_at IS NULL";
            let key = params![alert, labels, active_at.0, at, by];
            (transaction.execute(sql, key)?, Decided::Missing)
        }
        What::Silence { matchers, ends_at, comment } => {
            let matchers = serde_json::to_string(matchers).unwrap_or_default();
            let sql = "INSERT INTO silences (matchers, starts_at, ends_at, created_by, comment)
                VALUES (?1, ?2, ?3, ?4, ?5)";
            let row = params![matchers, at.0, ends_at.0, by, comment];
            (transaction.execute(sql, row)?, Decided::Missing)
        }
        What::EndSilence { id } => {
            let sql = "UPDATE silences SET ends_at = ?2 WHERE id = ?1 AND ends_at > ?2";
            (transaction.execute(sql, params![id, at.0])?, Decided::Missing)
        }
    };
    if changed == 0 {
        return Ok(otherwise);
    }
    let id = transaction.last_insert_rowid();
    transaction.execute(
        "INSERT INTO audit (at, who, what, detail) VALUES (?1, ?2, ?3, ?4)",
        params![at.0, by, what.name(), what.detail()],
    )?;
    transaction.commit()?;
    Ok(Decided::Done { id })
}
