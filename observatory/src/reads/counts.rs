//! `observatory counts`: how many jobs there are, by what they share.

use std::process::ExitCode;

use comfy_table::Cell;
use contracts::answers::{CountBy, Counts};

use super::query::{Facets, Query};
use super::{Answer, Form, Server, moment, run};
use crate::{paint, table};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which jobs, as `state:failed type:email.*`; all of them without it.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    server: Server,
    /// What to count by: `state`, `type`, `queue`, `worker`, or several of them with commas.
    #[arg(long, env = "OBSERVATORY_BY", default_value = "state", value_name = "FACETS")]
    by: String,
    #[command(flatten)]
    facets: Facets,
    #[command(flatten)]
    form: Form,
}

pub(crate) fn counts(args: &Args) -> anyhow::Result<ExitCode> {
    let query = Query::of("/api/v1/counts").with("by", Some(&args.by));
    let query = args.facets.ask(query).with("q", Some(&args.query.join(" ")));
    run(&args.server, &args.form, |client| client.get::<Counts>(query.path()))
}

impl Answer for Counts {
    type Row = CountBy;
    const EACH: bool = false;

    fn rows(&self) -> &[CountBy] {
        &self.counts
    }

    fn columns(&self) -> Vec<&'static str> {
        let Some(row) = self.counts.first() else { return vec!["jobs"] };
        let mut columns: Vec<_> = values(row).into_iter().map(|(name, _)| name).collect();
        columns.push("jobs");
        columns
    }

    fn record(&self, row: &CountBy) -> Vec<String> {
        let mut record: Vec<_> =
            values(row).into_iter().map(|(_, value)| value.to_owned()).collect();
        record.push(row.jobs.to_string());
        record
    }

    fn table(&self) -> String {
        let heading = format!("{} jobs {}", self.jobs, moment(self.as_of));
        if self.counts.is_empty() {
            return heading;
        }
        let columns = self.columns();
        let mut table = table::table(&columns, columns.len() - 1);
        for row in &self.counts {
            let mut cells: Vec<_> = values(row)
                .into_iter()
                .map(|(name, value)| match (name, value.parse()) {
                    ("state", Ok(state)) => paint::state(state),
                    _ => Cell::new(table::printable(value)),
                })
                .collect();
            cells.push(Cell::new(row.jobs));
            table.add_row(cells);
        }
        format!("{heading}\n{table}")
    }
}

/// What a row is counted by.
fn values(row: &CountBy) -> Vec<(&'static str, &str)> {
    let CountBy { state, job_type, queue, worker, jobs: _ } = row;
    let all = [("state", state), ("type", job_type), ("queue", queue), ("worker", worker)];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}
