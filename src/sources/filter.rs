//! Conditions on a record: `where` and `became`.
//!
//! ```text
//! condition   = all { "or" all }
//! all         = part { "and" part }
//! part        = "not" part | "(" condition ")" | path test
//! test        = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!             | "in" "(" value { "," value } ")" | "contains" value | "is" ( "missing" | "known" )
//! ```
//!
//! A test of a missing value is false, whatever the test, except `is missing`. Between different types only `!=` is
//! true.

use crate::event::{Kept, Number};
use crate::rules::ExprError;
use crate::rules::ast::{Op, Range};

use super::path::{Path, is_of_a_name, scan};

/// Maximum nesting of parentheses and `not`.
const DEPTH_MAX: usize = 32;

/// Words that are no paths where they stand alone.
const RESERVED: [&str; 10] = ["and", "or", "not", "in", "contains", "is", "missing", "known", "true", "false"];

/// A condition on what `P` finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<P> {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Test(P, Test),
}

/// What is asked of one value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Compare(Op, Kept),
    In(Vec<Kept>),
    /// A text has this part, or a list this element.
    Contains(Kept),
    Missing,
    Known,
}

impl<P> Filter<P> {
    /// The same condition on other paths.
    pub(super) fn map<Q>(&self, of: &mut impl FnMut(&P, &Test) -> Q) -> Filter<Q> {
        match self {
            Self::And(parts) => Filter::And(parts.iter().map(|part| part.map(of)).collect()),
            Self::Or(parts) => Filter::Or(parts.iter().map(|part| part.map(of)).collect()),
            Self::Not(inner) => Filter::Not(Box::new(inner.map(of))),
            Self::Test(path, test) => Filter::Test(of(path, test), test.clone()),
        }
    }

    /// Every path, in the order written.
    pub(super) fn paths(&self) -> Vec<&P> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::paths).collect(),
            Self::Not(inner) => inner.paths(),
            Self::Test(path, _) => vec![path],
        }
    }

    /// Does it hold where `holds` answers the tests?
    pub(super) fn holds(&self, holds: &impl Fn(&P, &Test) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(holds)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(holds)),
            Self::Not(inner) => !inner.holds(holds),
            Self::Test(path, test) => holds(path, test),
        }
    }
}

impl Filter<Path> {
    /// Parses a condition, all of the text.
    ///
    /// # Errors
    /// The first mistake, with its range in `text` and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let filter = parser.or()?;
        match parser.token()? {
            (Token::End, _) => Ok(filter),
            (_, range) => Err(ExprError::new(range, "expected `and`, `or` or the end of the condition")),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Path(Path),
    Word(&'static str),
    Value(Kept),
    Symbol(&'static str),
    End,
}

/// Operators and quotes of other languages, and what to write instead.
const HABITS: [(&str, &str); 12] = [
    ("&&", "`and`"),
    ("||", "`or`"),
    ("==", "`=`"),
    ("<>", "`!=`"),
    ("=>", "`>=`"),
    ("=<", "`<=`"),
    ("!", "`not`, or `!=` between two values"),
    ("'", "double quotes, \"...\""),
    ("“", "straight quotes, \"...\""),
    ("”", "straight quotes, \"...\""),
    ("’", "straight quotes, \"...\""),
    ("%", "`contains`, as in `email contains \"@example.com\"`"),
];

const SYMBOLS: [&str; 9] = [">=", "<=", "!=", "=", ">", "<", "(", ")", ","];

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, ExprError>;

impl Parser<'_> {
    fn or(&mut self) -> Parsed<Filter<Path>> {
        self.list("or", Self::and, Filter::Or)
    }

    fn and(&mut self) -> Parsed<Filter<Path>> {
        self.list("and", Self::part, Filter::And)
    }

    fn list(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Filter<Path>>,
        all: fn(Vec<Filter<Path>>) -> Filter<Path>,
    ) -> Parsed<Filter<Path>> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.takes(&|token| matches!(token, Token::Word(found) if *found == word))? {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { all(parts) })
    }

    fn part(&mut self) -> Parsed<Filter<Path>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let range = Range { start: self.at, end: self.at + 1 };
            return Err(ExprError::new(range, format!("a condition is nested at most {DEPTH_MAX} levels deep")));
        }
        let part = match self.token()? {
            (Token::Word("not"), _) => Filter::Not(Box::new(self.part()?)),
            (Token::Symbol("("), _) => {
                let inner = self.or()?;
                self.expect(")", "`and`, `or` or `)`")?;
                inner
            }
            (Token::Path(path), _) => Filter::Test(path, self.test()?),
            (Token::Word(word), range) => {
                let hint = format!("a field of this name is written [\"{word}\"]");
                return Err(ExprError::new(range, format!("expected a path, found `{word}`")).hint(hint));
            }
            (Token::Value(_), range) => {
                let hint = "the path comes first, as in `status = \"PAID\"`";
                return Err(ExprError::new(range, "expected a path, found a value").hint(hint));
            }
            (Token::End, range) => return Err(ExprError::new(range, "expected a path, but the condition ends here")),
            (Token::Symbol(symbol), range) => {
                return Err(ExprError::new(range, format!("expected a path, found `{symbol}`")));
            }
        };
        self.depth -= 1;
        Ok(part)
    }

    fn test(&mut self) -> Parsed<Test> {
        match self.token()? {
            (Token::Symbol(symbol), range) => match Op::of_symbol(symbol) {
                Some(op) => Ok(Test::Compare(op, self.value()?)),
                None => Err(no_test(range)),
            },
            (Token::Word("in"), _) => {
                self.no_square_bracket()?;
                self.expect("(", "`(` and a list of values, as in `in (\"PAID\", \"SHIPPED\")`")?;
                let mut values = vec![self.value()?];
                while self.takes(&|token| *token == Token::Symbol(","))? {
                    values.push(self.value()?);
                }
                self.expect(")", "`,` or `)`")?;
                Ok(Test::In(values))
            }
            (Token::Word("contains"), _) => Ok(Test::Contains(self.value()?)),
            (Token::Word("is"), _) => match self.token()? {
                (Token::Word("missing"), _) => Ok(Test::Missing),
                (Token::Word("known"), _) => Ok(Test::Known),
                (Token::Path(path), range) if path.text.eq_ignore_ascii_case("null") => {
                    Err(ExprError::new(range, "`null` is not a value here").hint("write `is missing` or `is known`"))
                }
                (Token::Word("not"), range) => Err(ExprError::new(range, "expected `missing` or `known`")
                    .hint("write `is missing`, or `not` before the path")),
                (_, range) => Err(ExprError::new(range, "expected `missing` or `known`")),
            },
            (Token::Path(path), range) if path.text.eq_ignore_ascii_case("like") => {
                Err(no_test(range).hint("write `contains` for a part of a text"))
            }
            (_, range) => Err(no_test(range)),
        }
    }

    /// A list in the brackets of other languages.
    fn no_square_bracket(&self) -> Parsed<()> {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        if !rest.starts_with('[') {
            return Ok(());
        }
        let range = Range { start, end: start + 1 };
        Err(ExprError::new(range, "a list of values is in round brackets").hint("write `in (\"PAID\", \"SHIPPED\")`"))
    }

    fn value(&mut self) -> Parsed<Kept> {
        match self.token()? {
            (Token::Value(value), _) => Ok(value),
            (Token::Word("true"), _) => Ok(Kept::Bool(true)),
            (Token::Word("false"), _) => Ok(Kept::Bool(false)),
            (Token::Path(path), range) if path.text.eq_ignore_ascii_case("null") => {
                Err(ExprError::new(range, "`null` is not a value here").hint("write `is missing` or `is known`"))
            }
            (Token::Path(path), range) => Err(ExprError::new(range, "expected a number, a text, true or false")
                .hint(format!("texts are in double quotes: \"{}\"", path.text))),
            (_, range) => Err(ExprError::new(range, "expected a number, a text, true or false")),
        }
    }

    fn expect(&mut self, symbol: &'static str, what: &str) -> Parsed<()> {
        match self.token()? {
            (Token::Symbol(found), _) if found == symbol => Ok(()),
            (_, range) => Err(ExprError::new(range, format!("expected {what}"))),
        }
    }

    /// Takes the next token if it is the one that is wanted.
    fn takes(&mut self, wanted: &dyn Fn(&Token) -> bool) -> Parsed<bool> {
        let before = self.at;
        let (token, _) = self.token()?;
        let is_wanted = wanted(&token);
        if !is_wanted {
            self.at = before;
        }
        Ok(is_wanted)
    }

    fn token(&mut self) -> Parsed<(Token, Range)> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        let (start, rest) = (self.at, &self.text[self.at..]);
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, Range { start, end: start }));
        };
        if let Some((written, meant)) =
            HABITS.iter().find(|(written, _)| rest.starts_with(written) && !rest.starts_with("!="))
        {
            let range = Range { start, end: start + written.len() };
            return Err(
                ExprError::new(range, format!("`{written}` is not an operator here")).hint(format!("write {meant}"))
            );
        }
        let token = if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            Token::Symbol(symbol)
        } else if first == '"' {
            Token::Value(Kept::Text(self.text_in_quotes()?.into()))
        } else if first.is_ascii_digit() || first == '-' {
            Token::Value(Kept::Number(self.number()?))
        } else {
            let word = &rest[..rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len())];
            let goes_on = rest[word.len()..].starts_with(['.', '[']);
            match RESERVED.iter().find(|reserved| **reserved == word && !goes_on) {
                Some(reserved) => {
                    self.at += word.len();
                    Token::Word(reserved)
                }
                None => {
                    let (path, end) = scan(self.text, start)?;
                    self.at = end;
                    Token::Path(path)
                }
            }
        };
        Ok((token, Range { start, end: self.at }))
    }

    fn number(&mut self) -> Parsed<Number> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(rest.len());
        let range = Range { start: self.at, end: self.at + length };
        self.at += length;
        let is_other = self.text[self.at..].starts_with(is_of_a_name) || rest[1..length].contains('-');
        if is_other {
            return Err(ExprError::new(range, "this is not a number").hint("put a text, or a date, in double quotes"));
        }
        Number::parse(&rest[..length])
            .ok_or_else(|| ExprError::new(range, "a number has at most six decimal places and 18 digits"))
    }

    fn text_in_quotes(&mut self) -> Parsed<String> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.text[start..].char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                c => text.push(c),
            }
        }
        Err(ExprError::new(Range { start, end: self.text.len() }, "this quote is not closed"))
    }
}

fn no_test(range: Range) -> ExprError {
    ExprError::new(range, "expected a comparison (= != < <= > >=), `in`, `contains`, `is missing` or `is known`")
}

#[cfg(test)]
mod tests {
    use super::{Filter, Path, Test};
    use crate::event::{Kept, Number};

    /// With every test of `yes` true, and of other paths false.
    fn holds(text: &str) -> bool {
        Filter::parse(text).unwrap().holds(&|path: &Path, _| path.text == "yes")
    }

    #[test]
    fn not_binds_closer_than_and_and_and_closer_than_or() {
        for (text, expected) in [
            ("yes = 1 or no = 1 and no = 1", true),
            ("(yes = 1 or no = 1) and no = 1", false),
            ("not no = 1 and yes = 1", true),
            ("not (no = 1 or yes = 1)", false),
            ("not not yes is known", true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_numbers_texts_and_flags() {
        let filter = Filter::parse(r#"a.b["c d"] in (-1.5, "x \"y\"", true)"#).unwrap();
        let Filter::Test(path, Test::In(values)) = filter else { panic!("{filter:?}") };
        assert_eq!(path.text, r#"a.b["c d"]"#);
        let expected = [Kept::Number(Number(-1_500_000)), Kept::Text("x \"y\"".into()), Kept::Bool(true)];
        assert_eq!(values, expected);
    }

    #[test]
    fn words_of_the_language_are_paths_within_longer_ones() {
        let filter = Filter::parse(r#"is.known is known and ["in"] in (1)"#).unwrap();
        let texts: Vec<&str> = filter.paths().into_iter().map(|path| path.text.as_str()).collect();
        assert_eq!(texts, ["is.known", "[\"in\"]"]);
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        assert!(Filter::parse(&"(".repeat(100_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
        assert!(Filter::parse(&format!("{}a = 1{}", "(".repeat(30), ")".repeat(30))).is_ok());
    }
}
