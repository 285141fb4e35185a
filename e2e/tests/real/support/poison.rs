//! Bodies that are no events, with the reason of each.

use std::path::Path;

use contracts::Reason;

/// The negative fixtures, but for those that are batches: their elements are judged one by one.
pub(crate) fn fixtures() -> Vec<(Reason, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/fixtures/negative");
    let mut poison = Vec::new();
    for reason in std::fs::read_dir(folder).unwrap() {
        let reason = reason.unwrap();
        let name: Reason = reason.file_name().to_str().unwrap().parse().unwrap();
        for file in std::fs::read_dir(reason.path()).unwrap() {
            let body = std::fs::read(file.unwrap().path()).unwrap();
            if !body.trim_ascii_start().starts_with(b"[") {
                poison.push((name, body));
            }
        }
    }
    assert!(poison.len() > 100, "the fixtures are where this test looks");
    poison
}
