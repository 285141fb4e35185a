mod reference;

use super::{Fault, Keep, Shape, Span, TooDeep, scan};

/// Keeps the root's member `a` and the elements of the root.
struct Probe<const STRICT: bool> {
    found: Vec<(Slot, Span)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Root,
    A,
    Element,
}

impl<const STRICT: bool> Keep for Probe<STRICT> {
    type Slot = Slot;
    const STRICT: bool = STRICT;

    fn root(&self) -> Option<Slot> {
        Some(Slot::Root)
    }

    fn member(&self, parent: Slot, key: &[u8]) -> Option<Slot> {
        (parent == Slot::Root && key == b"a").then_some(Slot::A)
    }

    fn element(&self, parent: Slot) -> Option<Slot> {
        (parent == Slot::Root).then_some(Slot::Element)
    }

    fn value(&mut self, slot: Slot, span: Span) {
        self.found.push((slot, span));
    }
}

fn probe<const STRICT: bool>(text: &str) -> Result<Vec<(Slot, Span)>, Fault> {
    let mut probe = Probe::<STRICT> { found: Vec::new() };
    scan(text, &mut probe).map(|_| probe.found)
}

fn strict(text: &str) -> Result<(), Fault> {
    probe::<true>(text).map(|_| ())
}

fn what(text: &str) -> (String, usize, &'static str) {
    let fault = strict(text).unwrap_err();
    (fault.pointer, fault.at, fault.what)
}

fn too_deep(text: &str) -> Option<TooDeep> {
    scan(text, &mut Probe::<true> { found: Vec::new() }).unwrap()
}

#[test]
fn every_production_of_the_grammar_is_accepted() {
    for text in [
        "null",
        " true ",
        "\t\r\n false",
        "\"\"",
        r#""\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é😀""#,
        "0",
        "-0",
        "-0.0e-0",
        "1234567890.5E+10",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        r#"[1,"two",[3],{"four":4}]"#,
        r#"{"a":{"a":{"a":[{},{}]}},"":0}"#,
        "\"\u{7f}\u{2028}\"",
    ] {
        assert_eq!(strict(text), Ok(()), "{text}");
    }
}

#[test]
fn what_the_grammar_does_not_know_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "'a'",
        "\"",
        "\"\\",
        "\"\\\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\n\"",
        "\"\0\"",
        "\"\u{1f}\"",
        "01",
        "-",
        "+1",
        ".5",
        "5.",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "--1",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\"=1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "{,}",
        "1 2",
        "{} {}",
        "[] ,",
        "\u{feff}{}",
        "\u{a0}1",
        "// comment\n1",
    ] {
        assert!(strict(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_key_may_not_occur_twice_in_one_object_however_it_is_spelled() {
    assert_eq!(
        what(r#"{"a":1,"b":2,"a":3}"#),
        ("/a".into(), 16, "a key occurs twice in one object")
    );
    assert_eq!(what(r#"[{"x":{"a":1,"\u0061":2}}]"#).0, "/0/x/a");
    assert_eq!(what(r#"{"\ud83d\ude00":1,"😀":2}"#).0, "/😀");
    assert_eq!(what(r#"{"a/b~":1,"a\/b~":2}"#).0, "/a~1b~0");
    assert_eq!(strict(r#"{"a":{"a":[{"a":1},{"a":1}]},"A":1,"a ":1,"":1}"#), Ok(()));
    assert_eq!(strict(r#"{"é":1,"e\u0301":2}"#), Ok(()), "compared by characters, not by looks");
}

#[test]
fn a_large_object_is_searched_for_duplicates_too() {
    let object = |n: usize, extra: &str| {
        let members: String = (0..n).map(|k| format!("\"key{k}\":{k},")).collect();
        format!("{{\"in\":{{{members}{extra}:0}}}}")
    };
    for n in [14, 15, 16, 17, 18, 1_000] {
        assert_eq!(strict(&object(n, "\"other\"")), Ok(()), "{n}");
        assert_eq!(what(&object(n, "\"key0\"")).0, "/in/key0", "{n}");
        let last = n - 1;
        assert_eq!(what(&object(n, &format!("\"\\u006bey{last}\""))).0, format!("/in/key{last}"));
    }
}

#[test]
fn keys_with_one_signature_are_still_told_apart() {
    assert_eq!(strict(r#"{"a1b":1,"a2b":2,"a3b":3,"a4b":4}"#), Ok(()));
    assert_eq!(what(r#"{"a1b":1,"a2b":2,"a3b":3,"a2b":4}"#).0, "/a2b");
}

#[test]
fn what_our_stores_could_not_hold_is_refused_only_by_a_strict_scan() {
    for text in [
        "1e400",
        "-1e400",
        "123456789e999999999",
        r#""\ud800""#,
        r#""\ud800A""#,
        r#""\ud800\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"\udfff":1}"#,
        r#""\udbff\ue000""#,
        r#"{"a":1,"a":1}"#,
    ] {
        assert!(strict(text).is_err(), "{text}");
        assert!(probe::<false>(text).is_ok(), "{text}");
    }
    assert_eq!(strict(r#"["\ud800\udc00\udbff\udfff"]"#), Ok(()), "the ends of the pairs");
    assert!(strict(&"9".repeat(310)).is_err());
    assert_eq!(strict(&format!("1{}", "0".repeat(308))), Ok(()));
    assert_eq!(strict("1e-400"), Ok(()), "too small is zero");
    assert_eq!(strict("1.7976931348623157e308"), Ok(()));
    assert_eq!(strict(&format!("0.{}", "9".repeat(400))), Ok(()));
}

#[test]
fn depth_is_reported_only_for_a_text_that_is_in_order() {
    let nested = |n: usize| format!("{}1{}", r#"{"a":["#.repeat(n), "]}".repeat(n));
    assert_eq!(too_deep(&nested(32)), None);
    let place = TooDeep { pointer: "/a/0".repeat(32) };
    assert_eq!(too_deep(&nested(33)), Some(place), "the first container beyond 64");
    assert_eq!(too_deep(&nested(20_000)).unwrap().pointer.len(), 32 * 4);
    assert!(strict(&"[".repeat(100_000)).is_err());
}

#[test]
fn a_pointer_too_long_is_cut_to_an_ancestor() {
    let key = "k".repeat(200);
    let text = format!("{{\"{key}\":{{\"{key}\":x}}}}");
    assert_eq!(what(&text).0, format!("/{key}"));
}

#[test]
fn a_fault_says_where_and_what() {
    assert_eq!(what(r#"{"a":[1,2,}"#), ("/a/2".into(), 10, "expected a value"));
    assert_eq!(what(r#"{"a":[1,2"#), ("/a/1".into(), 9, "the text ends inside an object or array"));
    assert_eq!(what(r#"{"a":1 "b":2}"#), ("/a".into(), 7, "expected `,` or `}`"));
    assert_eq!(what("[1]x"), (String::new(), 3, "more text after the value"));
}

#[test]
fn the_wanted_values_are_handed_out_with_their_spans() {
    let text = r#" {"b":{"a":0}, "\u0061" : "x\n" } "#;
    let found = probe::<true>(text).unwrap();
    let (slot, span) = found[0];
    assert_eq!((slot, span.shape, span.of(text)), (Slot::A, Shape::Escaped, r"x\n"));
    assert_eq!(span.with_quotes().of(text), r#""x\n""#);
    assert_eq!((found[1].0, found[1].1.of(text)), (Slot::Root, text.trim()));
    assert_eq!(found.len(), 2);
}
