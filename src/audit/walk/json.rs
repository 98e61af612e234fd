//! The values of a JSON text.

use std::borrow::Cow;

use super::{ELEMENTS_MAX, Found, keep};
use crate::audit::paths::{FieldId, Paths};
use crate::audit::value::Value;
use crate::codec::{Json, NotJson};
use crate::sources::parse_json;

/// Adds the values of a text. The prefix of Confluent's JSON Schema and the schema that Kafka Connect sends along are not
/// part of it, as for sources.
///
/// # Errors
/// Not JSON, or nested too deeply.
pub(in crate::audit) fn json<'a>(
    paths: &mut Paths,
    root: FieldId,
    text: &'a [u8],
    found: &mut Vec<Found<'a>>,
) -> Result<(), NotJson> {
    let json = parse_json(text)?;
    value(paths, root, json, found);
    Ok(())
}

/// The depth was bounded when the text was parsed.
fn value<'a>(paths: &mut Paths, field: FieldId, json: Json<'a>, found: &mut Vec<Found<'a>>) {
    let single = match json {
        Json::Object(object) => {
            keep(found, field, Value::Record);
            for (name, inner) in object.members() {
                if let Some(member) = paths.member(field, &name.lossy()) {
                    value(paths, member, inner, found);
                }
            }
            return;
        }
        Json::Array(array) => {
            keep(found, field, Value::List);
            let Some(element) = paths.element(field) else { return };
            array.items().take(ELEMENTS_MAX).for_each(|item| value(paths, element, item, found));
            return;
        }
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Text(text) => Value::Text(text.lossy()),
        Json::Number(digits) => number(digits.written()),
    };
    keep(found, field, single);
}

fn number(written: &[u8]) -> Value<'_> {
    let whole = std::str::from_utf8(written).ok().and_then(|text| text.parse().ok());
    whole.map_or(Value::Number(Cow::Borrowed(written)), Value::Whole)
}

#[cfg(test)]
mod tests {
    use super::json;
    use crate::audit::paths::{Paths, VALUE};

    fn shown(text: &str) -> Vec<String> {
        let (mut paths, mut found) = (Paths::default(), Vec::new());
        if json(&mut paths, VALUE, text.as_bytes(), &mut found).is_err() {
            return vec!["not JSON".to_owned()];
        }
        found.iter().map(|(field, _, kind)| format!("{}: {kind}", paths.text(*field))).collect()
    }

    #[test]
    fn each_value_has_its_path_and_kind() {
        let found = shown(r#"{"a": {"b": "x", "c": [1, {"d": null}]}, "e": 1.5, "f": true, "g": "a@b.fr"}"#);
        let expected = [
            ": record",
            "a: record",
            "a.b: text",
            "a.c: list",
            "a.c[]: integer",
            "a.c[]: record",
            "a.c[].d: null",
            "e: number",
            "f: boolean",
            "g: e-mail",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_surrounds_a_record_is_left_out_as_by_sources() {
        assert_eq!(shown("\0\0\0\0\u{7}{\"a\": 1}"), [": record", "a: integer"]);
        assert_eq!(shown(r#"{"schema": {"type": "struct"}, "payload": {"a": 1}}"#), [": record", "a: integer"]);
        assert_eq!(shown("[1"), ["not JSON"]);
        assert_eq!(shown(&"[".repeat(1_000)), ["not JSON"]);
        assert_eq!(shown("7"), [": integer"]);
    }
}
