use proptest::prelude::*;

use super::{Digits, Document, Json, MAX_DEPTH, NotJson, members, quote_or_backslash};

/// The one text of a document.
fn text(document: &str) -> (String, bool) {
    let Ok(Json::Text(text)) = Json::parse(document.as_bytes()) else { panic!("{document} is a text") };
    (text.lossy().into_owned(), text.exact().is_some())
}

#[test]
fn escapes_say_what_they_say_and_half_a_pair_becomes_one_replacement_character() {
    assert_eq!(text(r#""a\"\\\/\b\f\n\r\té\u00e9""#), ("a\"\\/\u{8}\u{c}\n\r\téé".into(), true));
    assert_eq!(text(r#""\ud83c\udf81!""#), ("\u{1f381}!".into(), true));
    assert_eq!(text(r#""cut \ud83c""#), ("cut \u{fffd}".into(), false));
    assert_eq!(text(r#""\udf81\ud83c\ud83c\udf81""#), ("\u{fffd}\u{fffd}\u{1f381}".into(), false));
    assert_eq!(text(r#""\x \u12g4""#), ("\u{fffd} \u{fffd}12g4".into(), false));
    let latin = Json::parse(b"\"caf\xe9\"").unwrap().text().unwrap();
    assert_eq!((latin.lossy().as_ref(), latin.exact()), ("caf\u{fffd}", None));
}

#[test]
fn numbers_that_no_double_holds_are_numbers_without_a_value() {
    let value = |digits: &str| match Json::parse(digits.as_bytes()) {
        Ok(Json::Number(digits)) => (digits.number().map(|number| number.to_string()), digits.whole()),
        other => panic!("{digits} is {other:?}"),
    };
    assert_eq!(value("12.50"), (Some("12.5".into()), Some(12)));
    assert_eq!(value("-0.5"), (Some("-0.5".into()), Some(-1)));
    assert_eq!(value("9007199254740993"), (Some("9007199254740993".into()), Some(9_007_199_254_740_993)));
    for unusable in ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "18446744073709551615", "1e", "-", "1.2.3"] {
        assert_eq!(value(unusable), (None, None), "{unusable}");
    }
    assert_eq!(Digits(b"1.7e12").whole(), Some(1_700_000_000_000));
}

#[test]
fn what_is_no_json_is_refused_at_its_place() {
    let bad = |document: &str| Json::parse(document.as_bytes()).unwrap_err();
    assert_eq!(bad("{\"a\":1"), NotJson(6));
    assert_eq!(bad("[1,]"), NotJson(4));
    assert_eq!(bad("{\"a\" 1}"), NotJson(6));
    assert_eq!(bad("{a:1}"), NotJson(2));
    assert_eq!(bad("1 2"), NotJson(3));
    assert_eq!(bad(""), NotJson(1));
    assert_eq!(bad("tru"), NotJson(1));
    assert_eq!(bad(&"[".repeat(100_000)), NotJson(129));
    assert!(Json::parse(&[b'['; 128].into_iter().chain([b']'; 128]).collect::<Vec<u8>>()).is_ok());
    let mut found = members(b" {\"a\": [1, {}], \"b\": null} x").unwrap();
    assert!(found.next().unwrap().is_ok() && found.next().unwrap().is_ok());
    assert_eq!(found.next(), Some(Err(NotJson(28))));
    assert_eq!(found.next(), None);
}

/// As `serde_json` sees it, where that reads it.
fn agrees(ours: Json<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == *theirs,
        (Json::Number(ours), Value::Number(theirs)) => ours.whole().is_none() || ours.whole() == theirs.as_i64(),
        (Json::Text(ours), Value::String(theirs)) => ours.exact().as_deref() == Some(theirs),
        (Json::Array(ours), Value::Array(theirs)) => {
            ours.items().count() == theirs.len() && ours.items().zip(theirs).all(|(a, b)| agrees(a, b))
        }
        (Json::Object(ours), Value::Object(theirs)) => {
            ours.members().count() == theirs.len()
                && theirs.iter().all(|(name, b)| ours.get(name).is_some_and(|a| agrees(a, b)))
        }
        _ => false,
    }
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Reads a document in one pass, and says what names it has, in their order.
fn in_one_pass(text: &[u8], depth: u32) -> Result<Vec<String>, NotJson> {
    fn walk(document: &mut Document<'_>, names: &mut Vec<String>) -> Result<(), NotJson> {
        if !document.is_object() {
            return document.value().map(drop);
        }
        document.members(|name, document| {
            names.push(name.lossy().into_owned());
            walk(document, names)
        })
    }
    let mut document = Document::new(text, depth);
    let mut names = Vec::new();
    walk(&mut document, &mut names)?;
    document.end()?;
    Ok(names)
}

/// The same, of a document that was parsed.
fn in_passes(json: Json<'_>, names: &mut Vec<String>) {
    if let Json::Object(object) = json {
        for (name, value) in object.members() {
            names.push(name.lossy().into_owned());
            in_passes(value, names);
        }
    }
}

proptest! {
    #[test]
    fn one_pass_finds_what_several_find_and_refuses_at_the_same_place(
        bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\u0d8e1-tN \xff".to_vec()), 0..60),
        document in documents(),
        depth in 0..6_u32,
    ) {
        for text in [&bytes[..], document.to_string().as_bytes()] {
            for depth in [depth, MAX_DEPTH] {
                let mut names = Vec::new();
                let parsed = Json::parse_within(text, depth).map(|json| in_passes(json, &mut names));
                prop_assert_eq!(in_one_pass(text, depth), parsed.map(|()| names));
            }
        }
    }

    #[test]
    fn quotes_and_backslashes_are_found_where_they_are(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'!'), Just(b'"'), Just(b'\\'), Just(b']')], 0..40),
        from in 0..50_usize,
    ) {
        let one_by_one = (from..bytes.len()).find(|at| matches!(bytes[*at], b'"' | b'\\')).unwrap_or(bytes.len());
        prop_assert_eq!(quote_or_backslash(&bytes, from), one_by_one);
    }

    #[test]
    fn what_a_strict_parser_reads_is_read_alike(document in documents(), pretty in any::<bool>()) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        prop_assert!(agrees(Json::parse(text.as_bytes()).unwrap(), &document), "{text}");
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\u0d8e1-tN \xff".to_vec()), 0..60)) {
        let strict = serde_json::from_slice::<serde_json::Value>(&bytes);
        let ours = Json::parse(&bytes);
        prop_assert!(strict.is_err() || ours.is_ok());
        if let Ok(members) = members(&bytes) {
            members.flatten().for_each(|(name, _)| drop(name.lossy()));
        }
    }
}
