use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Incompatible, Step, Waiver, changes, check};

/// A pair of schemas, the step between them, and whether the versions they claim allow it.
#[derive(Deserialize)]
struct Pair {
    about: String,
    step: Step,
    accepted: bool,
    baseline: Value,
    current: Value,
}

fn pairs() -> Vec<(String, Pair)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat");
    let mut pairs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let pair =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, pair)
        })
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(pairs.len() > 40, "the fixtures are where this test looks");
    pairs
}

#[test]
fn each_pair_needs_the_step_it_names() {
    for (name, Pair { about, step, baseline, current, .. }) in pairs() {
        let changes = changes(&baseline, &current);
        let needed = changes.iter().map(|change| change.step).max().unwrap_or(Step::Same);
        assert_eq!(needed, step, "{name}: {about} {changes:?}");
    }
}

#[test]
fn each_pair_is_accepted_or_refused_as_it_says() {
    for (name, Pair { about, accepted, baseline, current, .. }) in pairs() {
        let result = check(&baseline, &current, &[]);
        assert_eq!(result.is_ok(), accepted, "{name}: {about} {result:?}");
    }
}

#[test]
fn a_refusal_names_the_places() {
    let baseline =
        json!({ "$version": "1.0.0", "properties": { "a": { "properties": { "b": {} } } } });
    let current =
        json!({ "$version": "1.0.0", "properties": { "a": { "properties": { "b": false } } } });
    let refusal = check(&baseline, &current, &[]).unwrap_err().to_string();
    assert!(refusal.contains("Major at /properties/a/properties/b/not"), "{refusal}");
}

#[test]
fn a_waiver_excuses_one_place_and_must_be_needed() {
    let text = json!({ "$version": "1.0.0", "properties": { "a": { "type": "string" } } });
    let tight =
        json!({ "$version": "1.1.0", "properties": { "a": { "type": "string", "minLength": 1 } } });
    let waiver = |pointer: &str| Waiver { pointer: pointer.to_owned(), reason: String::new() };

    assert!(check(&text, &tight, &[]).is_err());
    let excused = check(&text, &tight, &[waiver("/properties/a/minLength")]);
    assert_eq!(excused.unwrap(), Step::Minor);
    let idle = check(&text, &tight, &[waiver("/properties/a/maxLength")]);
    assert!(matches!(idle, Err(Incompatible::IdleWaiver { .. })));
}
