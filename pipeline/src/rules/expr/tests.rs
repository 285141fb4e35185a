use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;

fn problem(source: &str) -> String {
    let Error { column, problem, .. } = Expr::parse(source).unwrap_err();
    format!("{column}: {problem}")
}

fn number(value: f64) -> Expr {
    Expr::Number(Number(value.to_bits()))
}

fn reading(source: &str) -> Expr {
    match Expr::parse(&format!("{source} > 0")).unwrap() {
        Expr::Both(_, sides) => sides[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn both(op: Op, left: Expr, right: Expr) -> Expr {
    Expr::Both(op, Box::new([left, right]))
}

#[test]
fn a_reading_with_everything_is_read() {
    let source =
        r#" run_seconds{ quantile = "0.95", type='a b', type!~"x|y" }[5m] by(type,)>=1.5 "#;
    let expr = Expr::parse(&source.replace(",)", ")"));
    let pattern = To::Pattern(Pattern::new("x|y").unwrap());
    let text = To::Text("a b".to_owned());
    let reading = Reading {
        measure: Measure::Quantile(Latency::Run, 2, Window::M5),
        matchers: vec![
            Matcher { label: Label::Type, negated: false, to: text },
            Matcher { label: Label::Type, negated: true, to: pattern },
        ],
        by: vec![Label::Type],
    };
    let op = Op::Comparison(Comparison::GreaterOrEqual);
    assert_eq!(expr, Ok(both(op, Expr::Reading(reading), number(1.5))));
}

#[test]
fn operators_bind_as_in_prometheus() {
    let (a, b) = (reading("jobs"), reading("backlog"));
    let (plus, times) = (Op::Arithmetic(Arithmetic::Add), Op::Arithmetic(Arithmetic::Multiply));
    let more = Op::Comparison(Comparison::Greater);
    let sum = both(plus, a.clone(), both(times, number(2.0), b.clone()));
    assert_eq!(Expr::parse("jobs + 2 * backlog > 5"), Ok(both(more, sum, number(5.0))));
    let sum = both(times, both(plus, a.clone(), number(-2.0)), b.clone());
    assert_eq!(Expr::parse("(jobs + -2)*backlog>5"), Ok(both(more, sum, number(5.0))));
    let minus = both(Op::Arithmetic(Arithmetic::Subtract), a.clone(), number(1e-3));
    assert_eq!(Expr::parse("jobs -1e-3 > 5"), Ok(both(more, minus, number(5.0))));

    let at = |n| both(more, a.clone(), number(n));
    let (and, or) = (Op::Set(Set::And), Op::Set(Set::Or));
    let expected = both(or, at(1.0), both(and, at(2.0), at(3.0)));
    assert_eq!(Expr::parse("jobs > 1 or jobs > 2 and jobs > 3"), Ok(expected));
    let expected = both(Op::Set(Set::Unless), both(and, at(1.0), at(2.0)), at(3.0));
    assert_eq!(Expr::parse("jobs > 1 and jobs > 2 unless jobs > 3"), Ok(expected));
}

#[test]
fn every_measure_is_read() {
    for source in [
        "created[1m] > 0",
        "finished{type=\"a\"}[15m] < 1",
        "failed[1h] by (type) != 3",
        "throughput[1m] by (type) <= 1e-3",
        "failure_ratio[5m] == 1",
        "wait_seconds{quantile=\"1\"}[1m] > 2",
        "total_seconds{quantile=\"0.999\"}[1m] > 2",
        "jobs{state=\"RETRYING\"} by (queue, type) > 5",
        "backlog by (queue) > 100",
        "oldest_age_seconds{state=\"PENDING\"} > 600",
        "stuck{longer_than=\"15m\"} by (type) > 0",
        "absent(finished{type=\"nightly\"}[1h])",
        "failure_ratio{type=~\"email.*\"}[5m] by (type) > 0.05 and finished[5m] >= 20",
        "throughput[1m] < 0.5 * throughput[1h]",
        "dead_letters[5m] > 0",
        "dead_letters{reason!=\"too_large\"}[5m] by (reason) > 0",
        "lag_seconds > 30",
        "store_up by (store) == 0",
        "0.05 < failure_ratio[5m]",
        "(failed[5m] / finished[5m] > 0.5) unless (finished[5m] < 3)",
        "jobs by (type, queue) > 2 * jobs by (type)",
    ] {
        assert!(Expr::parse(source).is_ok(), "{source}: {:?}", Expr::parse(source));
    }
}

#[test]
fn a_fault_is_told_with_its_column() {
    let told = [
        ("", "1: expected a measure or a number"),
        ("backlogs > 1", "1: `backlogs` is not a measure; did you mean backlog?"),
        (
            "fialure_ratio[5m] > 1",
            "1: `fialure_ratio` is not a measure; did you mean failure_ratio?",
        ),
        ("temperature > 1", "1: `temperature` is not a measure; there are backlog, created, "),
        ("backlog[5m] > 1", "8: `backlog` is about now; it has no window"),
        ("finished > 1", "10: say over which window: finished[5m]"),
        ("finished[2m] > 1", "10: `2m` is not a window; there are 1m, 5m, 15m, 1h"),
        ("finished[all] > 1", "10: `all` is not a window"),
        ("finished{queue=\"q\"}[5m] > 1", "10: `queue` is not a label of finished; it has type"),
        ("lag_seconds{type=\"a\"} > 1", "13: `type` is not a label of lag_seconds; it has none"),
        ("backlog{type=~\"a(\"} > 1", "15: this is not a pattern: unclosed group"),
        ("backlog{type=~\"(a{1000}){1000}\"} > 1", "15: this pattern is too large"),
        ("backlog{type~\"a\"} > 1", "13: expected one of = != =~ !~"),
        ("backlog{type=\"a\", type=\"b\"} > 1", "19: `type` is there twice"),
        ("backlog{type=\"a} > 1", "14: this quote is not closed"),
        ("backlog{state=\"FAILED\"} > 1", "9: `FAILED` is not the state of an unfinished job"),
        (
            "backlog by (worker) > 1",
            "13: `worker` is not a label of backlog; it has state, type, queue",
        ),
        ("backlog 1", "9: the expression goes on after its end"),
        ("backlog", "8: expected a comparison: > >= < <= == !="),
        ("backlog and jobs > 1", "9: expected a comparison: > >= < <= == !="),
        ("jobs > 1 and backlog", "21: expected a comparison: > >= < <= == !="),
        ("backlog + 1", "12: expected a comparison: > >= < <= == !="),
        ("5", "2: nothing is measured; begin with a measure, such as backlog"),
        ("5 > 1", "3: there are numbers on both sides; nothing is measured"),
        ("backlog > many", "11: `many` is not a measure; there are "),
        ("backlog > 1x", "11: expected a number, such as 0.05"),
        ("backlog > 1e999", "11: expected a number, such as 0.05"),
        ("backlog > ", "11: expected a measure or a number"),
        ("backlog > (1", "13: expected `)`"),
        ("stuck > 1", "7: say how long, as in stuck{longer_than=\"15m\"}"),
        ("stuck{longer_than=~\"15m\"} > 1", "7: say how long, as in stuck{longer_than=\"15m\"}"),
        ("run_seconds{quantile=\"0.75\"}[5m] > 1", "13: `0.75` is not a quantile that is kept"),
        (
            "run_seconds{quantile=\"0.5\", type=~\"a.*\"}[5m] > 1",
            "29: the quantiles of several types do not add up to one; add by (type)",
        ),
        ("absent(backlog", "15: expected `)`"),
        (
            "jobs by (type) > jobs by (queue)",
            "16: the left side is told apart by type, the right side by queue: they do not go together",
        ),
        (
            "jobs by (type) > 1 or jobs > 1",
            "20: the left side is told apart by type, the right side by nothing: they do not",
        ),
    ];
    for (source, expected) in told {
        assert!(problem(source).starts_with(expected), "{source}: {}", problem(source));
    }
}

#[test]
fn the_mark_stands_below_the_fault() {
    let told = Expr::parse("jobs > 1\n  and backlögs > 1").unwrap_err().to_string();
    let expected = "column 16: `backl` is not a measure; did you mean backlog?\n    \
                    and backlögs > 1\n        ^";
    assert_eq!(told, expected);
}

#[test]
fn no_expression_is_too_deep_or_too_long() {
    let deep = format!("{}jobs{} > 1", "(".repeat(100_000), ")".repeat(100_000));
    assert!(problem(&deep).starts_with("33: more than 32 parentheses"), "{}", problem(&deep));
    let long = format!("{} > 1", vec!["jobs"; 1_000].join(" + "));
    assert!(problem(&long).contains("more than 64 measures and numbers"), "{}", problem(&long));
}

#[test]
fn a_pattern_matches_the_whole_of_a_label() {
    let admits = |matcher: &str, text: &str| match reading(&format!("backlog{{type{matcher}}}")) {
        Expr::Reading(reading) => reading.admits(|_| text),
        other => panic!("{other:?}"),
    };
    assert!(admits("=~\"email.*\"", "email.send") && !admits("=~\"email\"", "email.send"));
    assert!(admits("=~\"a|b\"", "b") && !admits("=~\"a|b\"", "ab"));
    assert!(!admits("!~\"a|b\"", "b") && admits("!~\"a|b\"", "ab"));
    assert!(admits("=~\"a\\\\.b\"", "a.b") && !admits("=~\"a\\.b\"", "axb"));
    assert!(admits("!=\"a\"", "") && !admits("!=\"a\"", "a"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused_with_a_place(source in any::<String>()) {
        if let Err(error) = Expr::parse(&source) {
            assert!(error.column <= source.chars().count() + 1);
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn so_is_what_looks_like_an_expression(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "jobs", "failed", "finished", "run_seconds", "[5m]", "[1h]", "by", "(", ")",
                "type", "queue", "{", "}", "=", "=~", "\"a.*\"", "\"0.95\"", "quantile", ",", ">",
                "<=", "and", "or", "unless", "absent", "+", "*", "-", "1", "0.5", "ä",
            ]),
            0..24,
        ),
    ) {
        let source = words.join(" ");
        match Expr::parse(&source) {
            Ok(expr) => prop_assert_eq!(Expr::parse(&source), Ok(expr)),
            Err(error) => assert!(error.column <= source.chars().count() + 1, "{source}"),
        }
    }
}
