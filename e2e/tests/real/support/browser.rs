//! A page in a browser of its own: what somebody who looks at it sees, and what they do.

use std::sync::OnceLock;

use e2e::Browsers;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use super::{runtime, until};

/// Chromium's: nothing is asked of anybody but the page, and nothing is shown on a screen.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--lang=en-US",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
    pub(crate) scripts: bool,
}

pub(crate) const DESK: Look = Look { width: 1280, height: 900, dark: false, scripts: true };

/// The browsers of all tests.
fn browsers() -> &'static Browsers {
    static BROWSERS: OnceLock<Browsers> = OnceLock::new();
    BROWSERS.get_or_init(Browsers::start)
}

/// A page; dropped, its browser is closed.
pub(crate) struct Page {
    client: Client,
    /// Of the server that it is of, as `http://HOST:PORT`.
    base: String,
}

impl Drop for Page {
    fn drop(&mut self) {
        // The driver closes it, if it cannot be asked to.
        drop(runtime().block_on(self.client.clone().close()));
    }
}

impl Page {
    /// Opens a browser of its own on the server at `address`.
    #[track_caller]
    pub(crate) fn open(address: &str, path: &str) -> Page {
        Page::looked_at(address, path, DESK)
    }

    #[track_caller]
    pub(crate) fn looked_at(address: &str, path: &str, look: Look) -> Page {
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--window-size={},{}", look.width, look.height));
        if look.dark {
            arguments.push("--force-dark-mode".to_owned());
        }
        let mut options = json!({ "args": arguments });
        if look.width < 500 {
            // Narrower than windows get.
            let metrics = json!({"width": look.width, "height": look.height, "pixelRatio": 1});
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        if !look.scripts {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let mut wanted = Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), options);
        wanted.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL"}));
        let client = runtime().block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(wanted).connect(&browsers().url()).await.unwrap()
        });
        let page = Page { client, base: format!("http://{address}") };
        page.goto(path);
        page
    }

    pub(crate) fn goto(&self, path: &str) {
        runtime().block_on(self.client.goto(&format!("{}{path}", self.base))).unwrap();
    }

    pub(crate) fn reload(&self) {
        runtime().block_on(self.client.refresh()).unwrap();
    }

    pub(crate) fn back(&self) {
        runtime().block_on(self.client.back()).unwrap();
    }

    /// Path and query of the address.
    pub(crate) fn address(&self) -> String {
        let url = runtime().block_on(self.client.current_url()).unwrap();
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    /// What the body of a function gives, called with `arguments`.
    pub(crate) fn run(&self, body: &str, arguments: Vec<Value>) -> Value {
        runtime().block_on(self.client.execute(body, arguments)).unwrap()
    }

    /// The same for a promise.
    fn wait(&self, body: &str) -> Value {
        let script =
            format!("const done = arguments[0]; ({body})().then(done, (e) => done(`${{e}}`));");
        runtime().block_on(self.client.execute_async(&script, vec![])).unwrap()
    }

    /// The text of all that matches, as it is shown.
    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let found = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())",
            vec![css.into()],
        );
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// The text of the first that matches.
    pub(crate) fn text(&self, css: &str) -> Option<String> {
        self.texts(css).into_iter().next()
    }

    /// The text of the page, also where no script may run.
    pub(crate) fn whole_text(&self) -> String {
        let text = runtime()
            .block_on(async { self.client.find(Locator::Css("body")).await?.text().await });
        text.unwrap()
    }

    /// Waits until the first that matches has a text like this.
    #[track_caller]
    pub(crate) fn shows(&self, css: &str, what: &str) {
        until(&format!("{css} says {what}"), || self.text(css)?.contains(what).then_some(()));
    }

    /// Clicks what matches first, as soon as somebody could.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        until(&format!("{css} can be clicked"), || {
            let clicked = runtime()
                .block_on(async { self.client.find(Locator::Css(css)).await?.click().await });
            clicked.ok()
        });
    }

    /// Types into the field that matches.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        until(&format!("{css} can be filled in"), || {
            let filled = runtime().block_on(async {
                let field = self.client.find(Locator::Css(css)).await?;
                field.clear().await?;
                field.send_keys(text).await
            });
            filled.ok()
        });
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        runtime().block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// What the browser complains of since it was asked last: errors, and what a policy forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let session = runtime().block_on(self.client.session_id()).unwrap().unwrap();
        let mut answer = ureq::post(format!("{}/session/{session}/se/log", browsers().url()))
            .send(json!({"type": "browser"}).to_string())
            .unwrap();
        let log: Value =
            serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let entries = log["value"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["level"] == "SEVERE" || entry["source"] == "security")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What keeps people from using the page, by the rules of axe-core that it calls serious.
    pub(crate) fn barriers(&self) -> Vec<String> {
        self.run(&axe(), vec![]);
        let found = self.wait(
            "async () => {
                const { violations } = await axe.run(document, { resultTypes: ['violations'] });
                return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
                    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((n) => n.html).slice(0, 3)}`);
            }",
        );
        let found = found.as_array().unwrap_or_else(|| panic!("axe says {found}"));
        found.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// By how many pixels the page is wider than its window.
    pub(crate) fn overhang(&self) -> i64 {
        let script = "return document.documentElement.scrollWidth - innerWidth";
        self.run(script, vec![]).as_i64().unwrap()
    }
}

/// axe-core.
fn axe() -> String {
    let file = e2e::kept("axe-4.12.1.js");
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo xtask test` puts it there", file.display())
    })
}

/// Keys that are no characters, as WebDriver writes them.
pub(crate) mod key {
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const DOWN: &str = "\u{e015}";
}
