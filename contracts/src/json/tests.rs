use std::fmt;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Fault, Keep, Shape, Span, TooDeep, scan, unescape};

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
        r#"{"a":1,"a":1}"#,
    ] {
        assert!(strict(text).is_err(), "{text}");
        assert!(probe::<false>(text).is_ok(), "{text}");
    }
    assert!(strict(&"9".repeat(400)).is_err());
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

/// JSON as serde_json reads it, and whether an object in it has a key twice.
struct Reference {
    repeats: bool,
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Reference, E> {
                Ok(Reference { repeats: false })
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Reference, E> {
                self.visit_unit()
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Reference, E> {
                self.visit_unit()
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Reference, E> {
                self.visit_unit()
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Reference, E> {
                self.visit_unit()
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Reference, E> {
                self.visit_unit()
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Reference, A::Error> {
                let mut repeats = false;
                while let Some(element) = seq.next_element::<Reference>()? {
                    repeats |= element.repeats;
                }
                Ok(Reference { repeats })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reference, A::Error> {
                let (mut repeats, mut keys) = (false, std::collections::HashSet::new());
                while let Some((key, value)) = map.next_entry::<String, Reference>()? {
                    repeats |= value.repeats | !keys.insert(key);
                }
                Ok(Reference { repeats })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c]".boxed(),
        1 => r#"\\["\\/bfnrt]"#.boxed(),
        1 => r"\\u[0-9a-fA-F]{4}".boxed(),
        1 => Just(r"\u0061".to_owned()).boxed(),
        1 => Just(r"\ud83d\ude00".to_owned()).boxed(),
        1 => "[^\"\\\\\\x00-\\x1f]".boxed(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// JSON of up to eight levels, with white space anywhere, keys that often collide, and numbers and
/// escapes that a strict scan refuses.
fn json() -> impl Strategy<Value = String> {
    let space = || "[ \t\r\n]{0,2}";
    let leaf = prop_oneof![
        "null|true|false",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        string(),
    ];
    leaf.prop_recursive(8, 64, 20, move |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, value, b)| a + &value + &b);
        let member = (space(), string(), space(), inner)
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(element, 0..6).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..20).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

/// The same text with one place changed.
fn mutated() -> impl Strategy<Value = String> {
    let junk =
        prop_oneof!["[\\[\\]{}:,\"\\\\0-9eE.+ -]{1,2}", any::<char>().prop_map(String::from)];
    (json(), any::<prop::sample::Index>(), 0..4_usize, junk).prop_map(|(text, at, cut, junk)| {
        let mut chars: Vec<char> = text.chars().collect();
        let from = at.index(chars.len() + 1);
        let to = (from + cut).min(chars.len());
        chars.splice(from..to, junk.chars());
        chars.into_iter().collect()
    })
}

fn agrees_with_serde_json(text: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    let reference = serde_json::from_str::<Reference>(text);
    prop_assert_eq!(strict(text).is_ok(), reference.is_ok_and(|json| !json.repeats), "{:?}", text);
    let ignored = serde_json::from_str::<IgnoredAny>(text);
    prop_assert_eq!(probe::<false>(text).is_ok(), ignored.is_ok(), "{:?}", text);
    Ok(())
}

proptest! {
    #[test]
    fn json_is_accepted_as_serde_json_accepts_it(text in json()) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn mutated_json_is_refused_as_serde_json_refuses_it(text in mutated()) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn a_soup_of_tokens_is_judged_as_serde_json_judges_it(
        text in "(\\[|\\]|\\{|\\}|,|:|\"a\"|\"b\"|1|-|\\.|e9| |null){0,12}",
    ) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn a_string_is_unescaped_as_serde_json_unescapes_it(text in string()) {
        if let Ok(plain) = serde_json::from_str::<String>(&text) {
            prop_assert_eq!(unescape(&text[1..text.len() - 1]), plain);
        }
    }

    #[test]
    fn the_elements_of_an_array_are_its_own_text(elements in prop::collection::vec(json(), 0..5)) {
        let text = format!("[{}]", elements.join(" , "));
        let found = probe::<false>(&text).unwrap();
        let spans: Vec<&str> = found
            .iter()
            .filter(|(slot, _)| *slot == Slot::Element)
            .map(|(_, span)| span.with_quotes().of(&text))
            .collect();
        prop_assert_eq!(spans, elements.iter().map(|text| text.trim()).collect::<Vec<_>>());
    }
}
