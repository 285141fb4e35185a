//! The corpus of the fuzz target, replayed without a fuzzer.

#[path = "../fuzz/invariants.rs"]
mod invariants;

use std::path::Path;

#[test]
fn the_invariants_hold_for_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode");
    let mut n = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        invariants::hold(&std::fs::read(entry.unwrap().path()).unwrap());
        n += 1;
    }
    assert!(n >= 20, "the corpus is where this test looks");
}

#[test]
fn the_invariants_hold_for_the_fixtures() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                invariants::hold(&std::fs::read(path).unwrap());
            }
        }
    }
}
