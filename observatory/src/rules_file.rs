//! Rules, as a file names them.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use contracts::Micros;
use pipeline::rules::{self, Rule};
use sinks::store::KeptRules;

/// A rules file that has been read and is good.
pub(crate) struct RulesFile {
    /// Where it came from, if that can change.
    pub(crate) path: Option<PathBuf>,
    pub(crate) yaml: String,
    pub(crate) rules: Vec<Rule>,
}

impl RulesFile {
    /// The same, as it is kept by a store.
    pub(crate) fn kept(&self, applied_at: Micros) -> KeptRules {
        let path = self.path.as_ref().map(|path| path.display().to_string());
        let (applied_by, yaml) = (path.unwrap_or_default(), self.yaml.clone());
        KeptRules { applied_at, applied_by, yaml }
    }
}

/// Reads a rules file; a fault is told with its place.
pub(crate) fn read(path: &Path) -> anyhow::Result<RulesFile> {
    let yaml = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the rules file {}", path.display()))?;
    let file = parse(yaml, &path.display().to_string())?;
    Ok(RulesFile { path: Some(path.to_owned()), ..file })
}

/// Reads rules out of YAML that came from `origin`.
pub(crate) fn parse(yaml: String, origin: &str) -> anyhow::Result<RulesFile> {
    let rules = rules::parse(&yaml).map_err(|error| anyhow!("{origin}: {error}"))?;
    Ok(RulesFile { path: None, yaml, rules })
}
