//! Results as tables, for people.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use contracts::State;
use contracts::snapshot::{LatencyRow, Snapshot, Window};

use crate::paint;

/// The snapshot as a few tables; latencies of the window `all`.
pub(crate) fn snapshot(snapshot: &Snapshot) -> String {
    let mut parts = Vec::new();
    match snapshot.as_of {
        Some(as_of) => parts.push(format!("{} jobs as of {as_of}", snapshot.jobs)),
        None => parts.push("no events".to_owned()),
    }
    if !snapshot.counts.is_empty() {
        parts.push(counts(snapshot));
    }
    let all: Vec<&LatencyRow> =
        snapshot.latency.iter().filter(|row| row.window == Window::All).collect();
    if !all.is_empty() {
        parts.push("latency in seconds, within 0.1 %".to_owned());
        parts.push(latency(&all));
    }
    if !snapshot.alerts.is_empty() {
        parts.push(alerts(snapshot));
    }
    if snapshot.skewed > 0 {
        parts.push(format!("{} jobs with a negative latency, counted as zero", snapshot.skewed));
    }
    for (reason, lines) in &snapshot.rejected {
        parts.push(format!("{lines} lines rejected: {reason}"));
    }
    parts.join("\n")
}

/// A table; columns from `left` on are of numbers.
pub(crate) fn table(header: &[&str], left: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    match paint::on(&std::io::stdout()) {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table.set_header(header);
    for (i, column) in table.column_iter_mut().enumerate() {
        if i >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table of texts, which are broken into lines so that it fits on a screen.
pub(crate) fn texts(header: &[&str]) -> Table {
    let mut table = table(header, header.len());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

/// Characters of a line of texts.
const WIDTH: u16 = 120;

/// Jobs by type, a column per state.
fn counts(snapshot: &Snapshot) -> String {
    let mut by_type: BTreeMap<&str, BTreeMap<State, u64>> = BTreeMap::new();
    let mut sums: BTreeMap<State, u64> = BTreeMap::new();
    for row in &snapshot.counts {
        *by_type.entry(&row.job_type).or_default().entry(row.state).or_default() += row.jobs;
        *sums.entry(row.state).or_default() += row.jobs;
    }
    let mut header = vec!["type"];
    header.extend(sums.keys().map(|state| state.as_str()));
    header.push("jobs");
    let mut table = table(&header, 1);
    for (job_type, states) in by_type.iter().chain([(&"all", &sums)]) {
        let mut cells = vec![printable(job_type)];
        for state in sums.keys() {
            cells.push(states.get(state).map_or_else(|| "·".to_owned(), u64::to_string));
        }
        cells.push(states.values().sum::<u64>().to_string());
        table.add_row(cells);
    }
    table.to_string()
}

fn latency(rows: &[&LatencyRow]) -> String {
    let header = ["measure", "type", "samples", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let mut table = table(&header, 2);
    for row in rows {
        let mut cells = vec![
            row.measure.to_string(),
            row.job_type.as_deref().map_or_else(|| "all".to_owned(), printable),
            row.samples.to_string(),
        ];
        let seconds = [row.p50, row.p90, row.p95, row.p99, row.p999, row.max];
        cells.extend(seconds.map(|seconds| format!("{seconds:.3}")));
        table.add_row(cells);
    }
    table.to_string()
}

fn alerts(snapshot: &Snapshot) -> String {
    let mut table = table(&["alert", "labels", "state", "since", "value"], 4);
    for row in &snapshot.alerts {
        let labels: Vec<String> =
            row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.add_row([
            printable(&row.alert),
            printable(&labels.join(" ")),
            row.state.to_string(),
            row.active_at.to_string(),
            format!("{:.4}", row.value),
        ]);
    }
    table.to_string()
}

/// Text of a producer's, with what could steer a terminal made visible.
pub(crate) fn printable(text: &str) -> String {
    tui::printable(text, false)
}
