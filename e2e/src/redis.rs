//! Redis, which forgets everything when it is killed.

use std::io::{Read, Write};
use std::process::Command;

use rustix::process::Signal;

use crate::error::{Cause, Error};
use crate::server::{Place, Program, Server, command};

/// A Redis without persistence.
pub type Redis = Server<RedisServer>;

#[doc(hidden)]
pub struct RedisServer;

impl Program for RedisServer {
    const NAME: &'static str = "redis";
    const N_PORTS: usize = 1;

    fn prepare(_: &Place) -> Result<Self, Error> {
        Ok(RedisServer)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command("redis-server", Signal::KILL, None)?;
        command.args(["--port", &place.ports[0].to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        let mut stream = place.connect(0)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        match &answer {
            b"+PONG" => Ok(()),
            other => Err(format!("it says {:?}", String::from_utf8_lossy(other)).into()),
        }
    }

    fn url(&self, place: &Place) -> String {
        format!("redis://127.0.0.1:{}/0", place.ports[0])
    }
}
