//! Rules as nobody would write them: good ones, of which anything is changed, are read or refused with
//! a place, and never bring anything down.

mod support;

use pipeline::rules::{self, Error, Expr};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

const EXPRESSIONS: [&str; 12] = [
    r#"failure_ratio{type=~"email.*"}[5m] by (type) > 0.05 and finished[5m] >= 20"#,
    r#"run_seconds{quantile="0.95"}[5m] by (type) > 1"#,
    r#"backlog by (queue) > 100 unless store_up{store="redis"} == 0"#,
    r#"oldest_age_seconds{state="PENDING"} > 600"#,
    r#"stuck{longer_than="15m"} by (type) > 0"#,
    r#"absent(finished{type="nightly"}[1h])"#,
    r#"dead_letters{reason!="schema"}[5m] > 0 or lag_seconds > 1.5e1"#,
    "throughput[1m] < 0.5 * throughput[1h]",
    "(created[15m] - finished[15m]) / created[15m] by (type) >= 0.2",
    r#"jobs{queue!~'a|b\'c', state="RETRYING"} by (state, queue) != 3"#,
    r#"wait_seconds{type="ä\u00e4\"", quantile="0.5"}[1h] > 0.001"#,
    "((((((1 + 2)))))) * jobs > 5",
];

const FILE: &str = r#"groups:
  - name: jobs
    rules:
      - alert: JobFailureRateHigh
        expr: failure_ratio[5m] by (type) > 0.05 and finished[5m] by (type) >= 20
        for: 2m
        keep_firing_for: 1h30m
        labels: { severity: warning }
        annotations:
          summary: "{{ $labels.type }}: {{ $value | humanizePercentage }} of {{ printf \"%.2f\" $value }}"
          description: '{{ $labels.queue | toUpper }} {{ humanizeDuration $value }}'
"#;

/// One change at a place, which is a share of the text.
#[derive(Clone, Debug)]
enum Edit {
    Insert(&'static str),
    /// So many characters.
    Delete(usize),
    /// What comes next once more.
    Repeat(usize),
    /// A character in the place of another.
    Swap(char),
}

fn edits() -> impl Strategy<Value = Vec<(u16, Edit)>> {
    let words = vec![
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\\",
        "=~",
        "!",
        " by ",
        "and",
        "5m",
        "99999999999",
        "1e999",
        "-",
        "0",
        ",",
        "\n",
        "\t",
        "ä",
        "\u{0}",
        "\u{202e}",
        "{{",
        "}}",
        "|",
        "$value",
        ":",
        "#",
    ];
    let edit = prop_oneof![
        select(words).prop_map(Edit::Insert),
        (1_usize..9).prop_map(Edit::Delete),
        (1_usize..200).prop_map(Edit::Repeat),
        any::<char>().prop_map(Edit::Swap),
    ];
    vec((any::<u16>(), edit), 1..8)
}

fn edited(text: &str, edits: &[(u16, Edit)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (place, edit) in edits {
        let at = usize::from(*place) * text.len() / (usize::from(u16::MAX) + 1);
        let end = |n: usize| (at + n).min(text.len());
        match edit {
            Edit::Insert(word) => drop(text.splice(at..at, word.chars())),
            Edit::Delete(n) => drop(text.drain(at..end(*n))),
            Edit::Repeat(n) => {
                let again = text[at..end(*n)].to_vec();
                text.splice(at..at, again);
            }
            Edit::Swap(c) => {
                if let Some(there) = text.get_mut(at) {
                    *there = *c;
                }
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn what_is_changed_here_was_good() {
    for source in EXPRESSIONS {
        assert!(Expr::parse(source).is_ok(), "{source}: {:?}", Expr::parse(source));
    }
    assert_eq!(rules::parse(FILE).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(support::cases(200_000))]

    #[test]
    fn an_expression_that_is_changed_is_read_or_refused_with_a_place(
        source in select(&EXPRESSIONS[..]), edits in edits()
    ) {
        let source = edited(source, &edits);
        if let Err(error) = Expr::parse(&source) {
            assert!(error.column >= 1 && error.column <= source.chars().count() + 1, "{source:?}");
            assert!(!error.problem.is_empty() && !error.to_string().is_empty(), "{source:?}");
        }
    }
}

proptest! {
    #![proptest_config(support::cases(20_000))]

    #[test]
    fn a_file_that_is_changed_is_read_or_refused_with_a_place(edits in edits()) {
        let file = edited(FILE, &edits);
        match rules::parse(&file) {
            Ok(rules) => assert!(rules.iter().all(|rule| !rule.alert.is_empty()), "{file}"),
            Err(Error::Shape(text)) => assert!(!text.is_empty(), "{file}"),
            Err(Error::Value { place, .. } | Error::Expr { place, .. }) => {
                assert!(place.starts_with("groups["), "{place}: {file}");
            }
        }
    }
}
