//! CSV with a header line: each row as an object of JSON, so that it is read like a line of JSON.
//!
//! A column `buyer.id` is the field `id` of `buyer`. A cell is a number if it is written like one, a truth value if it is
//! `true` or `false`, JSON if it is an object or a list, and otherwise text; an empty one is absent.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use super::compressed::Input;
use super::foreign::UTF8_MARK;
use super::line::{BadLine, MAX_LINE};

/// The most columns of a table.
const COLUMNS_MAX: usize = 10_000;
/// The deepest field that a column can be.
const DEPTH_MAX: usize = 64;
/// Separators that a file probably has instead of the one that is expected.
const USUAL: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How a file of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csv {
    /// What stands between the cells.
    pub delimiter: u8,
    /// `59,99` and `1.234,50` instead of `59.99` and `1234.50`.
    pub decimal_comma: bool,
}

/// Why the header of a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    #[error("it has no header line with the names of its columns")]
    Missing,
    #[error("its header line: {0}")]
    Line(BadLine),
    #[error("its header has two columns `{0}`")]
    Twice(String),
    #[error("its header has the column `{0}`, and others whose names begin with `{0}.`")]
    Both(String),
    #[error("its header has more than {COLUMNS_MAX} columns, or names with more than {DEPTH_MAX} parts")]
    TooMany,
    #[error("its header has one column; with the option --delimiter '{}' it has {columns}", shown(*.delimiter))]
    Delimiter { delimiter: u8, columns: usize },
}

fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() }
}

/// Why there is no row.
pub(super) enum Trouble {
    Read(io::Error),
    Row(BadLine),
}

/// The rows of one file, in order.
pub(super) struct Table {
    input: Input,
    csv: Csv,
    columns: usize,
    fields: Vec<Field>,
    /// Lines read so far.
    line: u64,
    row: Row,
    json: Vec<u8>,
}

/// A field of the objects.
#[derive(Debug)]
struct Field {
    /// With the quotes of JSON.
    name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Column(usize),
    Object(Vec<Field>),
}

/// The cells of a row.
#[derive(Debug, Default)]
struct Row {
    /// As it stands in the file.
    raw: Vec<u8>,
    text: Vec<u8>,
    /// Where in `text` each cell ends.
    ends: Vec<usize>,
}

impl Row {
    fn cell(&self, column: usize) -> &[u8] {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }
}

impl Table {
    /// Reads the header.
    pub(super) fn open(mut input: Input, csv: Csv) -> io::Result<Result<Self, BadHeader>> {
        let (mut line, mut row) = (0, Row::default());
        let found = next_row(&mut input, csv.delimiter, &mut line, &mut row);
        match found {
            Err(Trouble::Read(error)) => return Err(error),
            Err(Trouble::Row(problem)) => return Ok(Err(BadHeader::Line(problem))),
            Ok(false) => return Ok(Err(BadHeader::Missing)),
            Ok(true) => {}
        }
        let names: Vec<Cow<'_, str>> =
            (0..row.ends.len()).map(|cell| String::from_utf8_lossy(row.cell(cell))).collect();
        let fields = match fields(&names, csv.delimiter) {
            Ok(fields) => fields,
            Err(problem) => return Ok(Err(problem)),
        };
        let columns = row.ends.len();
        Ok(Ok(Self { input, csv, columns, fields, line, row, json: Vec::new() }))
    }

    /// The line in which the row that was read last ends.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next row as an object of JSON; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Trouble> {
        if !next_row(&mut self.input, self.csv.delimiter, &mut self.line, &mut self.row)? {
            return Ok(None);
        }
        if self.row.ends.len() != self.columns {
            return Err(Trouble::Row(BadLine::Cells { found: self.row.ends.len(), columns: self.columns }));
        }
        self.json.clear();
        object(&self.fields, &self.row, self.csv.decimal_comma, &mut self.json).map_err(Trouble::Row)?;
        Ok(Some(&self.json))
    }
}

/// Reads the cells of the next row that is not blank. False at the end.
fn next_row(input: &mut Input, delimiter: u8, line: &mut u64, row: &mut Row) -> Result<bool, Trouble> {
    let Row { raw, text, ends } = row;
    loop {
        raw.clear();
        text.clear();
        ends.clear();
        let mut place = Within::Start;
        // A cell in quotes may hold line breaks.
        loop {
            let before = raw.len();
            let left = (MAX_LINE + 1).saturating_sub(before) as u64;
            let read = input.take(left).read_until(b'\n', raw).map_err(Trouble::Read)?;
            if raw.len() > MAX_LINE {
                return Err(Trouble::Row(BadLine::TooLong));
            }
            *line += u64::from(read > 0);
            place = raw[before..].iter().fold(place, |place, byte| place.after(*byte, delimiter));
            if place != Within::Quotes {
                break;
            }
            if read == 0 {
                return Err(Trouble::Row(BadLine::Quote));
            }
        }
        if raw.is_empty() {
            return Ok(false);
        }
        let mut content = raw.as_slice();
        content = content.strip_suffix(b"\n").unwrap_or(content);
        content = content.strip_suffix(b"\r").unwrap_or(content);
        if *line == 1 {
            content = content.strip_prefix(UTF8_MARK).unwrap_or(content);
        }
        if !content.trim_ascii().is_empty() {
            split(content, delimiter, text, ends);
            return Ok(true);
        }
    }
}

/// Where in a cell something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Start,
    Quotes,
    /// Without quotes.
    Plain,
    /// After a quote within quotes: their end, unless another one follows at once.
    Closed,
}

impl Within {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quotes, b'"') => Self::Closed,
            (Self::Quotes, _) | (Self::Start | Self::Closed, b'"') => Self::Quotes,
            (_, byte) if byte == delimiter => Self::Start,
            (Self::Start, b' ' | 0xef | 0xbb | 0xbf) => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// The cells of a row. A quote within a cell that does not begin with one is a character like others.
fn split(content: &[u8], delimiter: u8, text: &mut Vec<u8>, ends: &mut Vec<usize>) {
    let mut rest = content;
    loop {
        let quoted = rest.iter().position(|byte| *byte != b' ').filter(|at| rest[*at] == b'"');
        match quoted {
            Some(at) => {
                rest = &rest[at + 1..];
                loop {
                    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
                    text.extend_from_slice(&rest[..end]);
                    rest = rest.get(end + 1..).unwrap_or_default();
                    if rest.first() != Some(&b'"') {
                        break;
                    }
                    text.push(b'"');
                    rest = &rest[1..];
                }
                // What stands between the quote and the delimiter is no part of the cell.
                let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
                rest = &rest[end..];
            }
            None => {
                let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
                text.extend_from_slice(rest[..end].trim_ascii());
                rest = &rest[end..];
            }
        }
        ends.push(text.len());
        match rest.split_first() {
            Some((_, after)) => rest = after,
            None => return,
        }
    }
}

/// The columns as fields of objects. A column without a name is not used.
fn fields(names: &[Cow<'_, str>], delimiter: u8) -> Result<Vec<Field>, BadHeader> {
    if names.len() > COLUMNS_MAX {
        return Err(BadHeader::TooMany);
    }
    if let [only] = names {
        let other = USUAL.iter().filter(|other| **other != delimiter);
        let counts = other.map(|other| (only.bytes().filter(|byte| byte == other).count(), *other));
        if let Some((count, other)) = counts.max().filter(|(count, _)| *count > 0) {
            return Err(BadHeader::Delimiter { delimiter: other, columns: count + 1 });
        }
    }
    let mut fields = Vec::new();
    for (column, name) in names.iter().enumerate() {
        let name = name.trim();
        if name.is_empty() {
            continue;
        }
        let parts: Vec<&str> = name.split('.').collect();
        let parts = if parts.iter().any(|part| part.is_empty()) { vec![name] } else { parts };
        if parts.len() > DEPTH_MAX {
            return Err(BadHeader::TooMany);
        }
        place(&mut fields, &parts, column, name)?;
    }
    if fields.is_empty() { Err(BadHeader::Missing) } else { Ok(fields) }
}

fn place(fields: &mut Vec<Field>, parts: &[&str], column: usize, name: &str) -> Result<(), BadHeader> {
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    let quoted = serde_json::Value::from(*first).to_string();
    let known = fields.iter_mut().find(|field| field.name == quoted);
    match known.map(|field| &mut field.content) {
        Some(Content::Object(inner)) if !rest.is_empty() => place(inner, rest, column, name),
        Some(Content::Column(_)) if rest.is_empty() => Err(BadHeader::Twice(name.to_owned())),
        Some(_) => {
            let shorter = name.len() - rest.iter().map(|part| part.len() + 1).sum::<usize>();
            Err(BadHeader::Both(name[..shorter].to_owned()))
        }
        None => {
            let content = match rest {
                [] => Content::Column(column),
                _ => {
                    let mut inner = Vec::new();
                    place(&mut inner, rest, column, name)?;
                    Content::Object(inner)
                }
            };
            fields.push(Field { name: quoted, content });
            Ok(())
        }
    }
}

/// Appends an object with the cells that are not empty.
fn object(fields: &[Field], row: &Row, decimal_comma: bool, json: &mut Vec<u8>) -> Result<(), BadLine> {
    json.push(b'{');
    let mut is_first = true;
    for field in fields {
        let before = json.len();
        if !is_first {
            json.push(b',');
        }
        json.extend_from_slice(field.name.as_bytes());
        json.push(b':');
        let start = json.len();
        match &field.content {
            Content::Column(column) => value(row.cell(*column), decimal_comma, json)?,
            Content::Object(inner) => object(inner, row, decimal_comma, json)?,
        }
        if json.len() == start || json.ends_with(b"{}") && matches!(field.content, Content::Object(_)) {
            json.truncate(before);
        } else {
            is_first = false;
        }
    }
    json.push(b'}');
    Ok(())
}

/// Appends the value of a cell; nothing for an empty one.
fn value(cell: &[u8], decimal_comma: bool, json: &mut Vec<u8>) -> Result<(), BadLine> {
    let text = std::str::from_utf8(cell).map_err(|_| BadLine::NotUtf8)?;
    if text.is_empty() {
        return Ok(());
    }
    if let Some(number) = number(text, decimal_comma) {
        json.extend_from_slice(number.as_bytes());
    } else if matches!(text, "true" | "false") || is_nested(text) {
        json.extend_from_slice(cell);
    } else {
        // Writing text to a vector cannot fail.
        serde_json::to_writer(json, text).ok();
    }
    Ok(())
}

fn is_nested(text: &str) -> bool {
    text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A cell as a number of JSON, if it is written like one: no zeros before it, which make it a code, no sign `+`, which
/// makes it a phone number, and no exponent.
fn number(text: &str, decimal_comma: bool) -> Option<Cow<'_, str>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once(if decimal_comma { ',' } else { '.' }) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_some_and(|fraction| !all_digits(fraction)) {
        return None;
    }
    let whole: Cow<'_, str> = match decimal_comma && !all_digits(whole) {
        false => whole.into(),
        true => ungrouped(whole)?.into(),
    };
    if !all_digits(&whole) || whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    if !decimal_comma {
        return Some(text.into());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    Some(format!("{sign}{whole}{fraction}").into())
}

/// `1.234.567`, or with spaces, as `1234567`.
fn ungrouped(text: &str) -> Option<String> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    if !matches!(separator, '.' | ' ' | '\u{a0}' | '\u{202f}' | '\'' | '\u{2019}') {
        return None;
    }
    let mut groups = text.split(separator);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let mut whole = first.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        whole.push_str(group);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::{BadHeader, BadLine, Csv, Table, Trouble, number};

    const COMMA: Csv = Csv { delimiter: b',', decimal_comma: false };
    const SEMICOLON: Csv = Csv { delimiter: b';', decimal_comma: true };

    fn open(text: &str, csv: Csv) -> Result<Table, BadHeader> {
        Table::open(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), csv).unwrap()
    }

    fn rows(text: &str, csv: Csv) -> Vec<Result<String, BadLine>> {
        let mut table = open(text, csv).unwrap();
        std::iter::from_fn(|| match table.next() {
            Ok(row) => Some(Ok(String::from_utf8(row?.to_vec()).unwrap())),
            Err(Trouble::Row(problem)) => Some(Err(problem)),
            Err(Trouble::Read(error)) => panic!("{error}"),
        })
        .collect()
    }

    #[test]
    fn a_row_is_an_object_whose_fields_are_the_columns() {
        let text = "\u{feff}id,buyer.id,buyer.mail,total, note ,\r\n\r\n007,b-1,,59.99,\"two\nlines, \"\"quoted\"\"\",x\r\n\
                    8,,c@x.fr,-5,{\"a\":[1]},\n9,,,true,+33612,";
        assert_eq!(
            rows(text, COMMA),
            [
                Ok(r#"{"id":"007","buyer":{"id":"b-1"},"total":59.99,"note":"two\nlines, \"quoted\""}"#.to_owned()),
                Ok(r#"{"id":8,"buyer":{"mail":"c@x.fr"},"total":-5,"note":{"a":[1]}}"#.to_owned()),
                Ok(r#"{"id":9,"total":true,"note":"+33612"}"#.to_owned()),
            ]
        );
    }

    #[test]
    fn decimal_commas_are_read_where_they_are_asked_for() {
        let text = "id;a;b\n1;59,99;1.234.567,5\n2;1 234;12.34\n";
        let expected =
            [Ok(r#"{"id":1,"a":59.99,"b":1234567.5}"#.to_owned()), Ok(r#"{"id":2,"a":1234,"b":"12.34"}"#.to_owned())];
        assert_eq!(rows(text, SEMICOLON), expected);
        for (text, is_number) in [("0,5", true), ("00,5", false), ("1,2,3", false), (",5", false), ("5,", false)] {
            assert_eq!(number(text, true).is_some(), is_number, "{text}");
        }
        for (text, is_number) in [("0", true), ("-0.5", true), ("1e5", false), ("1.", false), ("-", false)] {
            assert_eq!(number(text, false).is_some(), is_number, "{text}");
        }
    }

    #[test]
    fn a_row_that_does_not_fit_the_header_costs_itself_only() {
        let found = rows("a,b\n1\n2,3\n4,5,6\n7,\"8\n", COMMA);
        let cells = |found| Err(BadLine::Cells { found, columns: 2 });
        assert_eq!(found[..3], [cells(1), Ok(r#"{"a":2,"b":3}"#.to_owned()), cells(3)]);
        assert_eq!(found[3], Err(BadLine::Quote));
    }

    #[test]
    fn a_header_of_no_use_is_refused_with_what_to_do() {
        for (text, problem) in [
            ("", BadHeader::Missing),
            (",,\n1,2,3\n", BadHeader::Missing),
            ("a,b,a\n", BadHeader::Twice("a".to_owned())),
            ("a.b,a.b.c\n", BadHeader::Both("a.b".to_owned())),
            ("a.b.c,a.b\n", BadHeader::Both("a.b".to_owned())),
            ("a;b;c\n1;2;3\n", BadHeader::Delimiter { delimiter: b';', columns: 3 }),
        ] {
            assert_eq!(open(text, COMMA).err(), Some(problem), "{text}");
        }
    }
}
