//! `observatory tui`: the terminal UI, on the API of whatever server there is.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::paint::When;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the API is.
    #[arg(
        long = "api",
        alias = "url",
        env = "OBSERVATORY_API",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    url: String,
    /// What lets us in, where a token is asked for. Rather as a variable: others see our arguments.
    #[arg(long, env = "OBSERVATORY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The script that makes a cluster in kind, for the view of the server; where the terminal UI is
    /// started in the project's folder, it is found.
    #[arg(long, env = "OBSERVATORY_KIND_UP", value_name = "FILE")]
    kind_up: Option<PathBuf>,
    /// Draw nothing but ASCII, as is done by itself where the locale is not UTF-8.
    #[arg(long)]
    ascii: bool,
}

pub(crate) fn run(args: &Args, color: When) -> anyhow::Result<ExitCode> {
    let color = match color {
        When::Auto => tui::Color::Auto,
        When::Always => tui::Color::Always,
        When::Never => tui::Color::Never,
    };
    tui::run(tui::Options {
        url: args.url.clone(),
        token: args.token.clone().filter(|token| !token.is_empty()),
        ascii: args.ascii,
        color,
        // What it runs is itself, by another subcommand.
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("observatory")),
        kind_up: args.kind_up.clone().or_else(nearby),
    })
}

/// The script in the project's folder, if this is one, or a folder in it.
fn nearby() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let scripts = here.ancestors().map(|folder| folder.join("nix/kind/kind-up.sh"));
    scripts.into_iter().find(|script| script.is_file())
}
