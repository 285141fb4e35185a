//! What can be wrong with what is said outside of the command line.

/// Why the settings can not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{what} can not be read")]
    Unreadable { what: String, source: std::io::Error },
    #[error("{place}: {message}")]
    Syntax { place: String, message: String },
    #[error("{place}: there is no option `{key}`{}{}", of(command), meant(nearest))]
    Unknown { place: String, key: String, command: String, nearest: Option<String> },
    #[error("{place}: there is no command `{key}`{}", meant(nearest))]
    NoCommand { place: String, key: String, nearest: Option<String> },
    #[error("{place}: `{key}` is to be {wants}")]
    Value { place: String, key: String, wants: &'static str },
}

fn of(command: &str) -> String {
    match command {
        "" => String::new(),
        command => format!(" of `observatory {command}`"),
    }
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
