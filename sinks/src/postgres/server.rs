//! The way to a server, and what its failures mean.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::{Error, Failure};

/// A server that takes longer to answer to a connection is away.
const CONNECT: Duration = Duration::from_secs(5);

/// A server that takes longer to confirm what was sent to it, as far as its network is concerned,
/// is away.
const UNCONFIRMED: Duration = Duration::from_secs(15);

/// Where a database is.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    /// Wanted by `sslmode=require` only: what is encrypted is also checked against the root
    /// certificates of this machine, and without being told we would not know that there are any.
    tls: Option<MakeRustlsConnect>,
    /// How it is called in messages, without the password.
    name: Arc<str>,
}

impl Server {
    /// Reads the address of a database.
    pub(super) fn new(url: &str) -> Result<Server, Error> {
        let mut config = parse(url)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNCONFIRMED);
            // An answer may be long in coming; that somebody is there is asked meanwhile.
            config.keepalives_idle(UNCONFIRMED);
            config.keepalives_interval(Duration::from_secs(5));
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(tls()?),
            _ => None,
        };
        let name = name(&config).into();
        Ok(Server { config, tls, name })
    }

    /// A connection, for somebody whom the server's statistics are to name so.
    pub(super) async fn connect(&self, who: &str) -> Result<Client, Error> {
        let mut config = self.config.clone();
        if config.get_application_name().is_none() {
            config.application_name(format!("observatory {who}"));
        }
        let (client, _serving) =
            self.open(&config).await.map_err(|error| self.not_connected(error))?;
        Ok(client)
    }

    async fn open(
        &self,
        config: &Config,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        // What ends a connection is told to whoever waits for an answer.
        Ok(match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
        })
    }

    /// The address, for a pool of connections.
    pub(super) fn config(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("observatory reader");
        }
        config
    }

    pub(super) fn name(&self) -> String {
        self.name.to_string()
    }

    /// What a failure to connect means.
    pub(super) fn not_connected(&self, error: tokio_postgres::Error) -> Error {
        match self.failed(error) {
            // What is neither the network's fault nor the server's is that of the address.
            Error::Refused { server, source } => Error::Shut { server, source },
            error => error,
        }
    }

    /// What a failure of a connection means, or of what was sent over it.
    pub(super) fn failed(&self, error: tokio_postgres::Error) -> Error {
        self.meaning(&error, "")
    }

    /// What a failure means that came of `doing` something.
    pub(super) fn meaning(&self, error: &tokio_postgres::Error, doing: &str) -> Error {
        let (server, source) = (self.name(), Failure::from(told(error, doing)));
        match Meaning::of(error) {
            Meaning::Away => Error::Away { server, source },
            Meaning::Shut => Error::Shut { server, source },
            Meaning::Refused => Error::Refused { server, source },
        }
    }

    pub(super) fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Server(error) => self.failed(error),
            Fault::Ours(error) => error,
        }
    }
}

impl deadpool_postgres::Connect for Server {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move { self.open(&config).await })
    }
}

/// What can go wrong while something is done on a connection.
#[derive(Debug)]
pub(super) enum Fault {
    Server(tokio_postgres::Error),
    Ours(Error),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Server(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Ours(error)
    }
}

/// What whoever asked may do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Ask again.
    Away,
    /// Have the address, or the rights, changed.
    Shut,
    /// Nothing.
    Refused,
}

impl Meaning {
    fn of(error: &tokio_postgres::Error) -> Meaning {
        if let Some(code) = error.code() {
            return Meaning::of_state(code.code());
        }
        let mut cause = Some(error as &dyn std::error::Error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return match error.kind() {
                    // A certificate that we do not trust comes as such.
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Meaning::Shut,
                    _ => Meaning::Away,
                };
            }
            cause = error.source();
        }
        if error.is_closed() { Meaning::Away } else { Meaning::Refused }
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_state(code: &str) -> Meaning {
        match code {
            // The database has been dropped.
            "57P04" => Meaning::Shut,
            // No right to do it; no such database, or schema.
            "42501" | "3D000" | "3F000" => Meaning::Shut,
            // Only reads here, as long as this server stands in for another; transactions that were
            // taken for idle or too long; a lock, or a statement, that took too long.
            "25006" | "25P03" | "25P04" | "55P03" | "57014" => Meaning::Away,
            // The disk failed, or something else outside.
            "58000" | "58030" => Meaning::Away,
            // A constraint at the end of the transaction is not one of its conflicts.
            "40002" => Meaning::Refused,
            _ => match code.get(..2) {
                // The connection; a conflict with another transaction; room, memory or connections.
                Some("08" | "40" | "53") => Meaning::Away,
                // It is being shut down or started.
                Some("57") if code.starts_with("57P") => Meaning::Away,
                Some("28") => Meaning::Shut,
                _ => Meaning::Refused,
            },
        }
    }
}

/// A failure in words: what the library says leaves out the reason.
fn told(error: &tokio_postgres::Error, doing: &str) -> String {
    let mut told = if doing.is_empty() { String::new() } else { format!("{doing}: ") };
    if let Some(db) = error.as_db_error() {
        told += &format!("{} ({})", db.message(), db.code().code());
        if let Some(detail) = db.detail() {
            told += &format!(", {detail}");
        }
        return told;
    }
    told += &error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}

/// Reads an address; what is said of one that is none has nothing of the password in it.
fn parse(url: &str) -> Result<Config, Error> {
    let fault = |fault: &str| Error::Address {
        server: "PostgreSQL",
        fault: fault.to_owned(),
        form: "postgres://user:password@host:5432/database, with whatever is special in the \
               password percent-encoded",
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(fault("does not begin with postgres://"));
    }
    // The part behind the first would be taken for the host, and named.
    if url.matches('@').count() > 1 {
        return Err(fault("has more than one @"));
    }
    let config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let reason = error.into_source().map_or_else(String::new, |source| source.to_string());
        fault(&format!("cannot be read ({reason})"))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(fault("has no host"));
    }
    if config.get_user().is_none() {
        return Err(fault("has no user"));
    }
    Ok(config)
}

fn name(config: &Config) -> String {
    let user = config.get_user().unwrap_or_default();
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(host) => host.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts: Vec<String> = match config.get_hosts() {
        [] => config.get_hostaddrs().iter().map(ToString::to_string).collect(),
        _ => hosts.collect(),
    };
    let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
    let port = if ports.is_empty() { "5432".to_owned() } else { ports.join(",") };
    let database = config.get_dbname().unwrap_or(user);
    format!("PostgreSQL at {user}@{}:{port}/{database}", hosts.join(","))
}

/// Encryption, with ring, and with the root certificates of this machine.
fn tls() -> Result<MakeRustlsConnect, Error> {
    let fault = |fault: String| Error::Address {
        server: "PostgreSQL",
        fault,
        form: "postgres://… without sslmode=require, or SSL_CERT_FILE is to name a file with them",
    };
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(fault("wants TLS, and this machine has no root certificates".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(format!("wants TLS, which cannot be had: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::{Meaning, Server};

    #[test]
    fn an_address_that_cannot_be_read_keeps_its_password() {
        for url in [
            "postgres://me:s3cret@here:port/db",
            "postgres://me:s3cret@s3cret@here/db",
            "postgres://me:x@?s3cret=1@here/db",
            "postgres://me:s3cret@here/db?what=1",
            "postgres://me:s3cret@",
            "host=here password=it is s3cret",
            "s3cret",
        ] {
            let error = Server::new(url).map(|_| ()).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
            assert!(!error.passes());
        }
    }

    #[test]
    fn a_server_is_named_without_its_password() {
        let server = Server::new("postgres://me:s3cret@here,there:5433/jobs").unwrap();
        assert_eq!(server.name(), "PostgreSQL at me@here,there:5432,5433/jobs");
        assert!(!format!("{:?}", server.config()).contains("s3cret"));
        let server = Server::new("postgresql://me@%2Frun%2Fpg").unwrap();
        assert_eq!(server.name(), "PostgreSQL at me@/run/pg:5432/me");
    }

    #[test]
    fn what_passes_is_what_the_server_will_be_over() {
        for code in ["08006", "57P01", "57P03", "40001", "40P01", "53100", "53300", "25006"] {
            assert_eq!(Meaning::of_state(code), Meaning::Away, "{code}");
        }
        for code in ["28P01", "28000", "3D000", "42501", "57P04"] {
            assert_eq!(Meaning::of_state(code), Meaning::Shut, "{code}");
        }
        for code in ["22021", "23505", "42P01", "40002", "XX001"] {
            assert_eq!(Meaning::of_state(code), Meaning::Refused, "{code}");
        }
    }
}
