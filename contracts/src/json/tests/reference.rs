//! Agreement with serde_json on generated, mutated and senseless texts.

use std::fmt;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Slot, probe, strict};
use crate::json::unescape;

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
