//! The server that we look at; without one, what is missing and how to get it.

use crate::app::App;
use crate::hands::Task;
use crate::live::Standing;
use crate::look::Tone;
use crate::msg::Order;
use crate::over::{Entry, Over};
use crate::panel::{Panel, Row};
use crate::views::kind::Kind;
use crate::views::said::Said;

#[derive(Default)]
pub(crate) struct Server {
    said: Said,
    started: bool,
    ended: Option<Result<i32, String>>,
}

impl Server {
    pub(crate) fn line(&mut self, line: String) {
        self.said.add(line);
    }

    pub(crate) fn ended(&mut self, ended: Result<i32, String>) {
        (self.started, self.ended) = (false, Some(ended));
    }
}

/// What makes the cluster where its script is not at hand.
const KIND: &str = "nix run .#kind-up";

/// What the rows offer, in their order.
#[derive(Clone, Copy)]
enum Choice {
    Demo,
    Kind,
    Address,
    Token,
    Again,
}

const CHOICES: [Choice; 5] =
    [Choice::Demo, Choice::Kind, Choice::Address, Choice::Token, Choice::Again];

pub(crate) fn panel(app: &App) -> Panel {
    let connected = app.live.connected;
    let mut panel = Panel::new(if connected { "The server" } else { "No server yet" }, &[]);
    let say = |text: String, tone| (text, tone);
    match (&app.live.trouble, app.standing()) {
        (Some(trouble), _) => {
            panel.words.push(say(format!("✗ {}: {trouble}.", app.url), Tone::Bad));
            if let Some(at) = app.live.again_at {
                let s = (at.0 - app.now.0).max(0) / 1_000_000 + 1;
                panel.words.push(say(format!("The next attempt is in {s} s."), Tone::Fine));
            }
        }
        (None, Standing::Connecting) => {
            panel.words.push(say(format!("Connecting to {}.", app.url), Tone::Fine));
        }
        (None, _) => panel.words.push(say(format!("✓ Connected to {}.", app.url), Tone::Good)),
    }
    if !connected {
        panel.words.push(say(
            "Nothing to look at without one: start one with made-up jobs, or say where yours is."
                .to_owned(),
            Tone::Plain,
        ));
    }
    panel.words.push(say(String::new(), Tone::Plain));
    panel.rows = CHOICES.into_iter().map(|choice| row(app, choice)).collect();
    if app.server.started || app.server.ended.is_some() {
        panel.rows.push(text(String::new(), Tone::Plain));
        panel.rows.push(text(ended(&app.server), Tone::Title));
    }
    panel.rows.extend(app.server.said.lines().map(|line| text(line.clone(), Tone::Fine)));
    panel.rows.extend(app.kind.rows());
    panel
}

fn ended(server: &Server) -> String {
    match &server.ended {
        _ if server.started => "The server that was started here says:".to_owned(),
        Some(Ok(code)) => format!("The server that was started here has ended with {code}:"),
        Some(Err(why)) => format!("The server can not be started: {why}."),
        None => String::new(),
    }
}

fn text(line: String, tone: Tone) -> Row {
    Row { copy: line.clone(), cells: vec![(line, tone)], ..Row::default() }
}

fn demo(app: &App) -> Vec<String> {
    let listen = app.url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    [&app.program, "up", "--demo", "--listen", &listen].map(str::to_owned).to_vec()
}

fn row(app: &App, choice: Choice) -> Row {
    let (words, copy) = match choice {
        Choice::Demo if app.server.started => {
            ("Stop the server that was started here".to_owned(), String::new())
        }
        Choice::Demo => {
            let command = demo(app).join(" ");
            (format!("Start one here with made-up jobs: {command}"), command)
        }
        Choice::Kind if app.kind.started => ("Stop making the cluster".to_owned(), String::new()),
        Choice::Kind => match &app.kind_up {
            Some(script) => {
                (format!("Make a cluster in kind with all servers: {script}"), script.clone())
            }
            None => (format!("Make a cluster in kind with all servers: {KIND}"), KIND.to_owned()),
        },
        Choice::Address => ("Go to another address …".to_owned(), app.url.clone()),
        Choice::Token => ("Give a token …".to_owned(), String::new()),
        Choice::Again => ("Connect again now".to_owned(), app.url.clone()),
    };
    Row { cells: vec![(words, Tone::Plain)], copy, ..Row::default() }
}

/// Does what the selected row offers.
pub(crate) fn chosen(app: &mut App) {
    match CHOICES.get(app.cursor(0).at) {
        Some(Choice::Demo) if app.server.started => app.order(Order::Stop(Task::Demo)),
        Some(Choice::Demo) if app.live.connected => {
            app.say("There is a server at this address already", Tone::Warn);
        }
        Some(Choice::Demo) => {
            app.server = Server { started: true, ..Server::default() };
            let command = demo(app);
            app.order(Order::Run(Task::Demo, command));
        }
        Some(Choice::Kind) if app.kind.started => app.order(Order::Stop(Task::Kind)),
        Some(Choice::Kind) => match app.kind_up.clone() {
            Some(script) => {
                app.kind = Kind::begin();
                app.order(Order::Run(Task::Kind, vec![script, "--json".to_owned()]));
            }
            None => app.say(
                "Its script is in the project's folder: start there, or name it with --kind-up",
                Tone::Warn,
            ),
        },
        Some(Choice::Address) => app.over = Some(Over::entry(Entry::Url)),
        Some(Choice::Token) => app.over = Some(Over::entry(Entry::Token)),
        Some(Choice::Again) => app.order(Order::Wake),
        None => {}
    }
}
