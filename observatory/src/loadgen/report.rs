//! What is shown of loadgen: while it runs, and at the end.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::send::Sent;
use super::stream::End;
use crate::cli::Output;
use crate::table;

/// A bar over jobs, if it is known how many there will be.
pub(super) fn bar(end: End) -> ProgressBar {
    let bar = match end {
        End::Jobs(jobs) => ProgressBar::new(jobs).with_style(
            ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        End::Micros(_) | End::Never => ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {pos} jobs  {msg}  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        ),
    };
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

pub(super) fn progress(sent: &Sent, elapsed: Duration) -> String {
    let waiting = sent.published - sent.confirmed;
    format!("{} events, {waiting} unconfirmed, {:.0}/s", sent.published, rate(sent, elapsed))
}

pub(super) fn text(sent: &Sent, seed: u64, output: Output) -> anyhow::Result<String> {
    let unconfirmed = sent.published - sent.confirmed;
    let seconds = sent.elapsed.as_secs_f64();
    let per_second = rate(sent, sent.elapsed);
    match output {
        Output::Json => {
            let report = json!({
                "seed": seed, "jobs": sent.jobs, "published": sent.published,
                "duplicates": sent.duplicates, "confirmed": sent.confirmed,
                "unconfirmed": unconfirmed, "republished": sent.republished,
                "seconds": seconds, "eventsPerSecond": per_second,
            });
            serde_json::to_string_pretty(&report).context("cannot write the result")
        }
        Output::Table => {
            let header = [
                "seed",
                "jobs",
                "published",
                "duplicates",
                "confirmed",
                "unconfirmed",
                "re-published",
                "seconds",
                "events/s",
            ];
            let mut table = table::table(&header, 0);
            let numbers = [
                seed,
                sent.jobs,
                sent.published,
                sent.duplicates,
                sent.confirmed,
                unconfirmed,
                sent.republished,
            ];
            let mut cells = numbers.map(|number| number.to_string()).to_vec();
            cells.extend([format!("{seconds:.1}"), format!("{per_second:.0}")]);
            table.add_row(cells);
            Ok(table.to_string())
        }
    }
}

/// Confirmed events a second.
fn rate(sent: &Sent, elapsed: Duration) -> f64 {
    sent.confirmed as f64 / elapsed.as_secs_f64().max(1e-3)
}
