//! Examples, with which the help of each command begins.
//!
//! A test reads each of them as a command line.

use clap::Command;

/// What it is, how it is used by example, and then what there is.
const TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The examples of a command, by its name with those above it.
pub(crate) fn examples(command: &str) -> &'static str {
    match command {
        "" => {
            "Examples:
  observatory up --demo
  observatory tui
  observatory jobs state:failed
  observatory doctor"
        }
        "up" => {
            "Examples:
  observatory up --demo
  observatory up --listen 127.0.0.1:9090 --data-dir /var/lib/observatory
  observatory up --rabbitmq-url amqp://guest@localhost/%2f --rules rules.yaml"
        }
        "gateway" => {
            "Examples:
  observatory gateway --rabbitmq-url amqp://guest@localhost/%2f
  observatory gateway --listen 0.0.0.0:3000 --tokens-file tokens"
        }
        "worker" => {
            "Examples:
  observatory worker --concurrency 4
  observatory worker --failing 100 --delay-max-ms 2000"
        }
        "pipeline" => {
            "Examples:
  observatory pipeline --workers 2
  observatory pipeline --processes 2 --process 0 --hostfile hosts"
        }
        "api" => {
            "Examples:
  observatory api --pipeline-url http://127.0.0.1:9100
  observatory api --listen 0.0.0.0:8080 --tokens-file tokens"
        }
        "tui" => {
            "Examples:
  observatory tui
  observatory tui --api http://127.0.0.1:9090 --ascii"
        }
        "jobs" => {
            "Examples:
  observatory jobs state:failed type:email.*
  observatory jobs --queue mail --all --output csv
  observatory jobs state:failed --watch --output jsonl"
        }
        "counts" => {
            "Examples:
  observatory counts
  observatory counts --by state,type --queue mail
  observatory counts --watch"
        }
        "latency" => {
            "Examples:
  observatory latency --window 5m
  observatory latency --type email.send --queue mail --output json"
        }
        "alerts" => {
            "Examples:
  observatory alerts
  observatory alerts --check
  observatory alerts --state resolved --limit 10 --output jsonl"
        }
        "submit" => {
            "Examples:
  observatory submit email.send --queue mail
  observatory submit email.send --payload {\"to\":\"ada\"} --wait
  observatory submit report.make --payload @report.json --idempotency-key 2026-11"
        }
        "doctor" => {
            "Examples:
  observatory doctor
  observatory doctor --json
  observatory doctor --postgres-url postgres://observatory@localhost/observatory"
        }
        "replay" => {
            "Examples:
  observatory replay events.jsonl.gz
  observatory replay - --output json --rules rules.yaml"
        }
        "rules" => {
            "Examples:
  observatory rules check rules.yaml
  observatory rules apply rules.yaml
  observatory rules test rules.yaml --events recorded.jsonl.gz"
        }
        "rules check" => {
            "Examples:
  observatory rules check rules.yaml more.yaml"
        }
        "rules apply" => {
            "Examples:
  observatory rules apply rules.yaml
  observatory rules apply rules.yaml --api http://127.0.0.1:9090"
        }
        "rules test" => {
            "Examples:
  observatory rules test rules.yaml --events recorded.jsonl.gz
  observatory rules test new.yaml --events recorded.jsonl.gz --against old.yaml
  observatory rules test tests.yaml"
        }
        "loadgen" => {
            "Examples:
  observatory loadgen --rate 2000 --seconds 60
  observatory loadgen --jobs 1000 --seed 7 --journal sent.jsonl"
        }
        "verify" => {
            "Examples:
  observatory verify
  observatory verify --api http://127.0.0.1:8080 --journal sent.jsonl"
        }
        "dlq" => {
            "Examples:
  observatory dlq list
  observatory dlq replay --reason schema"
        }
        "dlq list" => {
            "Examples:
  observatory dlq list --reason bad_json
  observatory dlq list --limit 5 --output json"
        }
        "dlq replay" => {
            "Examples:
  observatory dlq replay --reason schema --limit 100"
        }
        "gate" => {
            "Examples:
  observatory gate
  observatory gate --within 30s --output json"
        }
        "config" => {
            "Examples:
  observatory config show --origin
  observatory config schema"
        }
        "config show" => {
            "Examples:
  observatory config show
  observatory config show --origin up
  observatory config show --origin up --listen 127.0.0.1:9090"
        }
        "config schema" => {
            "Examples:
  observatory config schema"
        }
        "completions" => {
            "Examples:
  observatory completions bash
  observatory completions fish"
        }
        "man" => {
            "Examples:
  observatory man
  observatory man --dir /usr/local/share/man/man1"
        }
        _ => "",
    }
}

/// A command, and those below it, with their examples.
pub(crate) fn with_examples(command: Command, path: &str) -> Command {
    let command = command.help_template(TEMPLATE).before_help(examples(path));
    command.mut_subcommands(|below| {
        let name = below.get_name().to_owned();
        let path = if path.is_empty() { name } else { format!("{path} {name}") };
        with_examples(below, &path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    /// Every command, by its name with those above it.
    fn names(command: &Command, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        for below in command.get_subcommands() {
            let name = below.get_name();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
            names(below, &path, found);
        }
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        let mut found = Vec::new();
        names(&cli::command(), "", &mut found);
        for name in found {
            let mut lines = examples(&name).lines().skip(1).peekable();
            assert!(lines.peek().is_some(), "{name} has no example");
            for line in lines {
                let words = line.split_whitespace();
                let parsed = cli::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(line.trim_start().starts_with(format!("observatory {name}").trim_end()));
            }
        }
    }
}
