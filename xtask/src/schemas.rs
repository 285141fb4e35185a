//! `cargo xtask schemas`: writes the generated schemas, and the document of the API, to where they are
//! checked in.

use std::path::Path;

use anyhow::Context;

use crate::ROOT;

/// Writes every schema of `contracts`; a file that is already right is left alone.
pub(crate) fn write() -> anyhow::Result<()> {
    let contracts = Path::new(ROOT).join("contracts");
    let schemas = contracts::schema::all().into_iter();
    let schemas = schemas.map(|(name, schema)| (format!("schemas/{name}.json"), schema));
    let api = ("openapi.json".to_owned(), contracts::openapi::document());
    for (name, schema) in schemas.chain([api]) {
        let path = contracts.join(name);
        let text = contracts::schema::text(&schema);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
