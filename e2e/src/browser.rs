//! ChromeDriver, which starts a Chromium for each session and speaks WebDriver.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::error::{Cause, Error};
use crate::server::{Place, Program, Server, command};

/// Browsers: a session each, with a profile of its own. They end with it.
pub type Browsers = Server<ChromeDriver>;

#[doc(hidden)]
pub struct ChromeDriver;

impl Program for ChromeDriver {
    const NAME: &'static str = "chromedriver";
    const N_PORTS: usize = 1;

    fn prepare(_: &Place) -> Result<Self, Error> {
        Ok(ChromeDriver)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command("chromedriver", Signal::KILL, None)?;
        command.arg(format!("--port={}", place.ports[0])).arg("--log-level=WARNING");
        // Profiles go with the folder, and browsers are found by it.
        command.env("TMPDIR", &place.folder).env("XDG_CONFIG_HOME", &place.folder);
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        let mut answer = ureq::get(format!("{}/status", self.url(place))).call()?;
        let status: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        match status["value"]["ready"] == true {
            true => Ok(()),
            false => Err(format!("it says {status}").into()),
        }
    }

    fn url(&self, place: &Place) -> String {
        format!("http://127.0.0.1:{}", place.ports[0])
    }
}
