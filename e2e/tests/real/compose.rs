//! The process file of the local stack, as process-compose reads it. Keys are those of process-compose;
//! one that is not here is to be understood first.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessFile {
    version: String,
    is_strict: bool,
    #[serde(rename = "log_level")]
    _log_level: String,
    #[serde(rename = "log_configuration")]
    _log_configuration: LogConfiguration,
    pub(crate) processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    #[serde(rename = "description")]
    _description: String,
    pub(crate) command: String,
    pub(crate) working_dir: PathBuf,
    pub(crate) log_location: PathBuf,
    #[serde(rename = "log_configuration")]
    _log_configuration: LogConfiguration,
    #[serde(default)]
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) availability: Availability,
    pub(crate) shutdown: Option<Shutdown>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogConfiguration {
    #[serde(rename = "disable_json")]
    _disable_json: bool,
    #[serde(rename = "fields_order")]
    _fields_order: Vec<String>,
    #[serde(rename = "no_metadata")]
    _no_metadata: bool,
    #[serde(rename = "no_color")]
    _no_color: bool,
    #[serde(rename = "flush_each_line")]
    _flush_each_line: bool,
    #[serde(rename = "rotation")]
    _rotation: Rotation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(rename = "max_size_mb")]
    _max_size_mb: u64,
    #[serde(rename = "max_backups")]
    _max_backups: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) condition: Condition,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    ProcessHealthy,
    ProcessCompletedSuccessfully,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) exec: Option<Exec>,
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) period_seconds: u64,
    #[serde(rename = "timeout_seconds")]
    _timeout_seconds: u64,
    pub(crate) failure_threshold: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exec {
    pub(crate) command: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpGet {
    pub(crate) host: String,
    /// A text, also to process-compose.
    pub(crate) port: String,
    pub(crate) path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Availability {
    pub(crate) restart: String,
    pub(crate) backoff_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    pub(crate) signal: i32,
    pub(crate) timeout_seconds: u64,
    #[serde(default)]
    pub(crate) parent_only: bool,
}

impl ProcessFile {
    /// With the environment that process-compose has.
    pub(crate) fn read(path: &Path, environment: &HashMap<String, String>) -> ProcessFile {
        let text = std::fs::read_to_string(path).unwrap();
        let file: ProcessFile = serde_yaml_ng::from_str(&substituted(&text, environment)).unwrap();
        assert!(file.is_strict && file.version == "0.5");
        file
    }
}

/// As process-compose puts its environment into its file; none of the variables may be missing.
fn substituted(text: &str, environment: &HashMap<String, String>) -> String {
    let mut parts = text.split("${");
    let mut done = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        let value = environment.get(name).unwrap_or_else(|| panic!("nobody has set {name}"));
        done.push_str(value);
        done.push_str(rest);
    }
    done
}
