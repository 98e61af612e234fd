//! JSON as other tools write it, parsed in place: only what is requested is decoded, and the rest only needs the shape
//! of JSON.
//!
//! Tools write what a strict parser rejects a whole document for: half of a surrogate pair where a text was cut
//! (JavaScript), `NaN` and `Infinity` (Python), numbers beyond a double, bytes that are not UTF-8. Here such a value
//! costs at most itself, and nothing if it is not used.

use std::borrow::Cow;

use crate::event::Number;

/// The nesting limit of objects and arrays.
const MAX_DEPTH: u32 = 128;

/// Not JSON, at this byte of the text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotJson(pub(super) usize);

/// A value whose type is known, but not decoded further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Digits<'a>),
    Text(Text<'a>),
    Object(Object<'a>),
    Array(Array<'a>),
}

/// A number as written, `NaN` and `Infinity` included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits<'a>(&'a [u8]);

/// A string as between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

/// An object with its braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object<'a>(&'a [u8]);

/// An array with its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Array<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The single value of a text.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, NotJson> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.blanks();
        let value = scanner.value(MAX_DEPTH)?;
        scanner.end()?;
        Ok(value)
    }

    pub(super) fn text(self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The members of an object that is the whole text, in one pass. An error ends them.
pub(super) fn members(text: &[u8]) -> Result<Members<'_>, NotJson> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.bad());
    }
    scanner.at += 1;
    Ok(Members { walk: Walk { scanner, close: b'}', first: true }, over: false })
}

impl<'a> Object<'a> {
    /// It was scanned before, so there are no errors.
    pub(super) fn members(self) -> impl Iterator<Item = (Text<'a>, Json<'a>)> {
        members(self.0).into_iter().flatten().map_while(Result::ok)
    }

    /// The last member of this name.
    pub(super) fn get(self, name: &str) -> Option<Json<'a>> {
        self.members().filter(|(key, _)| key.is(name)).last().map(|(_, value)| value)
    }
}

impl<'a> Array<'a> {
    pub(super) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut walk = Walk { scanner: Scanner { text: self.0, at: 1 }, close: b']', first: true };
        std::iter::from_fn(move || walk.advance().ok()?.then(|| walk.scanner.value(MAX_DEPTH).ok())?)
    }
}

impl Digits<'_> {
    /// 64-bit integers exactly, everything else through a double, so that a decimal of up to fifteen digits is
    /// preserved. `None`: not a number, or out of range.
    pub(super) fn number(self) -> Option<Number> {
        let text = std::str::from_utf8(self.0).ok()?;
        if let Ok(whole) = text.parse() {
            return Some(Number::from_integer(whole));
        }
        if let Ok(large) = text.parse::<u64>() {
            let millionths = i128::from(large) * Number::ONE;
            return (millionths < Number::LIMIT).then_some(Number(millionths));
        }
        Number::from_double(text.parse().ok()?)
    }

    /// Rounded down.
    pub(super) fn whole(self) -> Option<i64> {
        let text = std::str::from_utf8(self.0).ok()?;
        text.parse().ok().or_else(|| {
            let millionths = Number::from_double(text.parse().ok()?)?.0;
            i64::try_from(millionths.div_euclid(Number::ONE)).ok()
        })
    }
}

impl<'a> Text<'a> {
    /// The decoded text; U+FFFD replaces invalid characters.
    pub(super) fn lossy(self) -> Cow<'a, str> {
        self.decode().0
    }

    /// The decoded text; `None` if it has invalid characters.
    pub(super) fn exact(self) -> Option<Cow<'a, str>> {
        let (text, exact) = self.decode();
        exact.then_some(text)
    }

    /// Is it equal to this text?
    pub(super) fn is(self, text: &str) -> bool {
        if self.escaped { self.lossy() == text } else { self.raw == text.as_bytes() }
    }

    /// The decoded text, and whether every character is valid.
    fn decode(self) -> (Cow<'a, str>, bool) {
        if !self.escaped {
            let text = String::from_utf8_lossy(self.raw);
            let exact = matches!(text, Cow::Borrowed(_));
            return (text, exact);
        }
        let mut text = String::with_capacity(self.raw.len());
        let (mut rest, mut exact) = (self.raw, true);
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            exact &= push(&mut text, &rest[..at]);
            let (character, taken) = escape(&rest[at + 1..]);
            text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            exact &= character.is_some();
            rest = &rest[at + 1 + taken..];
        }
        exact &= push(&mut text, rest);
        (Cow::Owned(text), exact)
    }
}

fn push(text: &mut String, bytes: &[u8]) -> bool {
    let found = String::from_utf8_lossy(bytes);
    text.push_str(&found);
    matches!(found, Cow::Borrowed(_))
}

/// The character of an escape, if valid, and the number of bytes after its backslash.
fn escape(bytes: &[u8]) -> (Option<char>, usize) {
    let Some((&first, rest)) = bytes.split_first() else { return (None, 0) };
    let simple = match first {
        b'"' | b'\\' | b'/' => char::from(first),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        _ => return (None, 1),
    };
    (Some(simple), 1)
}

/// After `\u`: four digits, or two times four that form one character.
fn unicode(bytes: &[u8]) -> (Option<char>, usize) {
    const ONE: usize = 5;
    let Some(unit) = unit(bytes) else { return (None, 1) };
    if let Some(character) = char::from_u32(unit) {
        return (Some(character), ONE);
    }
    let second = bytes.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(self::unit);
    match second {
        Some(second @ 0xdc00..=0xdfff) if unit < 0xdc00 => {
            (char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00)), 2 * ONE + 1)
        }
        _ => (None, ONE),
    }
}

/// The first four bytes as a hexadecimal number.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digit = |unit: u32, byte: &u8| Some((unit << 4) | char::from(*byte).to_digit(16)?);
    bytes.get(..4)?.iter().try_fold(0, digit)
}

/// The members of an object, in their order.
pub(super) struct Members<'a> {
    walk: Walk<'a>,
    over: bool,
}

impl<'a> Members<'a> {
    fn member(&mut self) -> Result<Option<(Text<'a>, Json<'a>)>, NotJson> {
        if !self.walk.advance()? {
            // Nothing may come after the object.
            self.walk.scanner.end()?;
            return Ok(None);
        }
        let key = self.walk.scanner.key()?;
        Ok(Some((key, self.walk.scanner.value(MAX_DEPTH)?)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Text<'a>, Json<'a>), NotJson>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let member = self.member();
        self.over = !matches!(member, Ok(Some(_)));
        member.transpose()
    }
}

/// Iterates over the items of an object or array.
struct Walk<'a> {
    scanner: Scanner<'a>,
    close: u8,
    first: bool,
}

impl Walk<'_> {
    /// Is there another item, at which the scanner now is?
    fn advance(&mut self) -> Result<bool, NotJson> {
        let first = std::mem::replace(&mut self.first, false);
        self.scanner.advance(self.close, first)
    }
}

/// A position in a text.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bad(&self) -> NotJson {
        NotJson((self.at + 1).min(self.text.len()).max(1))
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Checks that only blanks are left.
    fn end(&mut self) -> Result<(), NotJson> {
        self.blanks();
        if self.at < self.text.len() { Err(self.bad()) } else { Ok(()) }
    }

    /// Moves to the next item of an object or array; false: past its end.
    fn advance(&mut self, close: u8, first: bool) -> Result<bool, NotJson> {
        self.blanks();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.blanks();
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(self.bad()),
        }
    }

    /// A member's name and the colon after it.
    fn key(&mut self) -> Result<Text<'a>, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(self.bad());
        }
        let key = self.string()?;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.bad());
        }
        self.at += 1;
        self.blanks();
        Ok(key)
    }

    fn value(&mut self, depth: u32) -> Result<Json<'a>, NotJson> {
        let start = self.at;
        let value = match self.peek().ok_or_else(|| self.bad())? {
            b'{' => {
                self.pass(b'}', depth)?;
                Json::Object(Object(&self.text[start..self.at]))
            }
            b'[' => {
                self.pass(b']', depth)?;
                Json::Array(Array(&self.text[start..self.at]))
            }
            b'"' => Json::Text(self.string()?),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Json::Bool(true))?,
            b'f' => self.word("false", Json::Bool(false))?,
            b'n' => self.word("null", Json::Null)?,
            b'N' => self.word("NaN", Json::Number(Digits(b"NaN")))?,
            b'I' => self.word("Infinity", Json::Number(Digits(b"inf")))?,
            _ => return Err(self.bad()),
        };
        Ok(value)
    }

    /// Skips a whole object or array that begins here.
    fn pass(&mut self, close: u8, depth: u32) -> Result<(), NotJson> {
        let inner = depth.checked_sub(1).ok_or_else(|| self.bad())?;
        self.at += 1;
        let mut first = true;
        while self.advance(close, first)? {
            first = false;
            if close == b'}' {
                self.key()?;
            }
            self.value(inner)?;
        }
        Ok(())
    }

    /// Escapes are checked when the text is decoded.
    fn string(&mut self) -> Result<Text<'a>, NotJson> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => return Err(self.bad()),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    fn number(&mut self) -> Json<'a> {
        let start = self.at;
        self.at += 1;
        if self.text[self.at..].starts_with(b"Infinity") {
            self.at += b"Infinity".len();
            return Json::Number(Digits(b"-inf"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            self.at += 1;
        }
        Json::Number(Digits(&self.text[start..self.at]))
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, NotJson> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.bad());
        }
        self.at += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Digits, Json, NotJson, members};

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
        for unusable in ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "18446744073709551615", "1e", "-", "1.2.3"]
        {
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

    proptest! {
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
}
