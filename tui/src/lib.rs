//! The terminal UI: the views of the API, live, by keys. `htop` for jobs.
//!
//! ```text
//!   terminal ──keys──┐                     ┌──▶ draw ──▶ terminal
//!   signals ─────────┤                     │
//!   stream (SSE) ────┼──Msg──▶ App::update─┤
//!   ask (requests) ──┤                     │
//!   hands (children)─┘                     └──Order──▶ ask, hands, stream
//! ```
//!
//! [`app`](crate::app) is the whole program as a value; the threads around it do the waiting. The
//! one that draws reads channels and writes to the terminal, and does nothing else, so a server
//! that does not answer never stands in the way of a key.
//!
//! # Invariants
//!
//! 1. Whatever is drawn has come through [`printable`]: nobody's text is obeyed by a terminal.
//! 2. A list of any length costs what is seen of it.
//! 3. What a screen says is told by words and signs; colours repeat it.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

mod app;
mod ask;
mod cursor;
mod draw;
mod filter;
mod fold;
mod hands;
mod http;
mod keys;
mod live;
mod look;
mod msg;
mod over;
mod panel;
mod pretty;
mod printable;
mod screen;
mod spot;
mod stream;
mod views;
mod words;

#[cfg(test)]
mod tests;

pub use printable::{fit, hostile, printable};
pub use stream::Event;

use app::{App, Due};
use ask::now;
use hands::Hands;
use http::{Address, Server};
use look::{Look, Theme};
use msg::{Ask, Msg, Order};
use screen::Screen;

/// Between two frames that are drawn for data: ten a second are as many as anybody reads.
const FRAME: Duration = Duration::from_millis(100);

/// The age of what is shown is told so often.
const SECOND: Duration = Duration::from_secs(1);

/// Messages that are taken in before a frame, so that a key is not drawn once for each of many.
const AT_ONCE: usize = 64;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API is: `http://HOST:PORT`.
    pub url: String,
    pub token: Option<String>,
    /// Draw nothing but ASCII, whatever the locale says.
    pub ascii: bool,
    pub color: Color,
    /// The program whose `up` and `doctor` can be run from the screen.
    pub program: PathBuf,
    /// The script that makes a cluster in kind, if it is at hand.
    pub kind_up: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Unless `NO_COLOR` is set, or the terminal is dumb.
    Auto,
    Always,
    Never,
}

/// Runs until somebody leaves, or a signal says so; the exit code is 0, or tells the signal.
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("this is for a terminal: without one, read the API, which has all of it as JSON");
    }
    let url = match http::address(&options.url) {
        Ok(url) => url,
        Err(fault) => bail!("{}: {fault}", options.url),
    };
    let look = look(&options, &|name| std::env::var(name).ok());
    let program = options.program.to_string_lossy().into_owned();
    let server = Server::new(url.clone(), options.token);

    let (sender, messages) = mpsc::channel();
    listen(sender.clone()).context("cannot listen for signals")?;
    let mut screen = Screen::take()?;
    read_terminal(sender.clone());
    let (wake, woken) = mpsc::channel();
    stream::start(server.clone(), sender.clone(), woken);
    let (ask, asked) = mpsc::channel();
    ask::start(server.clone(), sender.clone(), asked);
    let hands = Hands::new(sender);

    let mut app = App::new(look, url, program, now());
    app.kind_up = options.kind_up.map(|script| script.to_string_lossy().into_owned());
    let threads = Threads { server, wake, ask, hands };
    let done = serve(&mut app, &mut screen, &messages, &threads);
    drop(screen);
    threads.hands.part();
    done?;
    Ok(ExitCode::from(app.quit.unwrap_or(0)))
}

/// The ways to the other threads.
struct Threads {
    server: Server,
    wake: Sender<()>,
    ask: Sender<Ask>,
    hands: Hands,
}

fn serve(
    app: &mut App,
    screen: &mut Screen,
    messages: &Receiver<Msg>,
    threads: &Threads,
) -> anyhow::Result<()> {
    let (mut due, mut drawn) = (Due::AtOnce, Instant::now());
    while app.quit.is_none() {
        let since = drawn.elapsed();
        let pause = match due {
            Due::AtOnce => Duration::ZERO,
            Due::Soon => FRAME.saturating_sub(since),
            Due::Never => SECOND.saturating_sub(since),
        };
        if due == Due::AtOnce || due == Due::Soon && pause.is_zero() {
            screen.draw(app)?;
            (due, drawn) = (Due::Never, Instant::now());
            continue;
        }
        let first = match messages.recv_timeout(pause) {
            Ok(msg) => Some(msg),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => bail!("nothing can be heard any more"),
        };
        match first {
            None if due == Due::Never => due = app.wait(now()),
            None => {}
            Some(msg) => {
                let more = messages.try_iter().take(AT_ONCE);
                for msg in std::iter::once(msg).chain(more) {
                    due = due.max(take(app, screen, msg)?);
                }
            }
        }
        for order in std::mem::take(&mut app.orders) {
            obey(app, screen, threads, order)?;
        }
    }
    Ok(())
}

/// Signals of the terminal are its own affair; all else is the program's.
fn take(app: &mut App, screen: &mut Screen, msg: Msg) -> anyhow::Result<Due> {
    match msg {
        Msg::Signal(SIGTSTP) => screen.suspend()?,
        // We were stopped without being told.
        Msg::Signal(SIGCONT) => screen.resume()?,
        msg => return Ok(app.update(msg, now())),
    }
    Ok(Due::AtOnce)
}

/// Has an order carried out. A thread that is gone has panicked, which has ended the program.
fn obey(app: &mut App, screen: &mut Screen, threads: &Threads, order: Order) -> anyhow::Result<()> {
    match order {
        Order::Ask(ask) => drop(threads.ask.send(ask)),
        Order::Wake => drop(threads.wake.send(())),
        Order::Move { url, token } => threads.server.set(Address { url, token }),
        Order::Run(task, command) => threads.hands.run(task, command),
        Order::Stop(task) => threads.hands.stop(task),
        Order::Open(url) => threads.hands.open(url),
        Order::Copy(text) => {
            let sent = screen.copy(&text);
            threads.hands.keep(text, sent);
        }
        Order::Suspend => {
            screen.suspend()?;
            app.now = now();
        }
    }
    Ok(())
}

fn read_terminal(out: Sender<Msg>) {
    thread::spawn(move || {
        loop {
            let msg = crossterm::event::read().map_or(Msg::Hangup, Msg::Input);
            let hangup = matches!(msg, Msg::Hangup);
            if out.send(msg).is_err() || hangup {
                return;
            }
        }
    });
}

fn listen(out: Sender<Msg>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if out.send(Msg::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// How it looks, by the options and by what the environment says of the terminal.
fn look(options: &Options, env: &dyn Fn(&str) -> Option<String>) -> Look {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    // The first of these that is set decides.
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let locale = locale.unwrap_or_default().to_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    let dumb = set("TERM").is_none_or(|term| term == "dumb");
    let colors = match options.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => set("NO_COLOR").is_none() && !dumb,
    };
    let theme = if colors { Theme::Terminal } else { Theme::Mono };
    Look { theme, ascii: options.ascii || !utf8, colors }
}
