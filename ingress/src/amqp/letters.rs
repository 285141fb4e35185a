//! Dead letters, looked at: what was taken goes back when the connection ends.

use contracts::answers::LetterView;

use super::connection::Fault;
use super::visit::Letter;
use super::{Url, Visit, dead_letter, topology};

/// Bytes of a body that are shown.
const SHOWN: usize = 60;

/// How many dead letters wait, none if they have no queue, and the oldest of them; `reason` is the
/// only one wanted. `name` is what the broker shows of us.
pub async fn look_at_dead_letters(
    url: &Url,
    name: &str,
    reason: Option<&str>,
    limit: usize,
) -> Result<(Option<u64>, Vec<LetterView>), Fault> {
    let visit = Visit::begin(url, name).await?;
    let seen = look(&visit, reason, limit).await;
    visit.end().await;
    seen
}

async fn look(
    visit: &Visit,
    reason: Option<&str>,
    limit: usize,
) -> Result<(Option<u64>, Vec<LetterView>), Fault> {
    let depth = visit.depth(topology::DEAD_LETTERS).await?;
    let letters = visit.letters(topology::DEAD_LETTERS).await?;
    let mut seen = Vec::new();
    // Nothing of a letter is kept but what is shown; the broker keeps the rest.
    for _ in 0..depth.unwrap_or(0) {
        if seen.len() >= limit {
            break;
        }
        let Some(letter) = letters.next().await? else { break };
        if reason.is_none_or(|reason| reason == reason_of(&letter)) {
            seen.push(view(&letter));
        }
    }
    Ok((depth, seen))
}

/// Why it was rejected; a letter of somebody else's says so by its key.
pub fn reason_of(letter: &Letter) -> &str {
    letter.header(dead_letter::REASON).unwrap_or(&letter.routing_key)
}

fn view(letter: &Letter) -> LetterView {
    let header = |name| letter.header(name).unwrap_or_default().to_owned();
    LetterView {
        reason: reason_of(letter).to_owned(),
        detail: header(dead_letter::DETAIL),
        exchange: header(dead_letter::EXCHANGE),
        routing_key: header(dead_letter::ROUTING_KEY),
        bytes: letter.body.len(),
        start: start(&letter.body),
    }
}

/// The first bytes of a body, in ASCII.
fn start(body: &[u8]) -> String {
    let cut = if body.len() > SHOWN { "…" } else { "" };
    format!("{}{cut}", body[..body.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_sent_cannot_steer_a_terminal() {
        assert_eq!(start(b"a\x1b[2J\"\xff\n"), r#"a\x1b[2J\"\xff\n"#);
    }

    #[test]
    fn of_a_long_body_the_beginning_is_shown() {
        let shown = start(&[b'x'; 1_000]);
        assert_eq!(shown.chars().count(), SHOWN + 1);
        assert!(shown.ends_with('…'));
    }
}
