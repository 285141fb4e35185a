use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};

use super::*;

/// A program with options of each kind, and commands on two levels.
fn program() -> Command {
    let listen = Arg::new("listen").long("listen").env("OBSERVATORY_LISTEN").default_value("8080");
    let url = Arg::new("url").long("redis-url").env("REDIS_URL").hide_env_values(true);
    let list = Command::new("list").arg(Arg::new("limit").long("limit"));
    Command::new("observatory")
        .subcommand(
            Command::new("up")
                .arg(listen.clone())
                .arg(url)
                .arg(Arg::new("demo").long("demo").action(ArgAction::SetTrue))
                .arg(Arg::new("origin").long("cors-origin").action(ArgAction::Append)),
        )
        .subcommand(Command::new("api").arg(listen))
        .subcommand(Command::new("jobs").arg(Arg::new("api").long("api")))
        .subcommand(Command::new("dlq").subcommand(list.clone()))
        .subcommand(list)
}

struct Case<'a> {
    file: &'a str,
    env: &'a [(&'a str, &'a str)],
}

impl Case<'_> {
    fn layered(&self) -> Result<(Command, Origins), Error> {
        let file = File::parse(PathBuf::from("config.toml"), self.file)?;
        let env: BTreeMap<_, _> = self.env.iter().copied().collect();
        let env = |name: &str| env.get(name).map(OsString::from);
        Settings { file: Some(file) }.layered(with_variables(program()), &env)
    }

    /// The values of an option when this is run, as text.
    fn value(&self, line: &str, option: &str) -> String {
        let (command, _) = self.layered().unwrap();
        let matches = command.try_get_matches_from(line.split(' ')).unwrap();
        let mut of = &matches;
        while let Some((_, below)) = of.subcommand() {
            of = below;
        }
        let raw = of.get_raw(option).into_iter().flatten();
        raw.map(|text| text.to_string_lossy()).collect::<Vec<_>>().join(",")
    }

    fn complaint(&self) -> String {
        self.layered().unwrap_err().to_string()
    }
}

#[test]
fn a_flag_is_stronger_than_the_file_of_a_secret_a_table_the_top_of_the_file_and_the_default() {
    let top = "listen = 1";
    let table = "listen = 1\n[up]\nlisten = 2";
    let (up, given) = ("observatory up", "observatory up --listen 9");
    for (file, line, value) in [
        ("", up, "8080"),
        (top, up, "1"),
        (table, up, "2"),
        (table, "observatory api", "1"),
        (table, given, "9"),
    ] {
        assert_eq!(Case { file, env: &[] }.value(line, "listen"), value, "{file} {line}");
    }
}

#[test]
fn a_variable_is_left_to_the_parser_and_stands_in_no_layer() {
    let case = Case { file: "listen = 1", env: &[("OBSERVATORY_LISTEN", "3")] };
    let (_, origins) = case.layered().unwrap();
    assert_eq!(origins.of("up", "listen"), None);
    assert!(origins.of("dlq list", "limit").is_none());
}

#[test]
fn a_secret_is_in_its_variable_in_its_other_one_in_a_file_that_one_names_or_in_the_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "redis://of-a-file\n").unwrap();
    let path = path.to_str().unwrap();
    let file = "redis-url = 'redis://of-the-config'";
    for (env, value) in [
        (&[][..], "redis://of-the-config"),
        (&[("REDIS_URL_FILE", path)], "redis://of-a-file"),
        (&[("OBSERVATORY_REDIS_URL_FILE", path)], "redis://of-a-file"),
        (&[("REDIS_URL_FILE", path), ("OBSERVATORY_REDIS_URL", "redis://other")], "redis://other"),
    ] {
        assert_eq!(Case { file, env }.value("observatory up", "url"), value, "{env:?}");
    }
    let missing = Case { file: "", env: &[("REDIS_URL_FILE", "/nowhere/url")] }.complaint();
    assert_eq!(missing, "/nowhere/url, which REDIS_URL_FILE names, can not be read");
    // No other option is read from a file.
    let listen = Case { file: "", env: &[("OBSERVATORY_LISTEN_FILE", path)] };
    assert_eq!(listen.value("observatory up", "listen"), "8080");
}

#[test]
fn a_secret_of_the_config_is_in_no_help() {
    let case = Case { file: "redis-url = 'redis://:s3cret@here'\nlisten = 1", env: &[] };
    let (command, _) = case.layered().unwrap();
    let help = command.try_get_matches_from(["observatory", "up", "--help"]).unwrap_err();
    assert!(help.to_string().contains("[default: 1]") && !help.to_string().contains("s3cret"));
}

#[test]
fn flags_and_lists_are_written_as_toml_has_them() {
    let case = Case { file: "[up]\ndemo = true\ncors-origin = ['http://a', 'http://b']", env: &[] };
    assert_eq!(case.value("observatory up", "demo"), "true");
    assert_eq!(case.value("observatory up", "origin"), "http://a,http://b");
    let (command, origins) = case.layered().unwrap();
    let matches = command.try_get_matches_from(["observatory", "up"]).unwrap();
    let up = matches.subcommand_matches("up").unwrap();
    assert_eq!(up.value_source("demo"), Some(ValueSource::DefaultValue));
    assert_eq!(origins.of("up", "demo").unwrap().to_string(), "config.toml:2");
}

#[test]
fn the_table_of_a_command_is_not_that_of_one_below_another() {
    let case = Case { file: "[list]\nlimit = 1\n[dlq.list]\nlimit = 2", env: &[] };
    assert_eq!(case.value("observatory list", "limit"), "1");
    assert_eq!(case.value("observatory dlq list", "limit"), "2");
    let case = Case { file: "[list]\nlimit = 1", env: &[] };
    assert_eq!(case.value("observatory dlq list", "limit"), "");
}

#[test]
fn a_key_that_is_also_a_command_is_told_by_its_value() {
    let case = Case { file: "api = 'http://a'", env: &[] };
    assert_eq!(case.value("observatory jobs", "api"), "http://a");
    let case = Case { file: "[api]\nlisten = 1", env: &[] };
    assert_eq!(case.value("observatory api", "listen"), "1");
}

#[test]
fn what_can_not_be_meant_is_told_with_its_place_and_what_was_perhaps_meant() {
    for (file, complaint) in [
        ("\nlisetn = 1", "config.toml:2: there is no option `listen`"),
        ("[up]\nlimit = 1", "config.toml:2: there is no option `limit` of `observatory up`"),
        ("\n\n[ap]\n", "config.toml:3: there is no command `ap`; did you mean `api`?"),
        ("[up]\ndemo = 'maybe'", "config.toml:2: `demo` is to be true or false"),
        ("listen = [1, 2]", "config.toml:1: `listen` is to be one value"),
        ("listen = 1979-05-27", "config.toml:1: `listen` is to be a text, a number"),
        ("listen = ", "config.toml:1: "),
        ("listen = 1\nlisten = 2", "config.toml:2: "),
    ] {
        let told = Case { file, env: &[] }.complaint();
        let expected =
            complaint.replace("no option `listen`", "no option `lisetn`; did you mean `listen`?");
        assert!(told.starts_with(&expected), "{told}");
    }
}
