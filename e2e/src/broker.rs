//! RabbitMQ with its plugins for management and for Prometheus.
//!
//! ```text
//!   epmd ◀── broker (beam): AMQP, management over HTTP, distribution
//! ```
//!
//! Each broker has its own epmd, started before it: a broker that finds none makes one into a
//! daemon, which would outlive it, on a port that all brokers of the machine share.
//!
//! Nothing here runs `rabbitmqctl`: it takes seconds, and leaves daemons of its own.
//! [`Vhost`] asks over HTTP.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::error::{Cause, Error, or_panic};
use crate::management::{Management, Vhost};
use crate::server::{Place, Program, Server, command};

/// A broker with the user `guest`.
pub type Broker = Server<RabbitMq>;

impl Broker {
    /// A new virtual host, whose name begins with `name`.
    #[track_caller]
    #[must_use]
    pub fn vhost(&self, name: &str) -> Vhost {
        or_panic(Vhost::create(&self.program.management, self.place.ports[AMQP], name))
    }

    /// Where Prometheus reads it.
    #[must_use]
    pub fn metrics(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.place.ports[METRICS]))
    }

    /// Makes it lack memory: it blocks the connections that publish.
    #[track_caller]
    pub fn block(&mut self) {
        or_panic(self.limit_memory(TOO_LITTLE));
    }

    /// Ends [`Broker::block`].
    #[track_caller]
    pub fn unblock(&mut self) {
        or_panic(self.limit_memory(ENOUGH));
    }

    /// Sets the bytes above which it takes no more; it acts on that at once.
    fn limit_memory(&self, bytes: u64) -> Result<(), Error> {
        let cookie = fs::read_to_string(self.place.path(".erlang.cookie"))
            .map_err(Error::io("read the cookie of the broker"))?;
        // What `rabbitmqctl` would call, without its virtual machine.
        let call = format!("vm_memory_monitor set_vm_memory_high_watermark [{{absolute,{bytes}}}]");
        let output = command("erl_call", Signal::KILL, None)?
            .env("ERL_EPMD_PORT", self.program.epmd.place.ports[0].to_string())
            .env("HOME", &self.place.folder)
            .args(["-c", &cookie, "-n", &node(&self.place), "-a", &call])
            .output()
            .map_err(Error::io("start erl_call"))?;
        match output.stdout.as_slice() {
            b"ok" => Ok(()),
            said => Err(Error::Refused {
                server: "rabbitmq",
                what: call,
                source: String::from_utf8_lossy(said).into(),
            }),
        }
    }
}

/// Bytes of memory that a broker is content with.
const ENOUGH: u64 = 1_000_000_000;

/// Bytes of memory that no broker gets by with.
const TOO_LITTLE: u64 = 1_000_000;

fn node(place: &Place) -> String {
    format!("r{}@localhost", place.ports[AMQP])
}

/// Debian's script itself: its `/usr/sbin` has one of that name which becomes another user first.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Elsewhere, as in the flake's shell, PATH has it.
const NAME: &str = "rabbitmq-server";

const AMQP: usize = 0;
const HTTP: usize = 1;
const DISTRIBUTION: usize = 2;
const METRICS: usize = 3;

const PLUGINS: &str = "[rabbitmq_management,rabbitmq_prometheus].\n";

#[doc(hidden)]
pub struct RabbitMq {
    management: Management,
    epmd: Server<Epmd>,
}

impl Program for RabbitMq {
    const NAME: &'static str = "rabbitmq";
    const N_PORTS: usize = 4;

    fn prepare(place: &Place) -> Result<Self, Error> {
        let [amqp, http, metrics] = [AMQP, HTTP, METRICS].map(|port| place.ports[port]);
        // A limit below what is free would block every publisher; the interval is how old a depth
        // of a queue can be.
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {http}\n\
             prometheus.tcp.ip = 127.0.0.1\n\
             prometheus.tcp.port = {metrics}\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n\
             collect_statistics_interval = 250\n\
             log.console = true\n\
             log.console.level = info\n\
             log.file = false\n"
        );
        let cookie = place.path(".erlang.cookie");
        let write = || {
            fs::write(place.path("rabbitmq.conf"), config)?;
            fs::write(place.path("enabled_plugins"), PLUGINS)?;
            fs::write(place.path("env.conf"), "")?;
            fs::write(&cookie, format!("c{}", fastrand::u64(..)))?;
            fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
            for folder in ["mnesia", "log", "schema", "generated"] {
                fs::create_dir(place.path(folder))?;
            }
            Ok(())
        };
        write().map_err(Error::io(format!("write to {}", place.folder.display())))?;
        Ok(RabbitMq { management: Management::at(http), epmd: Server::try_start()? })
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let program = if Path::new(PROGRAM).exists() { PROGRAM } else { NAME };
        let mut command = command(program, Signal::KILL, None)?;
        command
            // Under systemd, as it believes to be, the script becomes the broker. Otherwise it
            // would stay as its parent, and the signal at the end of the tests would be the
            // script's.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_PORT", self.epmd.place.ports[0].to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .env("RABBITMQ_NODENAME", node(place))
            .env("RABBITMQ_DIST_PORT", place.ports[DISTRIBUTION].to_string())
            .env("RABBITMQ_LOGS", "-")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                // Schedulers that wait actively would take the cores from what is tested.
                "+sbwt none +sbwtdcpu none +sbwtdio none \
                 -kernel inet_dist_use_interface {127,0,0,1}",
            );
        for (name, file) in [
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_MNESIA_DIR", "mnesia/db"),
            ("RABBITMQ_PLUGINS_EXPAND_DIR", "expand"),
            ("RABBITMQ_FEATURE_FLAGS_FILE", "feature_flags"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_SCHEMA_DIR", "schema"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(name, place.path(file));
        }
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        // The listener of AMQP opens last, unless management is slower.
        place.connect(AMQP)?;
        self.management.answers()
    }

    fn url(&self, place: &Place) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", place.ports[AMQP])
    }
}

/// The register of Erlang nodes.
struct Epmd;

impl Program for Epmd {
    const NAME: &'static str = "epmd";
    const N_PORTS: usize = 1;

    fn prepare(_: &Place) -> Result<Self, Error> {
        Ok(Epmd)
    }

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = command("epmd", Signal::KILL, None)?;
        command.args(["-address", "127.0.0.1", "-port", &place.ports[0].to_string()]);
        Ok(command)
    }

    fn answers(&self, place: &Place) -> Result<(), Cause> {
        place.connect(0)?;
        Ok(())
    }

    fn url(&self, place: &Place) -> String {
        format!("127.0.0.1:{}", place.ports[0])
    }
}
