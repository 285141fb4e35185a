//! The config file: TOML whose keys are the flags without their dashes.
//!
//! What stands above the first table is for every command that has such an option; a table, as
//! `[up]` or `[dlq.list]`, is for its command alone, and is stronger.

use std::ops::Range;
use std::path::PathBuf;

use clap::Command;
use contracts::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Error, name_of};

/// A file, read but not yet understood.
#[derive(Debug)]
pub(crate) struct File {
    pub(super) path: PathBuf,
    pub(super) root: Table,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    tables: Vec<(String, usize, Table)>,
}

/// A key and its values, of which most have one.
#[derive(Debug)]
pub(super) struct Entry {
    key: String,
    pub(super) values: Vec<String>,
    pub(super) line: usize,
}

impl Table {
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|(other, ..)| other == name).map(|(.., table)| table)
    }
}

impl File {
    pub(super) fn parse(path: PathBuf, text: &str) -> Result<File, Error> {
        let mut file = File { path, root: Table::default() };
        let parsed = DeTable::parse(text).map_err(|error| Error::Syntax {
            place: file.at(line(text, &error.span().unwrap_or_default())),
            message: error.message().to_owned(),
        })?;
        file.root = file.table(parsed.get_ref(), text)?;
        Ok(file)
    }

    /// A place in it, as editors and people find it.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn table(&self, parsed: &DeTable<'_>, text: &str) -> Result<Table, Error> {
        let mut table = Table::default();
        for (key, value) in parsed {
            let (line, key) = (line(text, &key.span()), key.get_ref().to_string());
            if let DeValue::Table(below) = value.get_ref() {
                table.tables.push((key, line, self.table(below, text)?));
                continue;
            }
            let values = match value.get_ref() {
                DeValue::Array(values) => values.iter().map(plain).collect(),
                _ => plain(value).map(|value| vec![value]),
            };
            let Some(values) = values else {
                let wants = "a text, a number, true, false, or a list of them";
                return Err(Error::Value { place: self.at(line), key, wants });
            };
            table.entries.push(Entry { key, values, line });
        }
        // As they stand in the file, so that the first mistake in it is the one that is told.
        table.entries.sort_by_key(|entry| entry.line);
        table.tables.sort_by_key(|(_, line, _)| *line);
        Ok(table)
    }

    /// That each key is an option, and each table a command.
    pub(super) fn check(&self, command: &Command) -> Result<(), Error> {
        self.check_table(&self.root, command, "")
    }

    fn check_table(&self, table: &Table, command: &Command, path: &str) -> Result<(), Error> {
        let known = options(command);
        for Entry { key, line, .. } in &table.entries {
            if !known.contains(&key.as_str()) {
                return Err(Error::Unknown {
                    place: self.at(*line),
                    key: key.clone(),
                    command: path.to_owned(),
                    nearest: nearest(key, &known).map(str::to_owned),
                });
            }
        }
        for (name, line, below) in &table.tables {
            let Some(of) = command.find_subcommand(name) else {
                let commands: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
                return Err(Error::NoCommand {
                    place: self.at(*line),
                    key: name.clone(),
                    nearest: nearest(name, &commands).map(str::to_owned),
                });
            };
            let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
            self.check_table(below, of, &path)?;
        }
        Ok(())
    }
}

/// The options of a command and of those below it, each once.
pub(super) fn options(command: &Command) -> Vec<&str> {
    let mut names: Vec<_> = command.get_arguments().filter_map(name_of).collect();
    names.extend(command.get_subcommands().flat_map(options));
    names.sort_unstable();
    names.dedup();
    names
}

/// A value as it would be typed.
fn plain(value: &Spanned<DeValue<'_>>) -> Option<String> {
    Some(match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        _ => return None,
    })
}

/// The line of a place, from 1.
fn line(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
}
