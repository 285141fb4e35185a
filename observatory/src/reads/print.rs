//! The forms in which an answer is printed.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;

use super::{Answer, Format};

/// Prints an answer; `plain` if no terminal is to be spared.
pub(super) fn answer<A: Answer>(
    out: &mut impl Write,
    answer: &A,
    format: Format,
    plain: bool,
) -> anyhow::Result<()> {
    match format {
        Format::Table => said(writeln!(out, "{}", answer.table())),
        Format::Json => {
            let json = serde_json::to_string_pretty(answer).context("cannot write the result")?;
            said(writeln!(out, "{}", escaped(&json)))
        }
        Format::Jsonl => lines(out, answer.rows()),
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            heading(&mut csv, answer)?;
            records(&mut csv, answer, plain)
        }
    }
}

/// Rows, a line of JSON each.
pub(super) fn lines(out: &mut impl Write, rows: &[impl Serialize]) -> anyhow::Result<()> {
    rows.iter().try_for_each(|row| said(writeln!(out, "{}", json_line(row)?)))
}

/// The line of headings.
pub(super) fn heading<A: Answer>(
    csv: &mut csv::Writer<impl Write>,
    answer: &A,
) -> anyhow::Result<()> {
    said(csv.write_record(answer.columns()).map_err(io_error))
}

/// Rows, without their headings.
pub(super) fn records<A: Answer>(
    csv: &mut csv::Writer<impl Write>,
    answer: &A,
    plain: bool,
) -> anyhow::Result<()> {
    for row in answer.rows() {
        let mut record = answer.record(row);
        if !plain {
            record.iter_mut().for_each(|text| *text = tui::printable(text, false));
        }
        said(csv.write_record(record).map_err(io_error))?;
    }
    said(csv.flush())
}

/// A value on one line.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(escaped(&serde_json::to_string(value).context("cannot write the result")?))
}

/// JSON that says the same, with what a terminal would obey or hide as escapes: outside of ASCII
/// there is nothing in it but texts.
pub(super) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !tui::hostile(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

pub(super) fn said(written: io::Result<()>) -> anyhow::Result<()> {
    written.context("cannot write to standard output")
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_meaning_and_has_nothing_that_a_terminal_obeys() {
        let hostile = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{e0041}é\n";
        let printed = json_line(&hostile).unwrap();
        assert!(!printed.chars().any(tui::hostile), "{printed}");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), hostile);
    }
}
