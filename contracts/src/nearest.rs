//! What somebody who misspelt a name may have meant.

/// The name that is nearest to `given`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    // The rest may not be typed yet.
    let begun = |name: &&&str| !given.is_empty() && name.to_ascii_lowercase().starts_with(&given);
    if let Some(name) = names.iter().find(begun) {
        return Some(*name);
    }
    let distances = names.iter().map(|name| (distance(&given, &name.to_ascii_lowercase()), *name));
    let (steps, name) = distances.min_by_key(|(steps, _)| *steps)?;
    (steps <= 1 + given.chars().count() / 3).then_some(name)
}

/// Letters to insert, to take out, or to replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const NAMES: [&str; 4] = ["state", "type", "queue", "worker"];

    #[test]
    fn a_slip_is_understood_and_anything_else_is_not() {
        for (given, meant) in [
            ("staet", Some("state")),
            ("tpye", Some("type")),
            ("w", Some("worker")),
            ("QUEUE", Some("queue")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &NAMES), meant, "{given}");
        }
    }
}
