//! What went wrong, out of what Celery tells: the `repr` of an exception, and a traceback.

use serde_json::{Value, json};

/// Why an attempt failed.
pub(super) struct Error {
    pub(super) kind: String,
    pub(super) message: String,
}

impl Error {
    pub(super) fn to_json(&self) -> Value {
        json!({ "kind": self.kind, "message": self.message })
    }
}

pub(super) fn named(kind: &str, message: &str) -> Error {
    Error { kind: kind.to_owned(), message: message.to_owned() }
}

/// Reads `ValueError('bad input')`; where that says nothing, the last line of the traceback.
pub(super) fn of(exception: &str, traceback: &str) -> Error {
    // What billiard wraps around an exception of a worker process that has died.
    const WRAPPER: &str = "ExceptionWithTraceback";
    if let Some((kind, arguments)) = call(exception)
        && kind != WRAPPER
    {
        return named(kind, &unquoted(arguments));
    }
    let last = traceback.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let (name, message) = last.map_or(("", ""), |line| line.split_once(": ").unwrap_or((line, "")));
    if is_name(name) {
        // Without its module, as in the `repr`.
        return named(name.rsplit('.').next().unwrap_or(name), message);
    }
    named("", exception)
}

/// Takes `Name(arguments)` apart.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('(')?;
    Some((name, rest.strip_suffix(')')?)).filter(|(name, _)| is_name(name))
}

fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// A single quoted text without its quotes; anything else as it is.
fn unquoted(arguments: &str) -> String {
    let arguments = arguments.strip_suffix(',').unwrap_or(arguments);
    for quote in ['\'', '"'] {
        let inner = arguments.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(inner) = inner
            && !inner.contains(quote)
            && !inner.contains('\\')
        {
            return inner.to_owned();
        }
    }
    arguments.to_owned()
}

#[cfg(test)]
mod tests {
    use super::of;

    fn read(exception: &str, traceback: &str) -> (String, String) {
        let error = of(exception, traceback);
        (error.kind, error.message)
    }

    fn pair(kind: &str, message: &str) -> (String, String) {
        (kind.to_owned(), message.to_owned())
    }

    #[test]
    fn an_exception_is_its_class_and_what_it_says() {
        assert_eq!(read("ValueError('bad input')", ""), pair("ValueError", "bad input"));
        assert_eq!(read("KeyError(\"it's\")", ""), pair("KeyError", "it's"));
        assert_eq!(read("OSError(2, 'No such file')", ""), pair("OSError", "2, 'No such file'"));
        assert_eq!(read("SoftTimeLimitExceeded()", ""), pair("SoftTimeLimitExceeded", ""));
        assert_eq!(read("TimeLimitExceeded(1.0,)", ""), pair("TimeLimitExceeded", "1.0"));
    }

    #[test]
    fn what_became_of_a_lost_worker_is_in_the_traceback() {
        let traceback = "Traceback (most recent call last):\n  File \"x\", line 1\n\
             billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL).\n";
        let expected = pair("WorkerLostError", "Worker exited prematurely: signal 9 (SIGKILL).");
        assert_eq!(read("ExceptionWithTraceback()", traceback), expected);
    }

    #[test]
    fn what_is_no_exception_is_told_as_it_is() {
        assert_eq!(read("reject requeue=False: nope", ""), pair("", "reject requeue=False: nope"));
        let traceback = "celery.exceptions.Reject: nope";
        assert_eq!(read("reject requeue=False: nope", traceback), pair("Reject", "nope"));
        assert_eq!(read("", ""), pair("", ""));
    }
}
