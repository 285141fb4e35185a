//! `observatory latency`: how long jobs wait and run.

use std::process::ExitCode;

use contracts::answers::Latencies;
use contracts::snapshot::LatencyRow;

use super::query::Query;
use super::{Answer, Form, Server, moment, run};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    /// Only of this type; without it, of each type and of all together.
    #[arg(long = "type", env = "OBSERVATORY_TYPE", value_name = "TYPE")]
    job_type: Option<String>,
    /// Only in this queue; without it, over all queues.
    #[arg(long, env = "OBSERVATORY_QUEUE")]
    queue: Option<String>,
    /// Only this: `wait`, `run` or `total`.
    #[arg(long, env = "OBSERVATORY_MEASURE")]
    measure: Option<String>,
    /// Only this far back: `1m`, `5m`, `15m`, `1h` or `all`.
    #[arg(long, env = "OBSERVATORY_WINDOW")]
    window: Option<String>,
    #[command(flatten)]
    form: Form,
}

pub(crate) fn latency(args: &Args) -> anyhow::Result<ExitCode> {
    let query = Query::of("/api/v1/latency")
        .with("type", args.job_type.as_deref())
        .with("queue", args.queue.as_deref())
        .with("measure", args.measure.as_deref())
        .with("window", args.window.as_deref());
    run(&args.server, &args.form, |client| client.get::<Latencies>(query.path()))
}

impl Answer for Latencies {
    type Row = LatencyRow;
    const EACH: bool = false;

    fn rows(&self) -> &[LatencyRow] {
        &self.latency
    }

    fn columns(&self) -> Vec<&'static str> {
        vec![
            "measure", "type", "queue", "window", "samples", "p50", "p90", "p95", "p99", "p999",
            "max",
        ]
    }

    fn record(&self, row: &LatencyRow) -> Vec<String> {
        let mut record = vec![
            row.measure.to_string(),
            row.job_type.clone().unwrap_or_default(),
            row.queue.clone().unwrap_or_default(),
            row.window.to_string(),
            row.samples.to_string(),
        ];
        record.extend(quantiles(row).map(|seconds| seconds.to_string()));
        record
    }

    fn table(&self) -> String {
        let heading = format!("latency in seconds, within 0.1 %, {}", moment(self.as_of));
        if self.latency.is_empty() {
            return format!("{heading}\nno job of those asked for has finished");
        }
        let header =
            ["measure", "type", "window", "samples", "p50", "p90", "p95", "p99", "p99.9", "max"];
        let mut table = table::table(&header, 3);
        for row in &self.latency {
            let mut cells = vec![
                row.measure.to_string(),
                row.job_type.as_deref().map_or_else(|| "all".to_owned(), table::printable),
                row.window.to_string(),
                row.samples.to_string(),
            ];
            cells.extend(quantiles(row).map(|seconds| format!("{seconds:.3}")));
            table.add_row(cells);
        }
        format!("{heading}\n{table}")
    }
}

fn quantiles(row: &LatencyRow) -> [f64; 6] {
    [row.p50, row.p90, row.p95, row.p99, row.p999, row.max]
}
