//! `dlq list`: what is in the queue of dead letters.
//!
//! What is shown was sent by anybody, and may be meant to steer a terminal: bytes are escaped.

use std::process::ExitCode;

use ingress::amqp::{Letter, dead_letter};
use serde_json::{Value, json};

use super::{Which, reason_of};
use crate::table::{self, printable};

/// Bytes of a body that are shown.
const SHOWN: usize = 60;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Show at most so many.
    #[arg(long, env = "OBSERVATORY_LIMIT", default_value_t = 20)]
    limit: usize,
}

/// A dead letter, as it is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    reason: String,
    detail: String,
    exchange: String,
    routing_key: String,
    bytes: usize,
    start: String,
}

impl Told {
    fn of(letter: &Letter) -> Told {
        let header = |name| letter.header(name).unwrap_or_default().to_owned();
        Told {
            reason: reason_of(letter).to_owned(),
            detail: header(dead_letter::DETAIL),
            exchange: header(dead_letter::EXCHANGE),
            routing_key: header(dead_letter::ROUTING_KEY),
            bytes: letter.body.len(),
            start: start(&letter.body),
        }
    }

    fn json(&self) -> Value {
        json!({
            "reason": self.reason, "detail": self.detail, "exchange": self.exchange,
            "routingKey": self.routing_key, "bytes": self.bytes, "start": self.start,
        })
    }
}

/// The first bytes of a body, in ASCII.
fn start(body: &[u8]) -> String {
    let cut = if body.len() > SHOWN { "…" } else { "" };
    format!("{}{cut}", body[..body.len().min(SHOWN)].escape_ascii())
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let visit = args.which.visit().await?;
    let (letters, depth) = args.which.letters(&visit).await?;
    let mut told = Vec::new();
    // Nothing of a letter is kept but what is shown; the broker keeps the rest.
    for _ in 0..depth {
        if told.len() >= args.limit {
            break;
        }
        let Some(letter) = letters.next().await? else { break };
        if args.which.wants(&letter) {
            told.push(Told::of(&letter));
        }
    }
    visit.end().await;
    let json =
        json!({ "inQueue": depth, "letters": told.iter().map(Told::json).collect::<Value>() });
    args.which.output.print(&json, || text(&told, depth))?;
    Ok(ExitCode::SUCCESS)
}

fn text(told: &[Told], depth: u64) -> String {
    let mut table =
        table::texts(&["reason", "detail", "exchange", "routing key", "bytes", "begins with"]);
    for Told { reason, detail, exchange, routing_key, bytes, start } in told {
        let texts = [reason, detail, exchange, routing_key].map(|text| printable(text));
        table.add_row(texts.into_iter().chain([bytes.to_string(), printable(start)]));
    }
    format!("{table}\n{} of {depth} dead letters", told.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_sent_cannot_steer_a_terminal() {
        assert_eq!(start(b"a\x1b[2J\"\xff\n"), r#"a\x1b[2J\"\xff\n"#);
        let told = Told {
            reason: "\u{1b}]0;x\u{7}".to_owned(),
            detail: "\u{9b}31m".to_owned(),
            exchange: "jobs".to_owned(),
            routing_key: "job.\u{1b}[1m".to_owned(),
            bytes: 3,
            start: start(b"\x1b[0"),
        };
        let text = text(&[told], 1);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{text:?}");
    }

    #[test]
    fn of_a_long_body_the_beginning_is_shown() {
        let shown = start(&[b'x'; 1_000]);
        assert_eq!(shown.chars().count(), SHOWN + 1);
        assert!(shown.ends_with('…'));
    }
}
