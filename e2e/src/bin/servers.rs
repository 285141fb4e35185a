//! `cargo run -p e2e [broker] [postgres] [mongo] [redis]`: real servers to look around in, all of
//! them if none is named. They end with the input of this program.

use std::io::{Read, Write, stdin, stdout};
use std::time::Instant;

use e2e::{Broker, Mongo, Postgres, Redis, Servers};

fn main() -> std::io::Result<()> {
    let began = Instant::now();
    let named: Vec<_> = std::env::args().skip(1).collect();
    let mut out = stdout();
    if named.is_empty() {
        let servers = Servers::shared();
        writeln!(out, "{}\n{}", held(servers.redis()), servers.database())?;
        writeln!(out, "{}\n{}", servers.mongo_database(), servers.vhost("look-around").url())?;
    }
    for name in named {
        let url = match &*name {
            "broker" => held(Broker::start()),
            "postgres" => held(Postgres::start()),
            "mongo" => held(Mongo::start()),
            "redis" => held(Redis::start()),
            _ => return Err(std::io::Error::other(format!("there is no server {name}"))),
        };
        writeln!(out, "{url}")?;
    }
    writeln!(out, "ready after {:.1} s", began.elapsed().as_secs_f64())?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The URL of a server that is left to the watch, as the shared ones of tests are.
fn held<P: e2e::Program>(server: e2e::Server<P>) -> String {
    std::mem::ManuallyDrop::new(server).url()
}
