//! `observatory alerts`: what the rules have found.

use std::process::ExitCode;

use comfy_table::Cell;
use contracts::Micros;
use contracts::answers::Alerts;
use contracts::snapshot::{AlertRow, AlertState};

use super::print::json_line;
use super::query::Query;
use super::{Answer, Form, Server, moment, show};
use crate::{exit, paint, table};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    /// Only those in this state: `pending`, `firing` or `resolved`. Without it, the first two.
    #[arg(long, env = "OBSERVATORY_ALERT_STATE")]
    state: Option<String>,
    /// Resolved alerts at most.
    #[arg(long, env = "OBSERVATORY_LIMIT", value_name = "N")]
    limit: Option<u32>,
    /// End with exit code 3 if one of them fires.
    #[arg(long, env = "OBSERVATORY_CHECK", conflicts_with = "watch")]
    check: bool,
    #[command(flatten)]
    form: Form,
}

pub(crate) fn alerts(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let limit = args.limit.map(|limit| limit.to_string());
    let query = Query::of("/api/v1/alerts")
        .with("state", args.state.as_deref())
        .with("limit", limit.as_deref());
    let alerts =
        show(&args.server.client(), &args.form, |client| client.get::<Alerts>(query.path()))?;
    let fires = alerts.alerts.iter().any(|alert| alert.state == AlertState::Firing);
    Ok(match args.check && fires {
        true => ExitCode::from(exit::CONDITION),
        false => ExitCode::SUCCESS,
    })
}

impl Answer for Alerts {
    type Row = AlertRow;
    const EACH: bool = false;

    fn rows(&self) -> &[AlertRow] {
        &self.alerts
    }

    fn columns(&self) -> Vec<&'static str> {
        vec!["alert", "state", "labels", "activeAt", "firedAt", "resolvedAt", "value"]
    }

    fn record(&self, row: &AlertRow) -> Vec<String> {
        let time = |at: Option<Micros>| at.map_or_else(String::new, |at| at.to_string());
        vec![
            row.alert.clone(),
            row.state.to_string(),
            // Of texts by texts, it can be written.
            json_line(&row.labels).unwrap_or_default(),
            row.active_at.to_string(),
            time(row.fired_at),
            time(row.resolved_at),
            row.value.to_string(),
        ]
    }

    fn table(&self) -> String {
        let heading = format!("{} alerts {}", self.alerts.len(), moment(self.as_of));
        if self.alerts.is_empty() {
            return heading;
        }
        format!("{heading}\n{}", rows(&self.alerts))
    }
}

/// Alerts as a table.
fn rows(alerts: &[AlertRow]) -> comfy_table::Table {
    let mut table = table::table(&["alert", "state", "labels", "since", "value"], 4);
    for row in alerts {
        let labels: Vec<_> =
            row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.add_row([
            Cell::new(table::printable(&row.alert)),
            paint::alert(row.state),
            Cell::new(table::printable(&labels.join(" "))),
            Cell::new(row.active_at),
            Cell::new(format!("{:.4}", row.value)),
        ]);
    }
    table
}
