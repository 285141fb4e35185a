//! `observatory config`: what the options are set to and why, and what a config file may say.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::{self, Output};
use crate::settings::{self, Origins, Settings};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Which,
}

#[derive(clap::Subcommand)]
pub(crate) enum Which {
    /// Show what the options are set to; secrets are masked.
    Show(Show),
    /// Print the JSON Schema of the config file.
    Schema,
}

#[derive(clap::Args)]
pub(crate) struct Show {
    /// Say also where each value comes from: flag, variable, file, or default.
    #[arg(long)]
    origin: bool,
    /// How to print the result: as a config file, or JSON for programs.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// A command, with arguments if need be; all of them without it.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let text = match &args.command {
        Which::Schema => serde_json::to_string_pretty(&schema(&cli::command()))?,
        Which::Show(args) => show(args, config)?,
    };
    cli::print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// What an option of a command is set to.
#[derive(Serialize)]
struct Setting {
    command: String,
    option: String,
    /// Null if it is not set.
    value: Option<Value>,
    origin: &'static str,
    /// Which variable, or which line of which file.
    place: Option<String>,
}

fn show(args: &Show, config: Option<&Path>) -> anyhow::Result<String> {
    let env: settings::Env<'_> = &|name| std::env::var_os(name);
    let settings = Settings::read(config, env)?;
    let (command, origins) = settings.layered(cli::command(), env)?;
    // What only a run needs is not asked for.
    let command = optional(command);
    let mut found = Vec::new();
    match args.command.is_empty() {
        true => {
            for path in leaves(&command, "") {
                let words = path.split(' ').map(OsString::from);
                found.extend(settings_of(&command, &origins, words)?);
            }
        }
        false => found = settings_of(&command, &origins, args.command.iter().cloned())?,
    }
    match args.output {
        Output::Json => Ok(serde_json::to_string_pretty(&found)?),
        Output::Table => Ok(as_file(&found, args.origin, settings.path())),
    }
}

/// The settings of the command that these words run.
fn settings_of(
    command: &Command,
    origins: &Origins,
    words: impl Iterator<Item = OsString>,
) -> anyhow::Result<Vec<Setting>> {
    let words = std::iter::once(OsString::from("observatory")).chain(words);
    let matches = command.clone().try_get_matches_from(words)?;
    let (mut at, mut of, mut path) = (command, &matches, String::new());
    while let Some((name, below)) = of.subcommand() {
        let Some(found) = at.find_subcommand(name) else { break };
        path = if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
        (at, of) = (found, below);
    }
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    let own = at.get_arguments().filter(|arg| !arg.is_global_set());
    let setting = |(arg, at): (&Arg, &str)| setting(arg, at, &path, of, origins);
    let all = own.map(|arg| (arg, &*path)).chain(global.map(|arg| (arg, "")));
    Ok(all.filter_map(setting).collect())
}

/// An option as it is set; `at` is the command whose option it is.
fn setting(
    arg: &Arg,
    at: &str,
    command: &str,
    matches: &ArgMatches,
    origins: &Origins,
) -> Option<Setting> {
    let option = settings::name_of(arg)?.to_owned();
    let id = arg.get_id().as_str();
    let (origin, place) = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => ("flag", None),
        Some(ValueSource::EnvVariable) => {
            ("env", arg.get_env().map(|env| env.to_string_lossy().into_owned()))
        }
        _ => match origins.of(at, &option) {
            Some(origin) => (origin.kind(), Some(origin.to_string())),
            None => ("default", None),
        },
    };
    let texts: Vec<String> = matches
        .get_raw(id)
        .into_iter()
        .flatten()
        .map(|text| match settings::secret(arg) {
            true => settings::masked(&text.to_string_lossy()),
            false => text.to_string_lossy().into_owned(),
        })
        .collect();
    let value = match arg.get_action() {
        ArgAction::SetTrue => Some(json!(matches.get_flag(id))),
        ArgAction::Append if !texts.is_empty() => Some(json!(texts)),
        _ => texts.into_iter().next().map(|text| typed(arg, text)),
    };
    Some(Setting { command: command.to_owned(), option, value, origin, place })
}

/// A value as a config file has it.
fn typed(arg: &Arg, text: String) -> Value {
    let number = (kind(arg) != "string").then(|| serde_json::from_str(&text).ok()).flatten();
    number.unwrap_or(Value::String(text))
}

/// Settings as a config file that says the same, but for secrets.
fn as_file(found: &[Setting], origin: bool, path: Option<&Path>) -> String {
    let mut text = match path {
        Some(path) => format!("# config file: {}\n", path.display()),
        None => "# config file: none\n".to_owned(),
    };
    let mut before = "";
    for Setting { command, option, value, origin: from, place } in found {
        // Options of all commands have no place in the table of one.
        if command != before {
            text.push_str(&format!("\n[{}]\n", command.replace(' ', ".")));
            before = command;
        }
        let line = match value {
            None => format!("# {option} is not set"),
            Some(value) if value.to_string().contains("***") || *option == "color" => {
                format!("# {option} = {value}")
            }
            Some(value) => format!("{option} = {value}"),
        };
        text.push_str(&line);
        if origin {
            text.push_str(&format!("  # {from}"));
            place.iter().for_each(|place| text.push_str(&format!(": {place}")));
        }
        text.push('\n');
    }
    text.lines().map(crate::table::printable).collect::<Vec<_>>().join("\n")
}

/// A command of which nothing has to be said.
fn optional(command: Command) -> Command {
    command.mut_args(|arg| arg.required(false)).mut_subcommands(optional)
}

/// The commands that do something, by their names with those above them.
fn leaves(command: &Command, path: &str) -> Vec<String> {
    let below: Vec<_> =
        command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        return vec![path.to_owned()];
    }
    let path =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
    below.into_iter().flat_map(|below| leaves(below, &path(below.get_name()))).collect()
}

/// What a config file may say.
fn schema(command: &Command) -> Value {
    let mut schema = table(command, true);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The config file of observatory",
        "description": "Keys are flags without their dashes. Above the first table they are for every command that has such an option; a table is for its command alone, and is stronger.",
    });
    let mut all = head.as_object().cloned().unwrap_or_default();
    all.append(&mut schema);
    Value::Object(all)
}

/// A table of a command: its options, and tables of the commands below it.
fn table(command: &Command, deep: bool) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut add = |name: &str, schema: Value| match properties.get_mut(name) {
        None => drop(properties.insert(name.to_owned(), schema)),
        Some(known) if *known == schema => {}
        // Commands differ in it, or it is also the name of a command.
        Some(known) => match known.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(several) if several.contains(&schema) => {}
            Some(several) => several.push(schema),
            None => *known = json!({ "anyOf": [known.take(), schema] }),
        },
    };
    options(command, deep || command.has_subcommands(), &mut add);
    for below in command.get_subcommands() {
        add(below.get_name(), Value::Object(table(below, false)));
    }
    let schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    schema.as_object().cloned().unwrap_or_default()
}

/// Options of a command, and of those below it.
fn options(command: &Command, deep: bool, add: &mut impl FnMut(&str, Value)) {
    for arg in command.get_arguments() {
        if let Some(name) = settings::name_of(arg) {
            add(name, option(arg));
        }
    }
    if deep {
        command.get_subcommands().for_each(|below| options(below, true, add));
    }
}

fn option(arg: &Arg) -> Value {
    let mut schema = match arg.get_action() {
        ArgAction::SetTrue => json!({ "type": "boolean" }),
        ArgAction::Append => json!({ "type": "array", "items": { "type": "string" } }),
        _ => match arg.get_possible_values() {
            names if !names.is_empty() => {
                json!({ "enum": names.iter().map(|name| name.get_name()).collect::<Vec<_>>() })
            }
            _ => json!({ "type": kind(arg) }),
        },
    };
    if let Some(help) = arg.get_help() {
        schema["description"] = json!(help.to_string());
    }
    schema
}

/// The type of a value, for JSON and TOML.
fn kind(arg: &Arg) -> &'static str {
    use std::any::TypeId;
    use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
    let id = arg.get_value_parser().type_id();
    let whole = [
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<NonZeroU16>(),
        TypeId::of::<NonZeroU32>(),
        TypeId::of::<NonZeroU64>(),
        TypeId::of::<NonZeroUsize>(),
    ];
    match id {
        id if whole.iter().any(|whole| id == *whole) => "integer",
        id if id == TypeId::of::<f64>() => "number",
        _ => "string",
    }
}
