//! `dlq list`: what is in the queue of dead letters.
//!
//! What is shown was sent by anybody, and may be meant to steer a terminal: bytes are escaped.

use std::process::ExitCode;

use anyhow::bail;
use contracts::answers::{LetterView, Letters};
use ingress::amqp::look_at_dead_letters;

use super::{NAME, Which, no_queue};
use crate::table::{self, printable};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Show at most so many.
    #[arg(long, env = "OBSERVATORY_LIMIT", default_value_t = 20)]
    limit: usize,
}

pub(super) async fn run(Args { which, limit }: &Args) -> anyhow::Result<ExitCode> {
    let broker = which.urls.rabbitmq()?;
    let seen = look_at_dead_letters(&broker, NAME, which.reason.as_deref(), *limit).await?;
    let (Some(depth), letters) = seen else { bail!(no_queue()) };
    let found = Letters { in_queue: Some(depth), letters };
    which.output.print(&found, || text(&found.letters, depth))?;
    Ok(ExitCode::SUCCESS)
}

fn text(letters: &[LetterView], depth: u64) -> String {
    let mut table =
        table::texts(&["reason", "detail", "exchange", "routing key", "bytes", "begins with"]);
    for LetterView { reason, detail, exchange, routing_key, bytes, start } in letters {
        let texts = [reason, detail, exchange, routing_key].map(|text| printable(text));
        table.add_row(texts.into_iter().chain([bytes.to_string(), printable(start)]));
    }
    format!("{table}\n{} of {depth} dead letters", letters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_sent_cannot_steer_a_terminal() {
        let letter = LetterView {
            reason: "\u{1b}]0;x\u{7}".to_owned(),
            detail: "\u{9b}31m".to_owned(),
            exchange: "jobs".to_owned(),
            routing_key: "job.\u{1b}[1m".to_owned(),
            bytes: 3,
            start: "\u{1b}[0".to_owned(),
        };
        let text = text(&[letter], 1);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{text:?}");
    }
}
