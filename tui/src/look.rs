//! Colours and signs.
//!
//! A tone says what a text means; a theme says how that looks. Without colour what matters is bold,
//! dim or reversed, and it is always said in words as well.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use crate::printable::{fit, printable};

/// What a text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// What explains something else.
    Fine,
    Title,
    Good,
    Bad,
    Warn,
    Busy,
    Calm,
    Mute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// The sixteen colours of the terminal, on its own ground.
    Terminal,
    Dark,
    Light,
    /// No colours at all.
    Mono,
}

impl Theme {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Theme::Terminal => "as the terminal",
            Theme::Dark => "dark",
            Theme::Light => "light",
            Theme::Mono => "without colours",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) theme: Theme,
    /// Only ASCII is drawn.
    pub(crate) ascii: bool,
    /// Themes with colours may be chosen.
    pub(crate) colors: bool,
}

impl Look {
    pub(crate) fn next_theme(&mut self) {
        self.theme = match self.theme {
            _ if !self.colors => Theme::Mono,
            Theme::Terminal => Theme::Dark,
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::Mono,
            Theme::Mono => Theme::Terminal,
        };
    }

    /// A text with its tone. Whatever is drawn comes through here or through [`Look::fitted`].
    pub(crate) fn span(&self, text: &str, tone: Tone) -> Span<'static> {
        Span::styled(printable(text, self.ascii), self.style(tone))
    }

    /// The same, in `width` cells at most.
    pub(crate) fn fitted(&self, text: &str, width: usize, tone: Tone) -> Span<'static> {
        Span::styled(fit(text, width, self.ascii), self.style(tone))
    }

    /// The ground that everything is drawn on.
    pub(crate) fn base(&self) -> Style {
        match self.theme {
            Theme::Terminal | Theme::Mono => Style::new(),
            Theme::Dark => Style::new().fg(Color::Indexed(252)).bg(Color::Indexed(234)),
            Theme::Light => Style::new().fg(Color::Indexed(235)).bg(Color::Indexed(255)),
        }
    }

    pub(crate) fn selected(&self) -> Style {
        match self.theme {
            Theme::Terminal | Theme::Mono => Style::new().add_modifier(Modifier::REVERSED),
            Theme::Dark => Style::new().bg(Color::Indexed(238)).add_modifier(Modifier::BOLD),
            Theme::Light => Style::new().bg(Color::Indexed(252)).add_modifier(Modifier::BOLD),
        }
    }

    pub(crate) fn style(&self, tone: Tone) -> Style {
        let weight = match tone {
            Tone::Title => Modifier::BOLD,
            Tone::Bad | Tone::Warn if self.theme == Theme::Mono => Modifier::BOLD,
            Tone::Fine | Tone::Mute if matches!(self.theme, Theme::Terminal | Theme::Mono) => {
                Modifier::DIM
            }
            _ => Modifier::empty(),
        };
        let style = Style::new().add_modifier(weight);
        match self.color(tone) {
            Some(color) => style.fg(color),
            None => style,
        }
    }

    fn color(&self, tone: Tone) -> Option<Color> {
        // Good, bad, warn, busy, calm, and what is said aside. On the two grounds that are ours each
        // has a contrast of at least 4.5.
        let of = |colors: [Color; 6]| match tone {
            Tone::Plain | Tone::Title => None,
            Tone::Good => Some(colors[0]),
            Tone::Bad => Some(colors[1]),
            Tone::Warn => Some(colors[2]),
            Tone::Busy => Some(colors[3]),
            Tone::Calm => Some(colors[4]),
            Tone::Fine | Tone::Mute => Some(colors[5]),
        };
        match self.theme {
            Theme::Mono => None,
            Theme::Terminal => of([
                Color::Green,
                Color::Red,
                Color::Yellow,
                Color::Cyan,
                Color::Blue,
                Color::Reset,
            ]),
            Theme::Dark => of([114, 210, 221, 80, 111, 247].map(Color::Indexed)),
            Theme::Light => of([22, 124, 94, 24, 19, 240].map(Color::Indexed)),
        }
    }
}

/// A line of the values, each against the greatest; the latest at the right.
pub(crate) fn spark(values: &[u64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = &values[values.len().saturating_sub(width)..];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: u64| {
        // The lowest is nothing at all, so that a little is seen.
        let level = (value * 7).div_ceil(most).min(7);
        LEVELS[usize::try_from(level).unwrap_or(7)]
    };
    let line: String = values.iter().map(|value| level(*value)).collect();
    format!("{}{line}", " ".repeat(width - values.len()))
}

/// The same, each value against the least and the greatest: how something moves, not how much it is.
pub(crate) fn moves(values: &[u64], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let least = values.iter().copied().min().unwrap_or(0);
    spark(&values.iter().map(|value| value - least).collect::<Vec<_>>(), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_values_ends_with_the_latest_and_a_little_is_not_nothing() {
        assert_eq!(spark(&[0, 1, 50, 100], 6), "  ▁▂▅█");
        assert_eq!(spark(&[9, 9, 0, 0], 2), "▁▁");
        assert_eq!(spark(&[], 3), "   ");
        assert_eq!(moves(&[100, 101, 107], 3), "▁▂█");
        assert_eq!(moves(&[100, 100], 2), "▁▁");
    }

    #[test]
    fn without_colour_no_theme_has_one() {
        let mut look = Look { theme: Theme::Mono, ascii: false, colors: false };
        look.next_theme();
        assert_eq!(look.theme, Theme::Mono);
        for tone in [Tone::Plain, Tone::Bad, Tone::Warn, Tone::Mute] {
            assert_eq!(look.style(tone).fg, None);
        }
        assert_ne!(look.style(Tone::Bad), look.style(Tone::Plain));
    }
}
