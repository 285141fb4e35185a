//! Text from elsewhere, made fit for a terminal.
//!
//! ```text
//!   a job's name, an error, a line of a child ──printable, fit, wrap──▶ what may be drawn
//! ```
//!
//! Whoever names a job writes into somebody else's terminal: an escape would be obeyed, a mark of
//! direction would turn the line round, and a character without a width would hide in a name.
//!
//! # Invariants
//!
//! 1. What comes out has no control characters, no marks of direction, and nothing invisible but
//!    the combining marks of a letter, two at most.
//! 2. For a terminal without UTF-8 it is ASCII: a byte above would be half of something, or a control.
//!
//! # Cost
//!
//! [`fit`] stops at the width that it is given, however long the text is.

use unicode_width::UnicodeWidthChar;

/// Combining marks that a letter keeps. More of them pile up over the lines above.
const MARKS: usize = 2;

/// Stands for what must not be drawn.
const REPLACEMENT: char = '\u{fffd}';

/// Lines that a text is wrapped into at most: an error may have 256 KiB.
const MAX_LINES: usize = 2_000;

/// The text on one line, whole.
#[must_use]
pub fn printable(text: &str, ascii: bool) -> String {
    Drawn { chars: text.chars(), marks: MARKS, ascii }.map(|(c, _)| c).collect()
}

/// The text on one line, cut to `width` cells with a sign that it was.
#[must_use]
pub fn fit(text: &str, width: usize, ascii: bool) -> String {
    let (mut line, mut used, mut before_last) = (String::new(), 0, (0, 0));
    for (c, cells) in (Drawn { chars: text.chars(), marks: MARKS, ascii }) {
        if used + cells > width {
            let (at, cells) = before_last;
            line.truncate(at);
            if width > 0 {
                line.push(if ascii { '~' } else { '…' });
            }
            // A wide character that made room leaves more than the sign takes.
            for _ in cells + 1..width {
                line.push(' ');
            }
            return line;
        }
        if used + cells < width {
            before_last = (line.len() + c.len_utf8(), used + cells);
        } else if used < width {
            before_last = (line.len(), used);
        }
        line.push(c);
        used += cells;
    }
    line
}

/// The text in lines of at most `width` cells; its own lines are kept.
pub(crate) fn wrap(text: &str, width: usize, ascii: bool) -> Vec<String> {
    let (mut lines, width) = (Vec::new(), width.max(2));
    for part in text.lines() {
        let (mut line, mut used) = (String::new(), 0);
        for (c, cells) in (Drawn { chars: part.chars(), marks: MARKS, ascii }) {
            if used + cells > width {
                // At a space, if there is one in the second half.
                let cut = line.rfind(' ').filter(|at| *at > line.len() / 2);
                let rest = cut.map(|at| line.split_off(at + 1)).unwrap_or_default();
                lines.push(std::mem::replace(&mut line, rest));
                used = cells_of(&line);
            }
            line.push(c);
            used += cells;
        }
        lines.push(line);
        if lines.len() >= MAX_LINES {
            lines.push("(there is more)".to_owned());
            break;
        }
    }
    lines
}

/// Cells that a text takes which has been made printable.
pub(crate) fn cells_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Characters as they may be drawn, each with its width.
struct Drawn<'a> {
    chars: std::str::Chars<'a>,
    /// Combining marks since the last letter.
    marks: usize,
    ascii: bool,
}

impl Iterator for Drawn<'_> {
    type Item = (char, usize);

    fn next(&mut self) -> Option<(char, usize)> {
        loop {
            let c = match self.chars.next()? {
                '\t' | '\n' | '\r' => ' ',
                // They choose between two pictures of one character, of different widths.
                '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => continue,
                c if hostile(c) => REPLACEMENT,
                c => c,
            };
            let c = if self.ascii { ascii(c) } else { c };
            match c.width().unwrap_or(0) {
                0 if self.marks >= MARKS => continue,
                0 => self.marks += 1,
                _ => self.marks = 0,
            }
            return Some((c, c.width().unwrap_or(0)));
        }
    }
}

/// Whether a terminal would obey a character, or hide it.
#[must_use]
pub fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks of direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: spaces and joiners without a width, fillers, breaks, tags, marks of a file.
            | '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// The nearest that ASCII has; our own signs keep their differences.
fn ascii(c: char) -> char {
    match c {
        ' '..='~' => c,
        '○' => 'o',
        '◔' => 'v',
        '▶' | '▸' | '›' | '→' => '>',
        '↻' => '&',
        '✓' => '+',
        '✗' | '×' => 'x',
        '⊘' => '/',
        '▲' => '!',
        '△' => '^',
        '●' | '•' => '*',
        '‖' => '|',
        '…' => '~',
        '–' | '—' | '─' | '·' => '-',
        '━' => '=',
        '│' => '|',
        'µ' => 'u',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        '▁' => '_',
        '▂' => '.',
        '▃' => ':',
        '▄' => '-',
        '▅' => '=',
        '▆' => '+',
        '▇' => '*',
        '█' => '#',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_a_mark_of_direction_and_what_is_invisible_are_replaced() {
        let hostile = "a\u{1b}[2Jb\u{9b}31m\u{7}\u{202e}c\u{2066}d\u{200b}e\u{feff}f\u{e0041}\0";
        let shown = printable(hostile, false);
        assert_eq!(
            shown,
            "a\u{fffd}[2Jb\u{fffd}31m\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}\u{fffd}"
        );
        assert!(printable(hostile, true).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }

    #[test]
    fn a_line_end_is_a_space_and_letters_of_other_scripts_stay() {
        assert_eq!(printable("été\n日本\tok", false), "été 日本 ok");
        assert_eq!(printable("e\u{301}\u{302}\u{303}\u{304}x", false), "e\u{301}\u{302}x");
        assert_eq!(printable("\u{301}x", false), "x");
    }

    #[test]
    fn a_text_is_cut_to_the_cells_that_there_are() {
        assert_eq!(fit("email.send", 10, false), "email.send");
        assert_eq!(fit("email.send", 9, false), "email.se…");
        assert_eq!(fit("email.send", 9, true), "email.se~");
        assert_eq!(fit("日本語", 5, false), "日本…");
        assert_eq!(fit("日本語", 4, false), "日… ");
        assert_eq!(fit("abc", 0, false), "");
        assert_eq!(cells_of(&fit("a日本語", 4, false)), 4);
    }

    #[test]
    fn a_long_text_is_wrapped_at_spaces_and_keeps_its_lines() {
        assert_eq!(wrap("one two three\nfour", 9, false), ["one two ", "three", "four"]);
        assert_eq!(wrap("abcdefgh", 3, false), ["abc", "def", "gh"]);
        assert_eq!(wrap(&"x\n".repeat(5_000), 9, false).len(), MAX_LINES + 1);
    }

    #[test]
    fn our_own_signs_differ_from_each_other_in_ascii() {
        let signs: Vec<_> = "○◔▶↻✓✗⊘?▲△".chars().map(ascii).collect();
        let distinct: std::collections::BTreeSet<_> = signs.iter().collect();
        assert_eq!(distinct.len(), signs.len(), "{signs:?}");
    }
}
