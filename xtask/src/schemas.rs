//! `cargo xtask schemas`: writes the generated schemas to where they are checked in.

use std::path::Path;

use anyhow::Context;

/// Writes every schema of `contracts`; a file that is already right is left alone.
pub(crate) fn write() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/schemas");
    for (name, schema) in contracts::schema::all() {
        let path = folder.join(format!("{name}.json"));
        let text = contracts::schema::text(&schema);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
