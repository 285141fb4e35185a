//! Prometheus and Alertmanager, which begin with nothing to do and are then given a configuration.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::error::{Cause, Error, or_panic};
use crate::server::{Place, Program, Server, command};

/// A Prometheus.
pub type Prometheus = Server<PrometheusServer>;

/// An Alertmanager without others beside it.
pub type Alertmanager = Server<AlertmanagerServer>;

const CONFIG: &str = "config.yml";

impl<P: Program> Server<P> {
    /// Gives it another configuration; returns when it works by that.
    fn reload(&self, config: &str) -> Result<(), Error> {
        fs::write(self.place.path(CONFIG), config).map_err(Error::io("write a configuration"))?;
        let asked = || -> Result<(), Cause> {
            let ask = ureq::post(format!("{}/-/reload", self.url()));
            let mut answer = ask.config().http_status_as_error(false).build().send_empty()?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(answer.body_mut().read_to_string()?.into()),
            }
        };
        let what = "take the configuration".to_owned();
        asked().map_err(|source| Error::Refused { server: P::NAME, what, source })
    }
}

impl Prometheus {
    /// Has it scrape and judge what `config` says; paths in it are absolute.
    #[track_caller]
    pub fn load(&self, config: &str) {
        or_panic(self.reload(config));
    }
}

impl Alertmanager {
    /// Has it send alerts where `config` says.
    #[track_caller]
    pub fn load(&self, config: &str) {
        or_panic(self.reload(config));
    }
}

fn answers(url: &str) -> Result<(), Cause> {
    ureq::get(format!("{url}/-/ready")).call()?;
    Ok(())
}

fn at(place: &Place) -> String {
    format!("127.0.0.1:{}", place.ports[0])
}

fn prepared(place: &Place, config: &str) -> Result<(), Error> {
    fs::write(place.path(CONFIG), config).map_err(Error::io("write a configuration"))
}

#[doc(hidden)]
pub struct PrometheusServer;

impl Program for PrometheusServer {
    const NAME: &'static str = "prometheus";
    const N_PORTS: usize = 1;

    fn prepare(place: &Place) -> Result<Self, Error> {
        prepared(place, "").map(|()| PrometheusServer)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command("prometheus", Signal::KILL, None)?;
        command.args([&format!("--config.file={CONFIG}"), "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={}", at(place))).arg("--web.enable-lifecycle");
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        answers(&self.url(place))
    }

    fn url(&self, place: &Place) -> String {
        format!("http://{}", at(place))
    }
}

#[doc(hidden)]
pub struct AlertmanagerServer;

impl Program for AlertmanagerServer {
    const NAME: &'static str = "alertmanager";
    const N_PORTS: usize = 1;

    fn prepare(place: &Place) -> Result<Self, Error> {
        prepared(place, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")
            .map(|()| AlertmanagerServer)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        // Debian's name, and its makers'.
        let mut command = command("prometheus-alertmanager", Signal::KILL, None)
            .or_else(|_| command("alertmanager", Signal::KILL, None))?;
        command.args([&format!("--config.file={CONFIG}"), "--storage.path=data"]);
        // Without an address of its own it would look for others on a port that all have.
        command.arg(format!("--web.listen-address={}", at(place))).arg("--cluster.listen-address=");
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        answers(&self.url(place))
    }

    fn url(&self, place: &Place) -> String {
        format!("http://{}", at(place))
    }
}
