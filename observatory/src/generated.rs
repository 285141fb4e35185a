//! `observatory completions` and `observatory man`: what the command line says of itself, for shells
//! and readers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use crate::cli;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell that is to complete.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "observatory", &mut script);
    print(script)
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Write a page for each command into this folder, instead of the first of them here.
    #[arg(long, env = "OBSERVATORY_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn man(args: &Man) -> anyhow::Result<ExitCode> {
    let command = examples_last(cli::command());
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("cannot write the page")?;
        return print(page);
    };
    let place = || format!("--dir {}", folder.display());
    std::fs::create_dir_all(folder).with_context(place)?;
    clap_mangen::generate_to(command, folder).with_context(place)?;
    Ok(ExitCode::SUCCESS)
}

/// A manual page has no place for examples before anything else.
fn examples_last(command: Command) -> Command {
    let examples = command.get_before_help().map(ToString::to_string);
    command.after_help(examples.unwrap_or_default()).mut_subcommands(examples_last)
}

fn print(text: Vec<u8>) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8(text).context("cannot write the result")?;
    cli::print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
