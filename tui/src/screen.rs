//! The terminal: taken, given back, and given back whatever happens.
//!
//! # Invariants
//!
//! 1. However the program ends, the terminal is as it was: at its end, at a panic of any thread, at
//!    a signal, and while it is stopped.

use std::io::{self, Stdout, Write};

use anyhow::Context;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use signal_hook::consts::SIGTSTP;

use crate::app::App;
use crate::draw::draw;

/// Bytes that a terminal takes into its clipboard: xterm's limit, in base64.
const MAX_COPIED: usize = 74_994 / 4 * 3;

pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take() -> anyhow::Result<Screen> {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
            // A thread that is gone leaves a screen that waits for it for ever.
            std::process::exit(101);
        }));
        enter().context("the terminal can not be set up")?;
        Ok(Screen { terminal: blank()? })
    }

    pub(crate) fn draw(&mut self, app: &mut App) -> anyhow::Result<()> {
        self.terminal.draw(|frame| draw(app, frame)).context("the terminal can not be drawn on")?;
        Ok(())
    }

    /// Hands a text to the terminal's clipboard; whether that can be done.
    pub(crate) fn copy(&self, text: &str) -> bool {
        text.len() <= MAX_COPIED
            && execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)).is_ok()
    }

    /// Stops, as a shell expects it of Ctrl-Z, and comes back when it is told to go on.
    pub(crate) fn suspend(&mut self) -> anyhow::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(SIGTSTP)
            .context("it can not be stopped")?;
        self.resume()
    }

    /// Takes the terminal again: whoever had it meanwhile has left something on it.
    pub(crate) fn resume(&mut self) -> anyhow::Result<()> {
        enter().context("the terminal can not be set up")?;
        self.terminal = blank()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal with nothing on it.
///
/// To clear one that is there, its cursor would be asked for: by whom the keys are read, too, who
/// takes the answer.
fn blank() -> anyhow::Result<Terminal<CrosstermBackend<Stdout>>> {
    let cleared = execute!(io::stdout(), Clear(ClearType::All));
    let terminal = cleared.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
    terminal.context("the terminal can not be drawn on")
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste)
}

/// There is nobody to tell if the terminal is gone.
fn give_back() {
    let mut out = io::stdout();
    drop(execute!(
        out,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    ));
    drop(out.flush());
    drop(disable_raw_mode());
}
