//! Where a broker is, and who we are to it.

use std::fmt;
use std::str::FromStr;

use lapin::uri::AMQPUri;

/// Seconds without a sign of life after which a connection is given up, unless the URL says
/// otherwise; the broker's own proposal of 60 would leave a dead one unnoticed for two minutes.
const HEARTBEAT: u16 = 10;

/// `amqp://user:password@host:port/vhost`, or `amqps://…`; shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(AMQPUri);

/// Why a text is not the URL of a broker. It never repeats the text, which has a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error(
        "not the URL of a broker: write it as `amqp://user:password@host:5672/%2f`, \
         with special characters of user and password as `%` and two hexadecimal digits"
    )]
    Malformed,
    #[error("the URL has no host: write it as `amqp://user:password@host:5672/%2f`")]
    NoHost,
    #[error(
        "the virtual host of the URL is empty: leave the last `/` out, or write `/%2f` for the \
         default one"
    )]
    NoVhost,
}

impl Url {
    /// What the client library takes.
    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        let authority = &self.0.authority;
        match authority.host.contains(':') {
            true => format!("[{}]:{}", authority.host, authority.port),
            false => format!("{}:{}", authority.host, authority.port),
        }
    }

    /// Who we are.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.0.authority.userinfo.username
    }

    /// The virtual host.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        // The library's errors can have the whole text in them.
        let mut uri: AMQPUri = text.parse().map_err(|_| UrlError::Malformed)?;
        let host = host(text)?;
        // For a host that it cannot read, as `[::1]`, the library would take localhost.
        if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            address.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            return Err(UrlError::NoVhost);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Url(uri))
    }
}

/// The host as it is written.
fn host(text: &str) -> Result<&str, UrlError> {
    let (_, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let end = match host.rfind(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    match &host[..end] {
        "" => Err(UrlError::NoHost),
        host => Ok(host),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let user = &authority.userinfo.username;
        let vhost = vhost.replace('%', "%25").replace('/', "%2f");
        write!(f, "{scheme}://{user}@{}/{vhost}", self.address())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_password_is_never_shown() {
        for text in [
            "amqp://ada:s3cret@broker:5673/jobs",
            "amqps://ada:s3%63ret@broker:5673/%2f?heartbeat=5",
            "amqp://ada:s3cret@[::1]/jobs",
        ] {
            let shown = format!("{0} {0:?} {0:#?}", url(text));
            assert!(!shown.contains("s3cret") && !shown.contains("%63ret"), "{shown}");
            assert!(shown.contains("ada"), "{shown}");
        }
        for text in [
            "amqp:ada:s3cret@broker",
            "http://ada:s3cret@broker/",
            "amqp://ada:s3cret@broker:99999/",
            "amqp://ada:s3cret@/",
            "amqp://ada:s3cret@broker/?heartbeat=s3cret",
            "amqp://ada:s3cret@broker/%ff",
            "s3cret",
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn it_is_shown_as_it_can_be_written() {
        assert_eq!(url("amqp://ada:x@broker/a%2fb").to_string(), "amqp://ada@broker:5672/a%2fb");
        assert_eq!(url("amqp://broker").to_string(), "amqp://guest@broker:5672/%2f");
        assert_eq!(url("amqps://ada:x@[::1]/v").to_string(), "amqps://ada@[::1]:5671/v");
    }

    #[test]
    fn a_host_is_the_one_that_is_written() {
        assert_eq!(url("amqp://a:b@[2001:db8::7]:1/v").uri().authority.host, "2001:db8::7");
        assert_eq!(url("amqp://a:b@10.0.0.7/v").uri().authority.host, "10.0.0.7");
        assert_eq!("amqp:///v".parse::<Url>(), Err(UrlError::NoHost));
        assert!("amqp://a:b@:5672/v".parse::<Url>().is_err());
    }

    #[test]
    fn an_empty_virtual_host_is_taken_for_a_mistake() {
        assert_eq!("amqp://broker/".parse::<Url>(), Err(UrlError::NoVhost));
        assert_eq!(url("amqp://broker/%2f").vhost(), "/");
    }

    #[test]
    fn the_heartbeat_is_ours_unless_the_url_has_one() {
        assert_eq!(url("amqp://broker").uri().query.heartbeat, Some(HEARTBEAT));
        assert_eq!(url("amqp://broker?heartbeat=60").uri().query.heartbeat, Some(60));
    }
}
