//! Dead letters: what was not accepted, and why.

use super::waiting;
use crate::app::App;
use crate::look::Tone;
use crate::panel::{Col, Panel, Row};
use crate::words::{count, of_reason};

pub(crate) fn panel(app: &App) -> Panel {
    const COLS: &[Col] = &[
        Col::left("Reason", 12),
        Col::right("Letters", 9),
        Col::right("Share", 7),
        Col::left("What it means", 0),
    ];
    let mut panel = Panel::new("Dead letters", COLS);
    let Some(views) = app.live.views() else {
        panel.words.push(waiting(app));
        return panel;
    };
    let total = views.letters();
    let were = if total == 1 { "delivery was" } else { "deliveries were" };
    let say = |text: String, tone| (text, tone);
    panel.words = vec![
        say(format!("{} {were} not accepted.", count(total)), Tone::Plain),
        say(
            format!(
                "Late events: {}, accepted, but older than jobs are kept for, and in no number.",
                count(views.late)
            ),
            Tone::Fine,
        ),
        say(
            format!(
                "Skewed clocks: {}, jobs with a negative latency, which counts as zero.",
                count(views.skewed)
            ),
            Tone::Fine,
        ),
    ];
    if total == 0 {
        panel.words.push(say("✓ Everything that came was accepted.".to_owned(), Tone::Good));
        return panel;
    }
    panel.words.push(say(
        "With a broker they are kept byte for byte; Enter copies the command that lists them, and"
            .to_owned(),
        Tone::Fine,
    ));
    panel.words.push(say(
        "`observatory dlq replay` sends them back once what was wrong is right.".to_owned(),
        Tone::Fine,
    ));
    let mut reasons: Vec<_> = views.rejected.iter().filter(|(_, n)| **n > 0).collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    panel.rows = reasons
        .into_iter()
        .map(|(reason, n)| Row {
            cells: vec![
                (reason.to_string(), Tone::Bad),
                (count(*n), Tone::Title),
                (format!("{:.1} %", *n as f64 * 100.0 / total as f64), Tone::Plain),
                (of_reason(*reason).to_owned(), Tone::Plain),
            ],
            copy: format!("observatory dlq list --reason {reason}"),
            ..Row::default()
        })
        .collect();
    panel
}
