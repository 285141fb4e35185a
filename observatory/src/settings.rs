//! Where the value of an option comes from: flag, environment, config file, default, in this order.
//!
//! ```text
//!   config.toml ──File──┐
//!   *_FILE, variables ──┴─▶ defaults of clap's own options ──parse──▶ Cli
//!                                  └─▶ Origins: what came from where
//! ```
//!
//! There is one parser: what is said outside of the command line becomes the default of its option,
//! and is read and checked as if it had been typed.
//!
//! # Invariants
//!
//! 1. A key that no option has is an error, and so is a value that its option does not take.
//! 2. A secret is shown nowhere: neither in a help nor by `config show`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

mod error;
mod file;
mod mask;

pub(crate) use error::Error;
pub(crate) use mask::masked;

use file::{File, Table};

/// A variable of the environment.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What stands in the config file, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    file: Option<File>,
}

/// Where a value comes from that is neither a flag nor in the variable that clap knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file that a variable names.
    Secret {
        variable: String,
        path: PathBuf,
    },
    /// Another name of the variable.
    Variable(String),
    Config {
        path: PathBuf,
        line: usize,
    },
}

/// The origins of values, by command, as `dlq list`, and option.
#[derive(Debug, Default)]
pub(crate) struct Origins(BTreeMap<(String, String), Origin>);

impl Origins {
    pub(crate) fn of(&self, command: &str, option: &str) -> Option<&Origin> {
        self.0.get(&(command.to_owned(), option.to_owned()))
    }

    /// Where an option, of whichever command, was given from.
    pub(crate) fn of_any(&self, option: &str) -> Option<&Origin> {
        self.0.iter().find(|((_, other), _)| other == option).map(|(_, origin)| origin)
    }
}

impl Origin {
    /// What it is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Origin::Secret { .. } | Origin::Variable(_) => "env",
            Origin::Config { .. } => "file",
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Secret { variable, path } => write!(f, "{variable} ({})", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Config { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// The variable of an option, unless it has one of its own.
pub(crate) fn variable(option: &str) -> String {
    format!("OBSERVATORY_{}", option.replace('-', "_").to_ascii_uppercase())
}

/// Options that are about where to find the others.
const OUTSIDE: [&str; 3] = ["config", "help", "version"];

/// The name of an option, as flag and as key; none of what can only be given on the command line.
pub(crate) fn name_of(arg: &Arg) -> Option<&str> {
    arg.get_long().filter(|long| !OUTSIDE.contains(long))
}

/// Whether a value is nobody's business.
pub(crate) fn secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// A command each of whose options has a variable, and those below it.
///
/// An option without a value is on by any of the usual words for it.
pub(crate) fn with_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let arg = match (name_of(&arg).map(variable), arg.get_env()) {
            (Some(variable), None) => arg.env(variable),
            _ => arg,
        };
        match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
            _ => arg,
        }
    });
    command.mut_subcommands(with_variables)
}

impl Settings {
    /// Reads the file that was named, which must be there, or the one at its usual place, which
    /// need not. An empty name is for none.
    pub(crate) fn read(named: Option<&Path>, env: Env<'_>) -> Result<Settings, Error> {
        let (path, must) = match named {
            Some(path) if path.as_os_str().is_empty() => return Ok(Settings::default()),
            Some(path) => (path.to_owned(), true),
            None => match usual(env) {
                Some(path) => (path, false),
                None => return Ok(Settings::default()),
            },
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Settings { file: Some(File::parse(path, &text)?) }),
            Err(error) if !must && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Settings::default())
            }
            Err(source) => Err(Error::Unreadable { what: path.display().to_string(), source }),
        }
    }

    /// The file, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// The command line on top of what is said elsewhere.
    pub(crate) fn layered(
        &self,
        command: Command,
        env: Env<'_>,
    ) -> Result<(Command, Origins), Error> {
        if let Some(file) = &self.file {
            file.check(&command)?;
        }
        let tables: Vec<&Table> = self.file.iter().map(|file| &file.root).collect();
        let mut layers = Layers { settings: self, env, origins: Origins::default(), error: None };
        let own = tables.first().copied();
        let command = layers.lay(command, &tables, own, "");
        match layers.error {
            Some(error) => Err(error),
            None => Ok((command, layers.origins)),
        }
    }
}

/// Where the file is looked for: `$XDG_CONFIG_HOME/observatory/config.toml`.
pub(crate) fn usual(env: Env<'_>) -> Option<PathBuf> {
    let set = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("observatory").join("config.toml"))
}

struct Layers<'a> {
    settings: &'a Settings,
    env: Env<'a>,
    origins: Origins,
    /// The first.
    error: Option<Error>,
}

impl Layers<'_> {
    /// Gives each option of a command, and of those below it, its default; `tables` are those that
    /// speak of it, the nearest last, and `own` is the command's, if it has one.
    fn lay(
        &mut self,
        command: Command,
        tables: &[&Table],
        own: Option<&Table>,
        path: &str,
    ) -> Command {
        let command = command.mut_args(|arg| match name_of(&arg).map(str::to_owned) {
            Some(name) => self.default(arg, &name, tables, path),
            None => arg,
        });
        command.mut_subcommands(|below| {
            let name = below.get_name().to_owned();
            let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
            let mut tables = tables.to_vec();
            let own = own.and_then(|table| table.table(&name));
            tables.extend(own);
            self.lay(below, &tables, own, &path)
        })
    }

    fn default(&mut self, arg: Arg, name: &str, tables: &[&Table], path: &str) -> Arg {
        match self.find(&arg, name, tables) {
            Ok(Some((values, origin))) => {
                self.origins.0.insert((path.to_owned(), name.to_owned()), origin);
                // A help shows defaults.
                let hidden = secret(&arg);
                arg.default_values(values).hide_default_value(hidden).required(false)
            }
            Ok(None) => arg,
            Err(error) => {
                self.error.get_or_insert(error);
                arg
            }
        }
    }

    /// What is said of an option outside of the command line and of its variable.
    fn find(
        &self,
        arg: &Arg,
        name: &str,
        tables: &[&Table],
    ) -> Result<Option<(Vec<String>, Origin)>, Error> {
        let own = arg.get_env().and_then(|env| env.to_str()).unwrap_or_default().to_owned();
        if (self.env)(&own).is_some() {
            return Ok(None);
        }
        let names = [own.clone(), variable(name)];
        let other = (names[1] != own).then(|| (self.env)(&names[1])).flatten();
        // What OBSERVATORY_WORKER says is for the option that has it as its own.
        if let Some(value) =
            other.filter(|_| secret(arg)).and_then(|value| value.into_string().ok())
        {
            return Ok(Some((vec![value], Origin::Variable(names[1].clone()))));
        }
        if secret(arg) {
            for name in names {
                let variable = format!("{name}_FILE");
                let Some(path) = (self.env)(&variable).filter(|path| !path.is_empty()) else {
                    continue;
                };
                let path = PathBuf::from(path);
                let text = std::fs::read_to_string(&path).map_err(|source| Error::Unreadable {
                    what: format!("{}, which {variable} names,", path.display()),
                    source,
                })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
                return Ok(Some((vec![text], Origin::Secret { variable, path })));
            }
        }
        let Some(entry) = tables.iter().rev().find_map(|table| table.entry(name)) else {
            return Ok(None);
        };
        let Some(file) = &self.settings.file else { return Ok(None) };
        let flag = matches!(arg.get_action(), ArgAction::SetTrue);
        if flag && !matches!(entry.values.as_slice(), [one] if one == "true" || one == "false") {
            return Err(Error::Value {
                place: file.at(entry.line),
                key: name.to_owned(),
                wants: "true or false",
            });
        }
        if entry.values.len() != 1 && !matches!(arg.get_action(), ArgAction::Append) {
            return Err(Error::Value {
                place: file.at(entry.line),
                key: name.to_owned(),
                wants: "one value",
            });
        }
        let origin = Origin::Config { path: file.path.clone(), line: entry.line };
        Ok(Some((entry.values.clone(), origin)))
    }
}

#[cfg(test)]
mod tests;
