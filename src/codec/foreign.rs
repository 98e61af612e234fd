//! Files that are clearly not event files: one line says what they are and how to convert them, instead of a complaint
//! for each line.

use std::fmt;
use std::io::{self, Read};

use super::compressed::Input;

/// The byte order mark of UTF-8.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// An example of a line.
pub const EXAMPLE: &str = "{\"customer_id\": \"c1\", \"event\": \"purchase\", \"time\": \"2026-01-31T08:00:00Z\", \"properties\": {\"amount\": 12.5}}";

/// How many bytes are inspected to recognize a text format.
const HEAD: u64 = 64 << 10;

/// The first bytes of formats that are not supported.
const BINARIES: [(&[u8], &str); 17] = [
    (b"PAR1", "Parquet"),
    (b"ORC", "ORC"),
    (b"ARROW1", "Arrow"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"\xff\x06\x00\x00sN", "Snappy's own framing"),
    (b"\x1f\x9d", "compressed by compress"),
    (b"SQLite f", "an SQLite database"),
    (b"%PDF", "PDF"),
    (b"\x78\x01", "compressed by zlib without the header of gzip"),
    (b"\x78\x9c", "compressed by zlib without the header of gzip"),
    (b"\x78\xda", "compressed by zlib without the header of gzip"),
    (b"{\0", "text in UTF-16"),
    (b"\0{", "text in UTF-16"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
];

/// The signature of a tar archive, and its position.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// A kind of file that is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    Binary(&'static str),
    Csv,
    /// All events in one array.
    Array,
    /// Objects over several lines.
    Pretty,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(kind) => write!(
                f,
                "this is {kind}, which is not supported; write JSON Lines in UTF-8 or an Avro container file, plain or compressed \
                 by gzip, zstd, bzip2 or xz"
            ),
            Self::Csv => write!(
                f,
                "this is CSV, whose columns mean nothing yet; say in a sources file where customer, time and event are, and read it \
                 with --source NAME (and --delimiter if its name does not end in .csv or .tsv), or convert each row to a line of \
                 JSON: {EXAMPLE}"
            ),
            Self::Array => f.write_str(
                "this is a single JSON array, which is not supported; write one object a line, as `jq -c '.[]'` does",
            ),
            Self::Pretty => f.write_str(
                "this is JSON spread over several lines, which is not supported; write one object a line, as `jq -c .` does",
            ),
        }
    }
}

/// The format of a file that begins with `start`, if it is clearly not JSON Lines; and the file from its beginning.
pub(super) fn of(start: &[u8], mut input: Input) -> io::Result<(Input, Option<Foreign>)> {
    if let Some((_, kind)) = BINARIES.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Ok((input, Some(Foreign::Binary(kind))));
    }
    let head = first_lines(&mut input)?;
    if head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Ok((input, Some(Foreign::Binary("a tar archive"))));
    }
    let text = head.strip_prefix(UTF8_MARK).unwrap_or(&head);
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let foreign = lines.next().and_then(|first| text_kind(first, lines.next().unwrap_or_default()));
    Ok((Box::new(io::Cursor::new(head).chain(input)), foreign))
}

/// From the first two non-blank lines: a first line that is only damaged must not cost the others.
fn text_kind(first: &[u8], second: &[u8]) -> Option<Foreign> {
    let begins = |line: &[u8], byte: u8| line.first() == Some(&byte);
    match first {
        b"{" => return Some(Foreign::Pretty),
        b"[" if begins(second, b'{') => return Some(Foreign::Array),
        [b'[', rest @ ..] if begins(rest.trim_ascii_start(), b'{') => return Some(Foreign::Array),
        _ => {}
    }
    let fields = |line: &[u8], separator: u8| line.iter().filter(|byte| **byte == separator).count();
    let alike =
        |separator: &u8| fields(first, *separator) > 0 && fields(second, *separator) >= fields(first, *separator);
    let csv = !begins(first, b'{') && !begins(second, b'{') && [b',', b';', b'\t', b'|'].iter().any(alike);
    csv.then_some(Foreign::Csv)
}

/// Up to the end of the second non-blank line, or the limit.
fn first_lines(input: &mut Input) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut limited = input.take(HEAD);
    let mut lines = 0;
    while lines < 2 {
        let before = head.len();
        if io::BufRead::read_until(&mut limited, b'\n', &mut head)? == 0 {
            break;
        }
        lines += usize::from(!head[before..].trim_ascii().is_empty());
    }
    Ok(head)
}
