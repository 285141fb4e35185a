//! Who may use a server: tokens, origins, and how often they may write.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use api::{Access, Neighbours, Tokens};

/// Writes a second of a client that has a token, unless another number is given: more than people
/// and their scripts do, and less than would harm. What is faster sends arrays.
const WRITES: u32 = 200;

#[derive(clap::Args)]
pub(crate) struct Rights {
    /// Tokens that are let in, each as `NAME read|write|admin HASH`, with the token's SHA-256.
    #[arg(long, env = "OBSERVATORY_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// Origins whose pages may use the API with a token, as https://HOST; separated by commas.
    #[arg(long, env = "OBSERVATORY_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,
    /// Writes a second of one client; 0 for no limit. By default 200 where tokens are asked for.
    #[arg(long, env = "OBSERVATORY_WRITE_LIMIT", value_name = "N")]
    write_limit: Option<u32>,
}

/// Servers beside this one, for the paths that pass on what they say.
#[derive(clap::Args)]
pub(crate) struct Beside {
    /// Alertmanager, as http://HOST:9093: `up` sends its alerts there, and /proxy/alerts tells what
    /// it has.
    #[arg(long, env = "OBSERVATORY_ALERTMANAGER_URL", hide_env_values = true, value_name = "URL")]
    alertmanager_url: Option<String>,
    /// Where people open the page, if not where it listens: links in alerts begin with it.
    #[arg(long, env = "OBSERVATORY_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Prometheus, as http://HOST:9090, for /proxy/targets.
    #[arg(long, env = "OBSERVATORY_PROMETHEUS_URL", hide_env_values = true, value_name = "URL")]
    prometheus_url: Option<String>,
    /// Where the pipeline tells its health, as http://HOST:9100, for /api/v1/dataflow where it is
    /// a process of its own.
    #[arg(long, env = "OBSERVATORY_PIPELINE_URL", hide_env_values = true, value_name = "URL")]
    pipeline_url: Option<String>,
}

impl Beside {
    pub(crate) fn alertmanager(&self) -> Option<&str> {
        self.alertmanager_url.as_deref()
    }

    /// Where people open the page that listens on `address`.
    pub(crate) fn public_url(&self, address: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{address}"))
    }

    pub(crate) fn neighbours(&self) -> Neighbours {
        Neighbours {
            alertmanager: self.alertmanager_url.clone(),
            prometheus: self.prometheus_url.clone(),
            pipeline: self.pipeline_url.clone(),
        }
    }
}

/// The variable with tokens, one a line or after a semicolon, for want of a file.
const TOKENS: &str = "OBSERVATORY_TOKENS";

impl Rights {
    /// How a server that listens on `address` is guarded.
    ///
    /// One that others can reach needs tokens.
    pub(crate) fn of(&self, address: SocketAddr) -> anyhow::Result<Access> {
        let tokens = self.tokens()?;
        if tokens.is_none() && !address.ip().is_loopback() {
            return Err(anyhow!(
                "others can reach {address}, and nobody would have to say who they are; give \
                 --tokens-file, or listen on 127.0.0.1. A line of that file is made by: \
                 token=$(openssl rand -hex 32); echo \"$token\" >&2; \
                 echo \"NAME write $(printf %s \"$token\" | sha256sum | cut -d ' ' -f 1)\""
            ));
        }
        for origin in &self.cors_origin {
            let host = origin.split_once("://").map(|(_, host)| host);
            if !host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' '])) {
                return Err(anyhow!(
                    "--cors-origin {origin} is no origin; write it like https://jobs.example:8443"
                ));
            }
        }
        let writes_per_second = match (self.write_limit, &tokens) {
            (Some(0), _) | (None, None) => None,
            (Some(limit), _) => Some(limit),
            (None, Some(_)) => Some(WRITES),
        };
        Ok(Access { tokens, origins: self.cors_origin.clone(), writes_per_second })
    }

    fn tokens(&self) -> anyhow::Result<Option<Tokens>> {
        if let Some(path) = &self.tokens_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--tokens-file {}", path.display()))?;
            let tokens = Tokens::parse(&text);
            return Ok(Some(tokens.with_context(|| format!("--tokens-file {}", path.display()))?));
        }
        match std::env::var(TOKENS) {
            Ok(text) if !text.is_empty() => {
                Ok(Some(Tokens::parse(&text.replace(';', "\n")).context(TOKENS)?))
            }
            _ => Ok(None),
        }
    }
}
