//! `observatory jobs`: the jobs that a query matches, newest first.
//!
//! A list that is longer than a page is read page by page. Each page is of its own moment, so a job
//! that comes meanwhile is in none of those that follow; the total is that of the first.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::Cell;
use contracts::view::Page;
use contracts::{JobView, Micros};

use super::query::{Facets, Query};
use super::{Answer, Form, Format, Server, moment, print, show};
use crate::client::{self, Client};
use crate::{paint, table};

/// Rows of a page: what the API gives at most.
const PAGE: usize = 1_000;

/// Cells of an error's text in a table.
const ERROR: usize = 40;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which jobs, as `state:failed type:email.* age:>5m "timed out"`; all of them without it.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    facets: Facets,
    /// Only jobs created after this time, as 2026-11-21T10:00:00Z.
    #[arg(long, env = "OBSERVATORY_CREATED_AFTER", value_name = "TIME")]
    created_after: Option<String>,
    /// Only jobs finished after this time.
    #[arg(long, env = "OBSERVATORY_FINISHED_AFTER", value_name = "TIME")]
    finished_after: Option<String>,
    /// Only jobs finished up to this time.
    #[arg(long, env = "OBSERVATORY_FINISHED_BEFORE", value_name = "TIME")]
    finished_before: Option<String>,
    /// Jobs that are retired: none of them (`false`), only them (`true`), or `any`.
    #[arg(long, env = "OBSERVATORY_RETIRED", value_name = "WHICH")]
    retired: Option<String>,
    /// At most so many.
    #[arg(long, env = "OBSERVATORY_LIMIT", default_value_t = 50, value_name = "N")]
    limit: usize,
    /// All of them, however many there are.
    #[arg(long, env = "OBSERVATORY_ALL")]
    all: bool,
    #[command(flatten)]
    form: Form,
}

pub(crate) fn jobs(args: &Args) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    let (client, list) = (args.server.client(), args.list());
    match args.form.output {
        // As they come, so that a list of any length costs a page.
        Some(format @ (Format::Jsonl | Format::Csv)) if !args.form.watch => {
            list.stream(&client, format)?;
        }
        _ => drop(show(&client, &args.form, |client| list.read(client))?),
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn list(&self) -> List {
        let query = self
            .facets
            .ask(Query::of("/api/v1/jobs"))
            .with("createdAfter", self.created_after.as_deref())
            .with("finishedAfter", self.finished_after.as_deref())
            .with("finishedBefore", self.finished_before.as_deref())
            .with("retired", self.retired.as_deref())
            .with("q", Some(&self.query.join(" ")));
        List { query, rows: if self.all { usize::MAX } else { self.limit } }
    }
}

/// A list, and how much of it.
struct List {
    query: Query,
    rows: usize,
}

impl List {
    /// Hands out page after page, until there are no more or it is enough.
    fn pages(
        &self,
        client: &Client,
        mut take: impl FnMut(Page<JobView>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (mut wanted, mut cursor) = (self.rows, None::<String>);
        loop {
            let page = self.page(client, wanted, cursor.as_deref())?;
            cursor.clone_from(&page.next_cursor);
            wanted = wanted.saturating_sub(page.items.len());
            take(page)?;
            if wanted == 0 || cursor.is_none() {
                return Ok(());
            }
        }
    }

    fn page(
        &self,
        client: &Client,
        wanted: usize,
        cursor: Option<&str>,
    ) -> Result<Page<JobView>, client::Error> {
        let limit = wanted.min(PAGE).to_string();
        let query = Query::of(self.query.path()).with("limit", Some(&limit)).with("cursor", cursor);
        client.get(query.path())
    }

    /// All that is wanted, as one page.
    fn read(&self, client: &Client) -> Result<Page<JobView>, client::Error> {
        let mut whole = self.page(client, self.rows, None)?;
        while let Some(cursor) = &whole.next_cursor
            && whole.items.len() < self.rows
        {
            let page = self.page(client, self.rows - whole.items.len(), Some(cursor))?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
        }
        Ok(whole)
    }

    fn stream(&self, client: &Client, format: Format) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let plain = !stdout.is_terminal();
        if format == Format::Jsonl {
            self.pages(client, |page| print::lines(&mut stdout, &page.items))?;
            return print::said(stdout.flush());
        }
        let (mut csv, mut headed) = (csv::Writer::from_writer(stdout), false);
        self.pages(client, |page| {
            if !std::mem::replace(&mut headed, true) {
                print::heading(&mut csv, &page)?;
            }
            print::records(&mut csv, &page, plain)
        })
    }
}

impl Answer for Page<JobView> {
    type Row = JobView;
    const EACH: bool = true;

    fn rows(&self) -> &[JobView] {
        &self.items
    }

    fn columns(&self) -> Vec<&'static str> {
        vec![
            "id",
            "type",
            "state",
            "inferred",
            "queue",
            "worker",
            "attempt",
            "createdAt",
            "validatedAt",
            "startedAt",
            "finishedAt",
            "errorKind",
            "errorMessage",
            "retired",
        ]
    }

    fn record(&self, job: &JobView) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let time = |at: Option<Micros>| at.map_or_else(String::new, |at| at.to_string());
        let error = job.error.clone().unwrap_or_default();
        vec![
            job.id.to_string(),
            job.job_type.clone(),
            job.state.to_string(),
            job.inferred.to_string(),
            text(&job.queue),
            text(&job.worker),
            job.attempt.to_string(),
            job.created_at.to_string(),
            time(job.validated_at),
            time(job.started_at),
            time(job.finished_at),
            error.kind,
            error.message,
            job.retired.to_string(),
        ]
    }

    fn table(&self) -> String {
        let shown = match (self.items.len(), self.total) {
            (n, total) if n as u64 == total => format!("{total} jobs"),
            (n, total) => format!("{n} of {total} jobs"),
        };
        let heading = format!("{shown} {}", moment(self.as_of));
        match self.items.is_empty() {
            true => heading,
            false => format!("{heading}\n{}", rows(&self.items)),
        }
    }
}

/// Jobs as a table.
pub(crate) fn rows(jobs: &[JobView]) -> comfy_table::Table {
    let header = ["id", "state", "type", "queue", "worker", "attempt", "created", "error"];
    let mut table = table::table(&header, header.len());
    for job in jobs {
        let text = |text: &Option<String>| table::printable(text.as_deref().unwrap_or("·"));
        table.add_row([
            Cell::new(job.id),
            paint::state(job.state),
            Cell::new(table::printable(&job.job_type)),
            Cell::new(text(&job.queue)),
            Cell::new(text(&job.worker)),
            Cell::new(job.attempt),
            Cell::new(job.created_at),
            Cell::new(tui::fit(&error(job), ERROR, false)),
        ]);
    }
    table
}

/// Its error on a line.
fn error(job: &JobView) -> String {
    let Some(error) = &job.error else { return String::new() };
    let parts = [error.kind.as_str(), error.message.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}
