//! What a failure means to whoever started the program, as an exit code.

use std::process::ExitCode;

use ingress::amqp::{self, FaultKind};
use sinks::{mongo, redis, store};

use crate::client;
use crate::servers::Missing;
use crate::settings;

/// The command line asks for what can not be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn new(what: impl Into<String>) -> Usage {
        Usage(what.into())
    }
}

/// What was waited for has not come.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Late(pub(crate) String);

/// A check's condition is true: what was looked for was found, or differs.
pub(crate) const CONDITION: u8 = 3;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const AUTHENTICATION: u8 = 4;
const UNREACHABLE: u8 = 5;

/// The code of a failure: that of the innermost cause of which anything is known.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    let known = error.chain().filter_map(meaning).last();
    ExitCode::from(known.unwrap_or(FAILED))
}

fn meaning(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(fault) = cause.downcast_ref::<amqp::Fault>() {
        return Some(match fault.kind {
            FaultKind::Refused => AUTHENTICATION,
            FaultKind::Unreachable | FaultKind::Lost => UNREACHABLE,
            FaultKind::Channel | FaultKind::Cancelled | FaultKind::Unreadable => FAILED,
        });
    }
    if let Some(error) = cause.downcast_ref::<store::Error>() {
        return match error {
            store::Error::Away { .. } => Some(UNREACHABLE),
            store::Error::Shut { .. } => Some(AUTHENTICATION),
            store::Error::Address { .. } => Some(USAGE),
            store::Error::Archive(error) => of_archive(error),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<redis::Error>() {
        return match error {
            redis::Error::Away(_) => Some(UNREACHABLE),
            redis::Error::Url(_) => Some(USAGE),
            error if error.shut() => Some(AUTHENTICATION),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<client::Error>() {
        return match error {
            client::Error::Away { .. } => Some(UNREACHABLE),
            client::Error::Status { status: 401 | 403, .. } => Some(AUTHENTICATION),
            // What was asked for cannot be asked for.
            client::Error::Status { status: 400, .. } => Some(USAGE),
            error if passes(error) => Some(UNREACHABLE),
            client::Error::Status { .. } | client::Error::Unreadable { .. } => None,
        };
    }
    if cause.is::<amqp::UrlError>()
        || cause.is::<Missing>()
        || cause.is::<Usage>()
        || cause.is::<settings::Error>()
        || cause.is::<clap::Error>()
    {
        return Some(USAGE);
    }
    if cause.is::<Late>() {
        return Some(UNREACHABLE);
    }
    cause.downcast_ref::<mongo::Error>().and_then(of_archive)
}

/// Whether a role may answer the next time.
pub(crate) fn passes(error: &client::Error) -> bool {
    match error {
        client::Error::Away { .. } => true,
        client::Error::Status { status, .. } => *status == 429 || *status >= 502,
        client::Error::Unreadable { .. } => false,
    }
}

/// What to do about a failure, as a command, where we know one: of the innermost cause.
pub(crate) fn fix(error: &anyhow::Error) -> Option<String> {
    error.chain().filter_map(remedy).last()
}

fn remedy(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    match cause.downcast_ref::<client::Error>() {
        Some(client::Error::Away { .. }) => {
            Some("observatory up, or --api URL (OBSERVATORY_API) of where one runs".to_owned())
        }
        Some(client::Error::Status { status: 401, .. }) => {
            Some("export OBSERVATORY_TOKEN=… with a token of its --tokens-file".to_owned())
        }
        Some(client::Error::Status { status: 403, .. }) => {
            Some("export OBSERVATORY_TOKEN=… with a token that may write".to_owned())
        }
        Some(_) => None,
        None => match meaning(cause)? {
            AUTHENTICATION | UNREACHABLE if !cause.is::<Late>() => {
                Some("observatory doctor, which says what each server lacks".to_owned())
            }
            _ => None,
        },
    }
}

fn of_archive(error: &mongo::Error) -> Option<u8> {
    match error {
        mongo::Error::Url(_) => Some(USAGE),
        mongo::Error::Away(_) | mongo::Error::Late(_) => Some(UNREACHABLE),
        error if error.shut() => Some(AUTHENTICATION),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn code_of(error: impl std::error::Error + Send + Sync + 'static) -> u8 {
        let error = Err::<(), _>(error).context("looking").unwrap_err();
        error.chain().filter_map(meaning).last().unwrap_or(FAILED)
    }

    #[test]
    fn a_server_that_is_away_is_told_from_one_that_lets_nobody_in() {
        let (server, source) = ("PostgreSQL".to_owned(), "no".into());
        assert_eq!(code_of(store::Error::Away { server: server.clone(), source }), UNREACHABLE);
        let source = "no".into();
        assert_eq!(code_of(store::Error::Shut { server, source }), AUTHENTICATION);
        let late = mongo::Error::Late(std::time::Duration::ZERO);
        assert_eq!(code_of(store::Error::Archive(late)), UNREACHABLE);
    }

    #[test]
    fn a_url_that_is_none_is_a_mistake_of_whoever_wrote_it() {
        assert_eq!(code_of(amqp::UrlError::NoHost), USAGE);
        let (flag, variable) = ("--redis-url".to_owned(), "REDIS_URL".to_owned());
        assert_eq!(code_of(Missing { flag, variable }), USAGE);
        assert_eq!(code_of(redis::Error::Url(String::new())), USAGE);
    }

    #[test]
    fn what_is_not_known_has_failed() {
        assert_eq!(format!("{:?}", code(&anyhow!("no"))), format!("{:?}", ExitCode::FAILURE));
    }
}
