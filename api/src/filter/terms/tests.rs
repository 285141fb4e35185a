use super::*;

fn is(facet: Facet, values: &[&str]) -> Term {
    Term::Facet(facet, values.iter().map(|value| Pattern::Is((*value).to_owned())).collect())
}

fn fault(q: &str) -> (usize, String) {
    let Fault { at, detail } = parse(q).unwrap_err();
    (at, detail)
}

#[test]
fn the_terms_of_the_contract_are_read() {
    assert_eq!(
        parse(r#"state:failed type:email.* queue:x worker:y age:>5m "timed out""#).unwrap(),
        [
            is(Facet::State, &["FAILED"]),
            Term::Facet(Facet::Type, vec![Pattern::Begins("email.".to_owned())]),
            is(Facet::Queue, &["x"]),
            is(Facet::Worker, &["y"]),
            Term::Age { at: 47, older: true, micros: 300_000_000 },
            Term::Text { at: 51, text: "timed out".to_owned() },
        ]
    );
}

#[test]
fn nothing_asks_for_nothing() {
    assert_eq!(parse("").unwrap(), []);
    assert_eq!(parse("  \u{a0} ").unwrap(), []);
}

#[test]
fn values_with_commas_between_them_are_alternatives() {
    assert_eq!(
        parse("state:failed,Retrying").unwrap(),
        [is(Facet::State, &["FAILED", "RETRYING"])]
    );
    assert_eq!(parse(r#"type:"a,b",c"#).unwrap(), [is(Facet::Type, &["a,b", "c"])]);
}

#[test]
fn in_quotes_everything_is_itself() {
    assert_eq!(parse(r#"type:"a b*""#).unwrap(), [is(Facet::Type, &["a b*"])]);
    assert_eq!(parse(r#"queue:"""#).unwrap(), [is(Facet::Queue, &[""])]);
    let text = |text: &str| vec![Term::Text { at: 0, text: text.to_owned() }];
    assert_eq!(parse(r#""say \"a:b\" \\""#).unwrap(), text(r#"say "a:b" \"#));
    assert_eq!(parse("boom!").unwrap(), text("boom!"));
    assert_eq!(parse("*:*").unwrap(), text("*:*"));
}

#[test]
fn a_fault_is_told_with_its_place_and_what_may_be_meant() {
    for (q, at, told) in [
        ("staet:failed", 0, "did you mean `state:`"),
        ("type:a colour:red", 7, "there are `state`, `type`, `queue`, `worker`, `age`"),
        ("state:faild", 6, "did you mean `FAILED`?"),
        ("state:nice", 6, "`PENDING`"),
        ("state:failed,", 13, "a value is missing"),
        ("queue:", 6, "a value is missing after `queue:`"),
        ("age:5m", 4, "say older or younger"),
        ("age:>5 m", 5, "write 30s, 5m"),
        ("age:>99999999999999999999s", 5, "write 30s, 5m"),
        ("worker:a \"open", 9, "this quote has no end"),
        (r#""a"b"#, 3, "there must be a space"),
        (r#""""#, 0, "no text between"),
        // Counted in characters, not bytes.
        ("äöü type:\u{7}", 9, "control character"),
        ("äöü stat:x", 4, "did you mean `state:`"),
    ] {
        let (place, detail) = fault(q);
        assert_eq!(place, at, "{q}: {detail}");
        assert!(detail.contains(told), "{q}: {detail}");
    }
}

#[test]
fn what_is_asked_at_once_is_bounded() {
    assert!(fault(&"a".repeat(MAX_BYTES + 1)).1.contains("longer than"));
    assert!(fault(&"a ".repeat(MAX_VALUES + 1)).1.contains("more than"));
    assert!(parse(&"a ".repeat(MAX_VALUES)).is_ok());
}

#[test]
fn whatever_is_typed_is_answered() {
    let mut random = 7_u32;
    for _ in 0..20_000 {
        let q: String = (0..12)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ['s', 't', ':', '"', '\\', ' ', ',', '*', '>', '5', 'm', 'ü']
                    [(random >> 16) as usize % 12]
            })
            .collect();
        if let Err(fault) = parse(&q) {
            assert!(fault.at <= q.chars().count(), "{q}");
        }
    }
}
