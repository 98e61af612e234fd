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
pub(crate) struct NotJson(pub(crate) usize);

/// A value whose type is known, but not decoded further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Digits<'a>),
    Text(Text<'a>),
    Object(Object<'a>),
    Array(Array<'a>),
}

/// A number as written, `NaN` and `Infinity` included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits<'a>(&'a [u8]);

/// A string as between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

/// An object with its braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object<'a>(&'a [u8]);

/// An array with its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Array<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The single value of a text.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, NotJson> {
        Self::parse_within(text, MAX_DEPTH)
    }

    /// The same, of a text that is nested at most so deeply, and no deeper than the limit.
    pub(crate) fn parse_within(text: &'a [u8], depth: u32) -> Result<Self, NotJson> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.blanks();
        let value = scanner.value(depth.min(MAX_DEPTH))?;
        scanner.end()?;
        Ok(value)
    }

    pub(crate) fn text(self) -> Option<Text<'a>> {
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
    pub(crate) fn members(self) -> impl Iterator<Item = (Text<'a>, Json<'a>)> {
        members(self.0).into_iter().flatten().map_while(Result::ok)
    }

    /// It was scanned before, so reading it gives no errors.
    pub(crate) fn document(self) -> Document<'a> {
        Document::new(self.0, MAX_DEPTH)
    }

    /// The last member of this name.
    pub(crate) fn get(self, name: &str) -> Option<Json<'a>> {
        self.members().filter(|(key, _)| key.is(name)).last().map(|(_, value)| value)
    }
}

impl<'a> Array<'a> {
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut walk = Walk { scanner: Scanner { text: self.0, at: 1 }, close: b']', first: true };
        std::iter::from_fn(move || walk.advance().ok()?.then(|| walk.scanner.value(MAX_DEPTH).ok())?)
    }
}

impl<'a> Digits<'a> {
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

    /// As written; `NaN`, `inf` and `-inf` are no numbers.
    pub(crate) fn written(self) -> &'a [u8] {
        self.0
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
    pub(crate) fn lossy(self) -> Cow<'a, str> {
        self.decode().0
    }

    /// The decoded text; `None` if it has invalid characters.
    pub(crate) fn exact(self) -> Option<Cow<'a, str>> {
        let (text, exact) = self.decode();
        exact.then_some(text)
    }

    /// Is it equal to this text?
    pub(crate) fn is(self, text: &str) -> bool {
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

/// A document that is read once, from its beginning to its end.
pub(crate) struct Document<'a> {
    scanner: Scanner<'a>,
    /// How many levels of nesting may still begin.
    depth: u32,
}

impl<'a> Document<'a> {
    /// Nested at most so deeply, and no deeper than the limit.
    pub(crate) fn new(text: &'a [u8], depth: u32) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.blanks();
        Self { scanner, depth: depth.min(MAX_DEPTH) }
    }

    /// Does an object begin here?
    pub(crate) fn is_object(&self) -> bool {
        self.scanner.peek() == Some(b'{')
    }

    /// The first name of the object that begins here.
    pub(crate) fn first_name(&self) -> Option<Text<'a>> {
        let mut scanner = self.scanner;
        scanner.at += 1;
        (self.is_object() && scanner.first_item(b'}').ok()?).then(|| scanner.key().ok())?
    }

    /// Reads the object that begins here. `member` is given each name, while the document is at its value, which it must
    /// read.
    ///
    /// # Errors
    /// No object, not JSON, nested too deeply; and those of `member`.
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(Text<'a>, &mut Self) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        let depth = self.depth.checked_sub(1).filter(|_| self.is_object()).ok_or_else(|| self.scanner.bad())?;
        self.depth = depth;
        self.scanner.at += 1;
        let mut has_item = self.scanner.first_item(b'}')?;
        while has_item {
            let name = self.scanner.key()?;
            member(name, self)?;
            has_item = self.scanner.next_item(b'}')?;
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads the value that begins here.
    ///
    /// # Errors
    /// Not JSON, nested too deeply.
    pub(crate) fn value(&mut self) -> Result<Json<'a>, NotJson> {
        self.scanner.value(self.depth)
    }

    /// Checks that only blanks are left.
    ///
    /// # Errors
    /// There is more.
    pub(crate) fn end(mut self) -> Result<(), NotJson> {
        self.scanner.end()
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
        if std::mem::replace(&mut self.first, false) {
            self.scanner.first_item(self.close)
        } else {
            self.scanner.next_item(self.close)
        }
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

    /// Moves to the first item of an object or array; false: it is empty, and the scanner is past its end.
    fn first_item(&mut self, close: u8) -> Result<bool, NotJson> {
        let is_empty = self.passes(close);
        if is_empty || self.peek().is_some() { Ok(!is_empty) } else { Err(self.bad()) }
    }

    /// Moves to the item after a comma; false: there is none, and the scanner is past the end.
    fn next_item(&mut self, close: u8) -> Result<bool, NotJson> {
        if self.passes(close) {
            return Ok(false);
        }
        if !self.passes(b',') {
            return Err(self.bad());
        }
        self.blanks();
        Ok(true)
    }

    /// Skips blanks, and this byte if it is next.
    fn passes(&mut self, byte: u8) -> bool {
        self.blanks();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
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
        let mut has_item = self.first_item(close)?;
        while has_item {
            if close == b'}' {
                self.key()?;
            }
            self.value(inner)?;
            has_item = self.next_item(close)?;
        }
        Ok(())
    }

    /// Escapes are checked when the text is decoded.
    fn string(&mut self) -> Result<Text<'a>, NotJson> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            self.at = quote_or_backslash(self.text, self.at);
            match self.peek() {
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => break,
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

/// The first quote or backslash from a place on, or the end: eight bytes at a time, since most of a document is in its
/// strings.
fn quote_or_backslash(text: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // The lowest high bit that is set is that of the first such byte (Mycroft); those above it may be wrong.
    let has = |word: u64, byte: u8| {
        let differs = word ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs & HIGHS
    };
    let mut at = from.min(text.len());
    while let Some((word, _)) = text[at..].split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        let found = has(word, b'"') | has(word, b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
    rest.map_or(text.len(), |found| at + found)
}

#[cfg(test)]
mod tests;
