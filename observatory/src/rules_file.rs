//! Rules, as a file names them.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use pipeline::rules::{self, Rule};

/// A rules file that has been read and is good.
pub(crate) struct RulesFile {
    /// Where it came from, if that can change.
    pub(crate) path: Option<PathBuf>,
    pub(crate) yaml: String,
    pub(crate) rules: Vec<Rule>,
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
