//! `observatory jobs`, `counts`, `latency` and `alerts`: what the API answers, for people and for
//! programs.
//!
//! ```text
//!   GET /api/v1/… ──▶ Answer ──table──▶ people
//!        ▲               ├──json, jsonl, csv──▶ programs
//!        └── watch: whenever the stream says that something has changed
//! ```
//!
//! # Invariants
//!
//! 1. JSON is what the API answered, in its shapes; nothing is added up here.
//! 2. What can steer a terminal is made visible in tables, and escaped in JSON, which says the same.
//!    CSV for anything but a terminal has it as it is.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use contracts::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{self, Client};

pub(crate) mod alerts;
pub(crate) mod counts;
pub(crate) mod jobs;
pub(crate) mod latency;
mod print;
mod query;
pub(crate) mod watch;

pub(crate) use print::json_line;

/// Where the API is, and what lets us in.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// Where the API is.
    #[arg(long, env = "OBSERVATORY_API", default_value = "http://127.0.0.1:8080",
        value_name = "URL", value_parser = client::address)]
    api: Client,
    /// What lets us in, where a token is asked for. Rather as a variable: others see our arguments.
    #[arg(long, env = "OBSERVATORY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        self.api.clone().with_token(self.token.as_deref())
    }
}

/// How to print what was read.
#[derive(clap::Args)]
pub(crate) struct Form {
    /// How to print it; a table, unless --watch writes to something else than a terminal.
    #[arg(long, env = "OBSERVATORY_OUTPUT", value_enum)]
    output: Option<Format>,
    /// Go on, and print it again whenever it changes: the table in its place, or lines of JSON.
    #[arg(long, env = "OBSERVATORY_WATCH")]
    watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// The answer of the API.
    Json,
    /// Its rows, a line of JSON each.
    Jsonl,
    /// Its rows with a line of headings, as spreadsheets read them.
    Csv,
}

/// What the API answered: some rows, at a moment.
pub(crate) trait Answer: Serialize + DeserializeOwned {
    type Row: Serialize;

    /// Whether a row that changes is news by itself. Otherwise all of them together are.
    const EACH: bool;

    fn rows(&self) -> &[Self::Row];
    /// The headings of [`Answer::record`].
    fn columns(&self) -> Vec<&'static str>;
    /// A row as texts, whole.
    fn record(&self, row: &Self::Row) -> Vec<String>;
    /// All of it, for people.
    fn table(&self) -> String;
}

/// Prints what `read` gives, once or whenever it changes; the last of it.
fn show<A: Answer>(
    client: &Client,
    form: &Form,
    read: impl Fn(&Client) -> Result<A, client::Error>,
) -> anyhow::Result<A> {
    if form.watch {
        return watch::show(client, form.output, read);
    }
    let answer = read(client)?;
    let mut stdout = std::io::stdout().lock();
    let plain = !stdout.is_terminal();
    print::answer(&mut stdout, &answer, form.output.unwrap_or(Format::Table), plain)?;
    stdout.flush()?;
    Ok(answer)
}

/// The same, where nothing is asked of the answer.
fn run<A: Answer>(
    server: &Server,
    form: &Form,
    read: impl Fn(&Client) -> Result<A, client::Error>,
) -> anyhow::Result<ExitCode> {
    crate::log::start_for_tool();
    show(&server.client(), form, read).map(|_| ExitCode::SUCCESS)
}

/// `as of …`, for a heading.
fn moment(as_of: Option<Micros>) -> String {
    as_of.map_or_else(|| "before the first event".to_owned(), |as_of| format!("as of {as_of}"))
}
