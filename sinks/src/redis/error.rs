use ::redis::{ErrorKind, RedisError};

/// Why Redis could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL of Redis. The text of the URL is left out: it may hold a password.
    #[error("not a URL like redis://host:6379/0: {0}")]
    Url(String),
    /// Another pipeline writes. This one must never write again.
    #[error(
        "redis holds generation {theirs}, ours is {ours}: another pipeline has taken over; \
         if the store was replaced by an empty one, delete observatory:snapshot and \
         observatory:deltas, and start again"
    )]
    TakenOver { ours: i64, theirs: i64 },
    /// No answer, or asked to come back.
    #[error("redis is not reachable")]
    Away(#[source] RedisError),
    /// It answered, and the same call would meet the same answer.
    #[error("redis refused")]
    Refused(#[source] RedisError),
    /// Redis holds something that is not ours.
    #[error("redis holds {what} that cannot be read: {why}")]
    Value { what: String, why: String },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Away(_) | Error::Value { .. })
    }

    /// Whether the server does not let us in.
    pub fn shut(&self) -> bool {
        let Error::Refused(error) = self else { return false };
        let no =
            [ErrorKind::AuthenticationFailed, ErrorKind::Server(::redis::ServerErrorKind::NoPerm)];
        no.contains(&error.kind())
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Error {
        match error.kind() {
            // A script that was refused for what it does, a login, an answer of the wrong type:
            // LOADING, BUSY, OOM, READONLY and the like are states of the server, and pass.
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Server(::redis::ServerErrorKind::NoPerm) => Error::Refused(error),
            _ => Error::Away(error),
        }
    }
}
