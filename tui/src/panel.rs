//! What a view is made of: titled lists, of which one row is selected.
//!
//! ```text
//!   ── Title ─────────────── note ──
//!   words that explain, or what to do as long as there are no rows
//!     head    head
//!   ▸ cell    cell        ◀── a row: where Enter leads, what is copied, what `e` tells beside
//! ```
//!
//! A view gives its panels anew for each frame and for each key, out of the state of the program;
//! nothing is kept of them but the cursors.
//!
//! # Cost
//!
//! By rows that are given. A view with more than some hundred gives those that are seen, and says
//! with `first` and `total` which of how many they are.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::cursor::Cursor;
use crate::look::{Look, Tone};
use crate::printable::{cells_of, fit, wrap};
use crate::spot::Spot;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Col {
    pub(crate) head: &'static str,
    /// Cells; a column of none shares what the others leave.
    pub(crate) width: u16,
    pub(crate) right: bool,
    /// The column is shown if the panel has at least so many cells.
    pub(crate) from: u16,
}

impl Col {
    pub(crate) const fn left(head: &'static str, width: u16) -> Col {
        Col { head, width, right: false, from: 0 }
    }

    pub(crate) const fn right(head: &'static str, width: u16) -> Col {
        Col { head, width, right: true, from: 0 }
    }

    pub(crate) const fn from(self, from: u16) -> Col {
        Col { from, ..self }
    }
}

pub(crate) type Cell = (String, Tone);

#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// One for each column; without columns they follow each other.
    pub(crate) cells: Vec<Cell>,
    pub(crate) to: Option<Spot>,
    pub(crate) copy: String,
    /// What there is no room for in the row.
    pub(crate) more: String,
    /// The event of a job that the row is of.
    pub(crate) event: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) words: Vec<Cell>,
    pub(crate) cols: &'static [Col],
    pub(crate) rows: Vec<Row>,
    /// The place of the first row, and how many there are in all, if not all are given.
    pub(crate) first: usize,
    pub(crate) total: usize,
    /// `more` of the selected row is shown below the list.
    pub(crate) telling: bool,
}

impl Panel {
    pub(crate) fn new(title: impl Into<String>, cols: &'static [Col]) -> Panel {
        Panel { title: title.into(), cols, ..Panel::default() }
    }

    /// How many rows there are, given or not.
    pub(crate) fn n_rows(&self) -> usize {
        self.total.max(self.first + self.rows.len())
    }

    pub(crate) fn row(&self, at: usize) -> Option<&Row> {
        self.rows.get(at.checked_sub(self.first)?)
    }

    /// Lines that it takes beside its rows.
    pub(crate) fn n_lines_beside(&self, width: u16, ascii: bool) -> usize {
        let title = usize::from(!self.title.is_empty());
        title + self.wrapped(width, ascii).count() + usize::from(self.headed())
    }

    /// Whether its columns have names that are to be seen.
    fn headed(&self) -> bool {
        !self.rows.is_empty() && self.cols.iter().any(|col| !col.head.is_empty())
    }

    fn wrapped(&self, width: u16, ascii: bool) -> impl Iterator<Item = Cell> {
        let wrapped = move |(text, tone): &Cell| {
            let lines = match text.is_empty() {
                true => vec![String::new()],
                false => wrap(text, usize::from(width), ascii),
            };
            lines.into_iter().map(|line| (line, *tone)).collect::<Vec<_>>()
        };
        self.words.iter().flat_map(wrapped)
    }
}

/// How a panel stands among others.
#[derive(Clone, Copy)]
pub(crate) struct Stance {
    pub(crate) focused: bool,
    /// Its rows may be selected at all.
    pub(crate) cursor: bool,
}

/// Draws it, and says which rows are where: the area of each, and its place.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    look: &Look,
    panel: &Panel,
    cursor: &mut Cursor,
    stance: Stance,
) -> Vec<(Rect, usize)> {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = Vec::new();
    // A box has its title in its frame.
    if !panel.title.is_empty() {
        lines.push(title(look, panel, width, stance.focused));
    }
    for (text, tone) in panel.wrapped(area.width, look.ascii) {
        lines.push(Line::from(look.fitted(&text, width, tone)));
    }
    let columns = columns(panel.cols, area.width.saturating_sub(2));
    if panel.headed() {
        let heads: Vec<_> =
            panel.cols.iter().map(|col| (col.head.to_owned(), Tone::Fine)).collect();
        lines.push(laid(look, &columns, panel.cols, &heads, width, "  "));
    }
    lines.truncate(height);

    let more = told(look, panel, cursor.at, width, height.saturating_sub(lines.len()));
    let room = height.saturating_sub(lines.len() + more.len());
    cursor.fit(room, panel.n_rows());
    let above = lines.len();
    let mut places = Vec::new();
    for at in cursor.top..(cursor.top + room).min(panel.n_rows()) {
        let Some(row) = panel.row(at) else { continue };
        let selected = stance.focused && stance.cursor && at == cursor.at;
        let mark = if selected { "▸ " } else { "  " };
        let mut line = laid(look, &columns, panel.cols, &row.cells, width, mark);
        if selected {
            let left = width.saturating_sub(line.width());
            line.push_span(Span::raw(" ".repeat(left)));
            line = line.patch_style(look.selected());
        }
        let y = area.y + u16::try_from(lines.len()).unwrap_or(u16::MAX);
        places.push((Rect { y, height: 1, ..area }, at));
        lines.push(line);
    }
    lines.resize(above + room, Line::default());
    lines.extend(more);
    frame.render_widget(Paragraph::new(lines), area);
    places
}

/// What the selected row tells beside.
fn told(look: &Look, panel: &Panel, at: usize, width: usize, height: usize) -> Vec<Line<'static>> {
    let Some(row) = panel.row(at).filter(|row| panel.telling && !row.more.is_empty()) else {
        return Vec::new();
    };
    let mut lines = vec![Line::from(look.span(&"─".repeat(width), Tone::Fine))];
    let text = wrap(&row.more, width.saturating_sub(2), look.ascii);
    lines.extend(text.iter().map(|line| Line::from(look.span(&format!("  {line}"), Tone::Plain))));
    // What the list does not need.
    let list = panel.n_rows().min(height / 2).max(1);
    lines.truncate(height.saturating_sub(list));
    lines
}

fn title(look: &Look, panel: &Panel, width: usize, focused: bool) -> Line<'static> {
    let tone = if focused { Tone::Title } else { Tone::Plain };
    let note = match panel.note.is_empty() {
        true => String::new(),
        false => format!(" {} ─", fit(&panel.note, width * 2 / 3, false)),
    };
    let name = look.fitted(&panel.title, width.saturating_sub(5 + cells_of(&note)), tone);
    let rule = width.saturating_sub(5 + name.width() + cells_of(&note));
    Line::from(vec![
        look.span(if focused { "━━ " } else { "── " }, Tone::Fine),
        name,
        look.span(&format!(" {}{}", "─".repeat(rule + 1), note), Tone::Fine),
    ])
}

/// The width of each column; none if it is not shown.
fn columns(cols: &[Col], width: u16) -> Vec<Option<u16>> {
    let shown = |col: &&Col| width >= col.from;
    let fixed: u16 = cols.iter().filter(shown).map(|col| col.width + 1).sum();
    let open = cols.iter().filter(shown).filter(|col| col.width == 0).count();
    let left = width.saturating_sub(fixed);
    let share = left / u16::try_from(open).unwrap_or(1).max(1);
    let mut rest = left.saturating_sub(share * u16::try_from(open).unwrap_or(0));
    cols.iter()
        .map(|col| match col.width {
            _ if width < col.from => None,
            0 => Some(share + std::mem::take(&mut rest)),
            width => Some(width),
        })
        .collect()
}

fn laid(
    look: &Look,
    widths: &[Option<u16>],
    cols: &[Col],
    cells: &[Cell],
    width: usize,
    mark: &str,
) -> Line<'static> {
    let mut spans = vec![look.span(mark, Tone::Plain)];
    let mut left = width.saturating_sub(2);
    for (i, (text, tone)) in cells.iter().enumerate() {
        let Some(col) = cols.get(i) else {
            let span = look.fitted(text, left, *tone);
            left -= span.width().min(left);
            spans.push(span);
            continue;
        };
        let Some(cells) = widths.get(i).copied().flatten().map(usize::from) else { continue };
        let cells = cells.min(left);
        let span = look.fitted(text, cells, *tone);
        let pad = Span::raw(" ".repeat(cells - span.width().min(cells)));
        spans.extend(if col.right { [pad, span] } else { [span, pad] });
        left -= cells;
        if left > 0 {
            spans.push(Span::raw(" "));
            left -= 1;
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_left_out_where_there_is_no_room_and_open_ones_share_the_rest() {
        const COLS: &[Col] =
            &[Col::left("a", 4), Col::left("b", 0), Col::right("c", 6).from(40), Col::left("d", 0)];
        assert_eq!(columns(COLS, 30), [Some(4), Some(12), None, Some(11)]);
        assert_eq!(columns(COLS, 50), [Some(4), Some(18), Some(6), Some(18)]);
    }
}
