//! What people type while developing: `cargo xtask test | lint | bench | packages | schemas`.

use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};

mod install;
mod lint;
mod schemas;

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every kind of test at a small size; installs the servers that are missing.
    Test {
        /// At the figures that the documents quote: hours of random cases, 25 kills at a time. And
        /// the image of the flake, built, run and built again.
        #[arg(long)]
        full: bool,
        /// Leave out the tests that need servers, and install none.
        #[arg(long)]
        no_servers: bool,
    },
    /// Check formatting, lints, scripts, and the licences and sources of what we use.
    Lint,
    /// Measure; the figures of BENCHMARKS.md.
    Bench,
    /// Print the packages of Debian that tests and lints use and that are not here.
    Packages,
    /// Write the schemas that are generated from the types.
    Schemas,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { full, no_servers } => test(full, no_servers),
        Task::Lint => lint(),
        Task::Bench => bench(),
        Task::Packages => install::print_packages(),
        Task::Schemas => schemas::write(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn test(full: bool, no_servers: bool) -> anyhow::Result<()> {
    // All that is wrong is told in one run.
    let mut args = vec!["test", "--locked", "--workspace", "--no-fail-fast"];
    if no_servers {
        args.extend(["--exclude", "e2e"]);
    } else {
        install::servers()?;
    }
    // Read by the tests themselves.
    let sizes: &[(&str, &str)] = match full {
        true => &[
            ("OBSERVATORY_TEST_CASES", "400"),
            ("OBSERVATORY_TEST_KILLS", "25"),
            ("OBSERVATORY_TEST_FULL", "1"),
        ],
        false => &[],
    };
    let tests = cargo(&args, sizes);
    let flake = if no_servers { Ok(()) } else { flake(full) };
    match (tests, flake) {
        (Err(tests), Err(flake)) => bail!("{tests:#}; {flake:#}"),
        (tests, flake) => tests.and(flake),
    }
}

/// Checks the flake where there is no Nix and no nixpkgs: that it evaluates, and, if `full`, its image.
fn flake(full: bool) -> anyhow::Result<()> {
    let check =
        |mode| run(Command::new("bash").args(["nix/offline/check.sh", mode]).current_dir(ROOT));
    check("eval")?;
    if full {
        install::containers()?;
        check("image")?;
    }
    Ok(())
}

fn bench() -> anyhow::Result<()> {
    cargo(&["bench", "--locked", "--package", "pipeline"], &[])?;
    install::servers()?;
    let example = ["run", "--release", "--locked", "--package", "e2e", "--example"];
    ["speed", "page", "terminal"]
        .iter()
        .try_for_each(|name| cargo(&[&example[..], &[name]].concat(), &[]))
}

fn lint() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    cargo(&clippy, &[])?;
    let deny = install::lint_tools()?;
    lint::scripts()?;
    lint::licences(&deny)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} has failed: {command:?}");
    Ok(())
}

fn cargo(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo says of this package would look to build scripts like a change, and have half of
    // the dependencies compiled again.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"].map(str::as_bytes);
        if of_package.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let status = command
        .args(args)
        .envs(env.iter().copied())
        .status()
        .with_context(|| format!("cannot run cargo {}", args.join(" ")))?;
    if !status.success() {
        bail!("cargo {} has failed", args.join(" "));
    }
    Ok(())
}
