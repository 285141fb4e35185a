//! What options are set to, and where from; what the program says of its own command line.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::program::{Run, arg, file, observatory, run};
use support::service::Service;
use tempfile::TempDir;

/// A config file, and what the program makes of it.
struct Config {
    folder: TempDir,
}

impl Config {
    fn new(toml: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "config.toml", toml);
        Config { folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = observatory();
        command.args(args).env("OBSERVATORY_CONFIG", self.folder.path().join("config.toml"));
        command
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        Run::of(self.command(args).envs(env.iter().copied()).output().unwrap())
    }

    /// Value and origin of an option of a command, as `config show` tells them.
    #[track_caller]
    fn shows(&self, command: &[&str], option: &str, env: &[(&str, &str)]) -> (Value, Value) {
        let args = [&["config", "show", "--output", "json"], command].concat();
        let found: Vec<Value> = serde_json::from_str(&self.run(&args, env).printed()).unwrap();
        let setting = found.into_iter().find(|setting| setting["option"] == option).unwrap();
        (setting["value"].clone(), setting["origin"].clone())
    }
}

#[test]
fn a_flag_is_stronger_than_a_variable_that_than_the_file_and_that_than_the_default() {
    let nothing = Config::new("");
    let top = Config::new("workers = 2\nlimit = 5\nwithin = '2s'\nsort = true");
    let table = Config::new("workers = 2\n[up]\nworkers = 3\n[dlq.list]\nlimit = 6");
    let variable = &[("OBSERVATORY_WORKERS", "4")];
    for (config, args, option, env, value, origin) in [
        (&nothing, &["up"][..], "workers", &[][..], json!(1), "default"),
        (&top, &["up"], "workers", &[], json!(2), "file"),
        (&table, &["up"], "workers", &[], json!(3), "file"),
        (&table, &["pipeline"], "workers", &[], json!(2), "file"),
        (&table, &["up"], "workers", variable, json!(4), "env"),
        (&table, &["up", "--workers", "5"], "workers", variable, json!(5), "flag"),
        (&nothing, &["up"], "rules", &[], Value::Null, "default"),
        (&top, &["jobs"], "limit", &[], json!(5), "file"),
        (&top, &["dlq", "list"], "limit", &[], json!(5), "file"),
        (&table, &["dlq", "list"], "limit", &[], json!(6), "file"),
        (&table, &["dlq", "replay"], "limit", &[], Value::Null, "default"),
        (&top, &["verify"], "within", &[], json!("2s"), "file"),
        (&top, &["replay"], "sort", &[], json!(true), "file"),
        (&nothing, &["replay"], "sort", &[("OBSERVATORY_SORT", "1")], json!(true), "env"),
        (&top, &["replay"], "sort", &[("OBSERVATORY_SORT", "off")], json!(false), "env"),
        (&nothing, &["jobs", "--color", "never"], "color", &[], json!("never"), "flag"),
    ] {
        let shown = config.shows(args, option, env);
        assert_eq!(shown, (value, json!(origin)), "{args:?} {option} {env:?}");
    }
}

#[test]
fn a_secret_may_be_in_a_file_and_is_never_shown() {
    let config = Config::new("redis-url = 'redis://:s3cret@config'\n[jobs]\ntoken = 's3cret'");
    let path = file(config.folder.path(), "url", "redis://:s3cret@secret\n");
    for (env, value, origin) in [
        (&[][..], "redis://:***@config", "file"),
        (&[("REDIS_URL_FILE", arg(&path))], "redis://:***@secret", "env"),
        (&[("OBSERVATORY_REDIS_URL", "redis://:s3cret@other")], "redis://:***@other", "env"),
        (
            &[("REDIS_URL", "redis://:s3cret@own"), ("REDIS_URL_FILE", arg(&path))],
            "redis://:***@own",
            "env",
        ),
    ] {
        let shown = config.shows(&["doctor"], "redis-url", env);
        assert_eq!(shown, (json!(value), json!(origin)), "{env:?}");
    }
    for args in [
        &["config", "show", "--origin"][..],
        &["config", "show", "--origin", "jobs", "--token", "s3cret"],
        &["jobs", "--help"],
        &["doctor", "--help"],
    ] {
        let printed = config.run(args, &[]).printed();
        assert!(!printed.contains("s3cret"), "{args:?}: {printed}");
    }
}

#[test]
fn the_file_is_where_xdg_has_it_and_no_file_is_no_failure() {
    let config = tempfile::tempdir().unwrap();
    let show = |home: &str| {
        let mut command = observatory();
        command.args(["config", "show", "--origin", "tui"]).env_remove("OBSERVATORY_CONFIG");
        command.env("XDG_CONFIG_HOME", home);
        Run::of(command.output().unwrap()).printed()
    };
    assert!(show(arg(config.path())).starts_with("# config file: none\n"));
    std::fs::create_dir(config.path().join("observatory")).unwrap();
    let path = file(&config.path().join("observatory"), "config.toml", "\nascii = true\n");
    let shown = show(arg(config.path()));
    assert!(shown.contains(&format!("ascii = true  # file: {}:2\n", path.display())), "{shown}");
}

#[test]
fn up_runs_as_its_file_says() {
    let data = tempfile::tempdir().unwrap();
    let toml = format!("[up]\nlisten = '127.0.0.1:0'\ndata-dir = '{}'\n", arg(data.path()));
    let config = Config::new(&toml);
    let path = config.folder.path().join("config.toml");
    let service = Service::spawn(&["--config", arg(&path)], &[]);
    service.client.ready();
    assert!(data.path().join("observatory.sqlite").exists());
    service.stop();
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    for (toml, place, complaint) in [
        ("\nlisetn = '1'", ":2: ", "there is no option `lisetn`; did you mean `listen`?"),
        ("[up]\nby = 'x'", ":2: ", "there is no option `by` of `observatory up`"),
        ("[pipelin]", ":1: ", "there is no command `pipelin`; did you mean `pipeline`?"),
        ("[up]\ndemo = 3", ":2: ", "`demo` is to be true or false"),
        ("listen = ", ":1: ", ""),
    ] {
        let ended = Config::new(toml).run(&["up"], &[]);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
        let said = ended.stderr.lines().next().unwrap();
        assert!(
            said.starts_with("error: ") && said.contains(&format!("config.toml{place}{complaint}")),
            "{said}"
        );
    }
    // A value that its option does not take is told by the option, and where it was set.
    let ended = Config::new("\n\nlisten = 'nowhere'").run(&["up"], &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("invalid value 'nowhere' for '--listen"), "{ended:?}");
    assert!(
        ended.stderr.contains("set in: ") && ended.stderr.contains("config.toml:3"),
        "{ended:?}"
    );
    let missing = run(&["--config", "/nowhere/config.toml", "jobs"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.starts_with("error: /nowhere/config.toml can not be read"),
        "{missing:?}"
    );
}

#[test]
fn a_broken_file_stands_in_nobodys_way_who_needs_none() {
    let config = Config::new("what is this");
    for args in [
        &["--help"][..],
        &["up", "--help"],
        &["--version"],
        &["completions", "bash"],
        &["man"],
        &["config", "schema"],
    ] {
        assert_eq!(config.run(args, &[]).code, Some(0), "{args:?}");
    }
}

#[test]
fn what_is_shown_can_be_a_config_file_and_goes_with_the_schema() {
    let shown = run(&["config", "show"]).printed();
    let config = Config::new(&shown);
    assert_eq!(
        config.run(&["config", "show"], &[]).printed().lines().skip(1).collect::<Vec<_>>(),
        shown.lines().skip(1).collect::<Vec<_>>()
    );

    let schema: Value = serde_json::from_str(&run(&["config", "schema"]).printed()).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let valid = |toml: &str| {
        let value: toml::Table = toml::from_str(toml).unwrap();
        schema.is_valid(&serde_json::to_value(value).unwrap())
    };
    assert!(valid(&shown));
    for toml in [
        "",
        "workers = 2\napi = 'http://a'\ncolor = 'never'",
        "[up]\ndemo = true\ncors-origin = ['http://a']",
        "[dlq]\noutput = 'json'\n[dlq.list]\nlimit = 3",
        "[api]\nlisten = '127.0.0.1:1'",
    ] {
        assert!(valid(toml), "{toml}");
        let ended = Config::new(toml).run(&["config", "show"], &[]);
        assert_eq!(ended.code, Some(0), "{toml}: {ended:?}");
    }
    for toml in ["lisetn = 1", "[up]\nby = 'x'", "[nothing]", "[up]\ndemo = 'yes'", "color = 'red'"]
    {
        assert!(!valid(toml), "{toml}");
    }
}

#[test]
fn each_shell_is_given_a_script_and_each_command_a_page() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).printed();
        assert!(script.contains("observatory") && script.contains("doctor"), "{shell}");
    }
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));

    let folder = tempfile::tempdir().unwrap();
    run(&["man", "--dir", arg(folder.path())]).printed();
    for page in ["observatory.1", "observatory-jobs.1", "observatory-dlq-list.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH ") && text.contains("Examples:"), "{page}: {text}");
    }
    assert!(run(&["man"]).printed().contains(".TH observatory 1"));
}

#[test]
fn the_version_says_what_was_built_and_nothing_of_when() {
    assert_eq!(run(&["-V"]).printed(), format!("observatory {}\n", env!("CARGO_PKG_VERSION")));
    let long = run(&["--version"]).printed();
    let names: Vec<_> = long.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["commit", "target", "profile"], "{long}");
}

#[test]
fn a_help_that_nobody_reads_is_no_failure() {
    let mut unread = observatory().args(["jobs", "--help"]).spawn().unwrap();
    drop(unread.stdout.take());
    let ended = Run::of(unread.wait_with_output().unwrap());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}
