//! Splits an expression into tokens, each with its location.

use super::ast::{Date, Range};
use super::error::ExprError;
use super::reserved::is_reserved;
use crate::event::Number;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A bare word: a keyword or a name; the parser knows which.
    Word(String),
    /// A quoted string: a name or a text.
    Quoted(String),
    Number(Number),
    Date(Date),
    /// One of `( ) , . %` and the comparison operators.
    Symbol(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range,
}

/// Operators and quotes of other languages, and what to write instead.
const HABITS: [(&str, &str); 22] = [
    ("&&", "`and`"),
    ("||", "`or`"),
    ("!", "`not`, or `!=` between two values"),
    ("+", "a sum over one event: rules do not calculate (docs/sources.md maps several kinds of records to one event)"),
    (
        "-",
        "a sum over one event that has negative amounts, too: rules do not subtract (docs/sources.md, `as = \"negative\"`)",
    ),
    ("/", "`ratio(a, b)`"),
    ("≥", "`>=`"),
    ("≤", "`<=`"),
    ("≠", "`!=`"),
    ("×", "`x`, as in `1.5 x usual gap of purchase`"),
    ("*", "`x`, as in `1.5 x usual gap of purchase`"),
    ("“", "straight quotes, \"...\""),
    ("”", "straight quotes, \"...\""),
    ("«", "straight quotes, \"...\""),
    ("»", "straight quotes, \"...\""),
    ("’", "double quotes, \"...\""),
    ("‘", "double quotes, \"...\""),
    ("'", "double quotes, \"...\""),
    ("[", "round brackets: `(a, b)`"),
    ("{", "round brackets: `(a, b)`"),
    ("€", "the number alone"),
    ("$", "the number alone"),
];

const SYMBOLS: [&str; 11] = [">=", "<=", "!=", "=", ">", "<", "(", ")", ",", ".", "%"];

/// Splits `text`; the last token is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExprError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let (kind, length) = token(&text[at..], at)?;
        found.push(Token { kind, range: Range { start: at, end: at + length } });
        at += length;
    }
    found.push(Token { kind: TokenKind::End, range: Range { start: text.len(), end: text.len() } });
    Ok(found)
}

/// The token at the start of `rest`, which is not empty and does not begin with a space; and its length in bytes.
fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), ExprError> {
    let first = rest.as_bytes()[0];
    if first == b'"' {
        return quoted(rest, at);
    }
    if first.is_ascii_lowercase() || first == b'_' {
        let length = rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_').count();
        if rest[length..].starts_with(|c: char| c.is_alphanumeric()) {
            return Err(unquoted(rest, at));
        }
        return Ok((TokenKind::Word(rest[..length].into()), length));
    }
    if let Some(date) = date(rest) {
        return Ok((TokenKind::Date(date), 10));
    }
    if first.is_ascii_digit() || (first == b'-' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
        return number(rest, at);
    }
    for symbol in SYMBOLS {
        if rest.starts_with(symbol) {
            return Ok((TokenKind::Symbol(symbol), symbol.len()));
        }
    }
    if rest.starts_with(char::is_alphabetic) {
        return Err(unquoted(rest, at));
    }
    let length = rest.chars().next().map_or(1, char::len_utf8);
    if let Some((written, meant)) = HABITS.iter().find(|(written, _)| rest.starts_with(written)) {
        let range = Range { start: at, end: at + written.len() };
        return Err(ExprError::new(range, format!("`{written}` is not an operator of the language"))
            .hint(format!("write {meant}")));
    }
    Err(ExprError::new(Range { start: at, end: at + length }, "this character is not allowed here"))
}

/// The error for a word with capitals or other letters, which must be in quotes.
fn unquoted(rest: &str, at: usize) -> ExprError {
    let length: usize = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
    let word = &rest[..length];
    let lower = word.to_lowercase();
    if is_reserved(&lower) {
        return ExprError::new(Range { start: at, end: at + length }, format!("`{word}` must be in lower case"))
            .hint(format!("write `{lower}`; to use it as a name, put it in quotes: \"{word}\""));
    }
    ExprError::new(Range { start: at, end: at + length }, format!("`{word}` is not a valid name without quotes"))
        .hint(format!("put names with capitals, spaces or accents in quotes: \"{word}\""))
}

fn quoted(rest: &str, at: usize) -> Result<(TokenKind, usize), ExprError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((TokenKind::Quoted(text), i + 1)),
            '\\' => {
                if let Some((_, escaped)) = chars.next() {
                    text.push(escaped);
                }
            }
            _ => text.push(c),
        }
    }
    Err(ExprError::new(Range { start: at, end: at + rest.len() }, "this quote is not closed"))
}

fn date(rest: &str) -> Option<Date> {
    let text = rest.get(..10)?;
    let shape = text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if !shape || rest[10..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(Date { year: text[..4].parse().ok()?, month: text[5..7].parse().ok()?, day: text[8..].parse().ok()? })
}

fn number(rest: &str, at: usize) -> Result<(TokenKind, usize), ExprError> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = usize::from(bytes[0] == b'-');
    length += digits(length);
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    let range = Range { start: at, end: at + length };
    match Number::parse(&rest[..length]) {
        Some(number) => Ok((TokenKind::Number(number), length)),
        None => Err(ExprError::new(range, "a number has at most six decimal places and 18 digits")),
    }
}
