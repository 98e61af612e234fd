//! Paths: where a value lies in a record.
//!
//! ```text
//! buyer.id                              a member of a member
//! ["odd.name"].x                        a name that is not made of letters, digits, _, - and $
//! lines[0].sku                          the first element of a list
//! params[key=colour].value.string       the first element whose member `key` is `colour`
//! each.sku                              in the element that `each` names
//! key.id, header.ce_type                in the record's key; one of its headers
//! @topic, @partition, @offset, @timestamp
//! ```

use crate::rules::ast::Range;
use crate::rules::{ExprError, nearest};

/// The largest number of steps of a path.
const STEPS_MAX: usize = 32;
/// The largest number of elements of a list that is looked at.
pub(super) const ELEMENTS_MAX: usize = 10_000;

/// Where a value lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As written.
    pub text: String,
    pub root: Root,
    pub steps: Vec<Step>,
    /// Its place: in the text that it was parsed from, then in the file.
    pub(super) range: Range,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The record's value.
    Value,
    /// The element of the list that `each` names.
    Each,
    Key,
    Header(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member, field or entry of this name.
    Name(String),
    /// The element at this place, from 0.
    Place(u32),
    /// The first element whose member `by` is `is`.
    Keyed { by: String, is: String },
}

/// What follows an `@`.
const META: [(&str, Root); 4] =
    [("topic", Root::Topic), ("partition", Root::Partition), ("offset", Root::Offset), ("timestamp", Root::Timestamp)];

impl Path {
    /// Parses a text that is nothing but a path.
    ///
    /// # Errors
    /// What is wrong with it, with the range in `text`.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        if text.trim().is_empty() {
            return Err(error(0, text.len(), "a path is empty").hint("name a field, as in `buyer.id`"));
        }
        let (path, end) = scan(text, 0)?;
        match text[end..].chars().next() {
            None => Ok(path),
            Some(c) if c.is_whitespace() => {
                let message = "a path has no spaces";
                Err(error(end, text.len(), message)
                    .hint("put a name with spaces in brackets and quotes: [\"first name\"]"))
            }
            Some(c) => Err(unfit(c, end)),
        }
    }

    /// Does it lie in the element of `each`?
    #[must_use]
    pub fn is_of_an_element(&self) -> bool {
        self.root == Root::Each
    }
}

/// The path of the header of a name.
#[must_use]
pub fn header_path(name: &str) -> String {
    match !name.is_empty() && name.chars().all(is_of_a_name) {
        true => format!("header.{name}"),
        false => format!("header[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The path that begins at `start`, and where it ends.
pub(super) fn scan(text: &str, start: usize) -> Result<(Path, usize), ExprError> {
    let mut scanner = Scanner { text, at: start };
    let root = scanner.root()?;
    let mut steps = Vec::new();
    let is_whole = !matches!(root, Root::Value | Root::Each | Root::Key);
    if root == Root::Value && scanner.peek() != Some('[') {
        steps.push(Step::Name(scanner.name()?));
    }
    loop {
        let here = scanner.at;
        let step = match scanner.peek() {
            Some('.') => {
                scanner.at += 1;
                Step::Name(scanner.name()?)
            }
            Some('[') => scanner.bracket()?,
            _ => break,
        };
        if is_whole {
            let message = format!("nothing lies within `{}`", &text[start..here]);
            let hint = match root {
                Root::Header(_) => {
                    "the value of a header is one text; put a name with points in brackets: header[\"a.b\"]"
                }
                _ => "end the path here",
            };
            return Err(error(here, scanner.at, &message).hint(hint));
        }
        steps.push(step);
        if steps.len() > STEPS_MAX {
            return Err(error(start, scanner.at, &format!("a path has at most {STEPS_MAX} steps")));
        }
    }
    let range = Range { start, end: scanner.at };
    Ok((Path { text: text[start..scanner.at].to_owned(), root, steps, range }, scanner.at))
}

/// Can a name in a path have this character without quotes?
pub(super) fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$')
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn root(&mut self) -> Result<Root, ExprError> {
        let start = self.at;
        if self.peek() == Some('@') {
            self.at += 1;
            let word = self.take_while(is_of_a_name).to_owned();
            let found = META.into_iter().find(|(name, _)| *name == word);
            return found.map(|(_, root)| root).ok_or_else(|| {
                let near = nearest(&word, META.iter().map(|(name, _)| *name));
                let hint = match near {
                    Some(near) => format!("did you mean `@{near}`?"),
                    None => "there are @topic, @partition, @offset and @timestamp".to_owned(),
                };
                error(start, self.at, &format!("`@{word}` is nothing that a record has")).hint(hint)
            });
        }
        let word = self.take_while(is_of_a_name).to_owned();
        match word.as_str() {
            "each" => Ok(Root::Each),
            "key" => Ok(Root::Key),
            "header" => {
                let step = match self.peek() {
                    Some('.') => {
                        self.at += 1;
                        Step::Name(self.name()?)
                    }
                    Some('[') => self.bracket()?,
                    _ => Step::Place(0),
                };
                match step {
                    Step::Name(name) if !name.is_empty() => Ok(Root::Header(name)),
                    _ => Err(error(start, self.at, "`header` needs the name of a header")
                        .hint("write it as `header.ce_type`")),
                }
            }
            _ => {
                self.at = start;
                Ok(Root::Value)
            }
        }
    }

    fn name(&mut self) -> Result<String, ExprError> {
        let start = self.at;
        let name = self.take_while(is_of_a_name).to_owned();
        if !name.is_empty() {
            return Ok(name);
        }
        match self.peek() {
            None => Err(error(start.saturating_sub(1), start, "a path ends with a point")
                .hint("name what follows, or remove it")),
            Some('.') => Err(error(start, start + 1, "a name is missing between two points")),
            Some(c) => Err(unfit(c, start)),
        }
    }

    /// `["name"]`, `[0]` or `[key=text]`.
    fn bracket(&mut self) -> Result<Step, ExprError> {
        let start = self.at;
        self.at += 1;
        let step = match self.peek() {
            Some('"') => {
                let name = self.quoted()?;
                if self.peek() == Some('=') { self.keyed(name)? } else { Step::Name(name) }
            }
            Some(c) if c.is_ascii_digit() => {
                let digits = self.take_while(|c| c.is_ascii_digit()).to_owned();
                let place = digits.parse().ok().filter(|place| (*place as usize) < ELEMENTS_MAX);
                let message = format!("only the first {ELEMENTS_MAX} elements of a list are looked at");
                Step::Place(place.ok_or_else(|| error(start, self.at, &message))?)
            }
            Some('-') => {
                self.take_while(|c| c != ']');
                return Err(
                    error(start, self.at, "elements are counted from the beginning").hint("the first one is [0]")
                );
            }
            Some('\'') => {
                self.take_while(|c| c != ']');
                return Err(
                    error(start, self.at, "a name in brackets is in double quotes").hint("write [\"odd.name\"]")
                );
            }
            _ => {
                let by = self.take_while(is_of_a_name).to_owned();
                if by.is_empty() || self.peek() != Some('=') {
                    self.take_while(|c| c != ']');
                    let message = "brackets hold a place, a name in quotes, or what an element must have";
                    let hint = "write [0], [\"odd.name\"] or [key=colour]";
                    return Err(error(start, (self.at + 1).min(self.text.len()), message).hint(hint));
                }
                self.keyed(by)?
            }
        };
        if self.peek() != Some(']') {
            return Err(error(start, self.at, "this bracket is not closed").hint("write `]`"));
        }
        self.at += 1;
        Ok(step)
    }

    /// After the name, from `=` on.
    fn keyed(&mut self, by: String) -> Result<Step, ExprError> {
        self.at += 1;
        let start = self.at;
        let is = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.take_while(|c| !matches!(c, ']' | '[' | '"')).to_owned(),
        };
        if is.is_empty() {
            return Err(error(start - 1, start, "what the element must have is missing").hint("write [key=colour]"));
        }
        Ok(Step::Keyed { by, is })
    }

    fn quoted(&mut self) -> Result<String, ExprError> {
        let start = self.at;
        let mut name = String::new();
        let mut chars = self.text[start..].char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(name);
                }
                '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
                c => name.push(c),
            }
        }
        Err(error(start, self.text.len(), "this quote is not closed"))
    }
}

/// A character that no path has.
fn unfit(c: char, at: usize) -> ExprError {
    let hint = match c {
        '/' => "join names with points, as in `buyer.id`",
        '*' => "there is no wildcard; name each field",
        _ => "put a name with other characters in brackets and quotes: [\"odd.name\"]",
    };
    error(at, at + c.len_utf8(), &format!("`{c}` cannot be part of a path")).hint(hint)
}

fn error(start: usize, end: usize, message: &str) -> ExprError {
    ExprError::new(Range { start, end }, message)
}

#[cfg(test)]
mod tests {
    use super::{Path, Root, Step, header_path};

    fn steps(text: &str) -> (Root, Vec<Step>) {
        let path = Path::parse(text).unwrap();
        assert_eq!(path.text, text);
        (path.root, path.steps)
    }

    fn name(name: &str) -> Step {
        Step::Name(name.to_owned())
    }

    #[test]
    fn names_places_and_keys_are_steps() {
        assert_eq!(steps("buyer.id"), (Root::Value, vec![name("buyer"), name("id")]));
        assert_eq!(steps(r#"["odd.name"].x"#), (Root::Value, vec![name("odd.name"), name("x")]));
        assert_eq!(steps("[0].é-1"), (Root::Value, vec![Step::Place(0), name("é-1")]));
        let keyed = |by: &str, is: &str| Step::Keyed { by: by.into(), is: is.into() };
        assert_eq!(steps("p[key=a b].v"), (Root::Value, vec![name("p"), keyed("key", "a b"), name("v")]));
        assert_eq!(steps(r#"p["k.k"="]"]"#), (Root::Value, vec![name("p"), keyed("k.k", "]")]));
    }

    #[test]
    fn the_first_word_says_where_a_path_begins_unless_it_is_in_brackets() {
        assert_eq!(steps("each"), (Root::Each, vec![]));
        assert_eq!(steps("each[1].x"), (Root::Each, vec![Step::Place(1), name("x")]));
        assert_eq!(steps("key.id"), (Root::Key, vec![name("id")]));
        assert_eq!(steps("header.ce_type"), (Root::Header("ce_type".into()), vec![]));
        assert_eq!(steps(r#"header["a.b"]"#), (Root::Header("a.b".into()), vec![]));
        for name in ["ce_type", "a.b", "a[0]", r#"a"\b"#, "é"] {
            assert_eq!(steps(&header_path(name)), (Root::Header(name.into()), vec![]));
        }
        assert_eq!(steps("@timestamp"), (Root::Timestamp, vec![]));
        assert_eq!(steps(r#"["key"].id"#), (Root::Value, vec![name("key"), name("id")]));
        assert_eq!(steps("keys.id"), (Root::Value, vec![name("keys"), name("id")]));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in [
            "",
            " ",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[x]",
            "a[-1]",
            "a[10000]",
            "a['b']",
            "a[k=]",
            "a b",
            "a/b",
            "a.*",
            "@now",
            "@topic.x",
            "header",
            "header[0]",
            "header.a.b",
            "[\"a",
            &"a.".repeat(40),
        ] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }
}
