//! `--cloudevents`: the file that says what CloudEvents of other vocabularies are.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ingress::cloudevents::Mapping;

#[derive(clap::Args)]
pub(crate) struct CloudEvents {
    /// What CloudEvents of types other than `job.*` are, as YAML.
    #[arg(long, env = "OBSERVATORY_CLOUDEVENTS", value_name = "FILE")]
    cloudevents: Option<PathBuf>,
}

impl CloudEvents {
    /// The mapping of the file; without one, our own types alone.
    pub(crate) fn mapping(&self) -> anyhow::Result<Arc<Mapping>> {
        let Some(path) = &self.cloudevents else { return Ok(Arc::default()) };
        let named = || format!("--cloudevents {}", path.display());
        let yaml = std::fs::read_to_string(path).with_context(named)?;
        Ok(Arc::new(Mapping::parse(&yaml).with_context(named)?))
    }
}
