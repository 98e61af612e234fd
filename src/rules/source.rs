//! Maps positions in a decoded TOML string to positions in the file.

use std::ops::Range as ByteRange;

use super::ast::Range;

/// Maps a byte range of a decoded string value back to the file, so that carets point into the file as written.
///
/// `literal` is the file's range of the value with its quotes. Where escapes make the two texts differ, the literal is
/// walked once.
#[must_use]
pub fn locate(file: &str, literal: ByteRange<usize>, decoded: &str, range: Range) -> Range {
    let raw = &file[literal.clone()];
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let mut body = quotes;
    // A line break right after three quotes is not part of the value.
    if quotes == 3 && raw[body..].starts_with("\r\n") {
        body += 2;
    } else if quotes == 3 && raw[body..].starts_with('\n') {
        body += 1;
    }
    if raw[body..].starts_with(decoded) {
        return Range { start: literal.start + body + range.start, end: literal.start + body + range.end };
    }
    let in_file = |wanted: usize| literal.start + body + raw_offset(&raw[body..], decoded, wanted);
    Range { start: in_file(range.start), end: in_file(range.end) }
}

/// An expression with single spaces between its words. Spaces in quoted names and texts are kept.
pub(super) fn single_spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.trim().chars() {
        if !quoted && c.is_whitespace() {
            if !spaced.ends_with(' ') {
                spaced.push(' ');
            }
            continue;
        }
        spaced.push(c);
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    spaced
}

/// The offset in `raw` of the byte `wanted` of `decoded`.
fn raw_offset(raw: &str, decoded: &str, wanted: usize) -> usize {
    let (mut at, mut done) = (0, 0);
    for c in decoded.chars() {
        if done >= wanted {
            break;
        }
        let rest = &raw[at..];
        if rest.starts_with('\\') && !rest.starts_with(c) || rest.starts_with("\\\\") {
            let skip = match rest.as_bytes().get(1) {
                Some(b'u') => 6,
                Some(b'U') => 10,
                Some(b'x') => 4,
                _ => 2,
            };
            at += skip.min(rest.len());
        } else {
            at += rest.chars().next().map_or(0, char::len_utf8);
        }
        done += c.len_utf8();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::single_spaced;

    #[test]
    fn spaces_within_quotes_are_part_of_the_text() {
        assert_eq!(single_spaced("  a  =\n \"b  c\"   and d "), "a = \"b  c\" and d");
        assert_eq!(single_spaced(r#"a = "b \"  c"  and  d"#), r#"a = "b \"  c" and d"#);
        assert_eq!(single_spaced(r#"a = "b\\"  and  d"#), r#"a = "b\\" and d"#);
    }
}
