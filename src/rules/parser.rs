//! Parses expressions by recursive descent, one function per rule of the grammar.

mod measure;
mod step;
mod value;
mod window;

use super::ast::{
    Bound, Count, Did, Duration, Events, Expr, ExprKind, Measure, Mode, Name, Next, Op, Range, Rank, RankEnd, RankSize,
    Sequence, Silent, Step, Streak, Window,
};
use super::error::{ExprError, nearest};
use super::lexer::{Token, TokenKind, tokens};

type Parsed<T> = Result<T, ExprError>;

const RHYTHM_STANDS_ALONE: &str = "`times a week in ...` cannot be combined with `not`, a window or `even if new`";

/// Maximum nesting of parentheses and measures.
const DEPTH_MAX: usize = 64;

/// Parses one expression, all of it.
///
/// # Errors
/// The first syntax error, with its location in `text` and what was expected there.
pub fn parse(text: &str) -> Parsed<Expr> {
    let mut parser = Parser::new(text)?;
    let expr = parser.or()?;
    parser.end()?;
    Ok(expr)
}

/// Parses a single duration, as in `cooldown = "14 days"`.
///
/// # Errors
/// As for `parse`.
pub fn parse_duration(text: &str) -> Parsed<Duration> {
    let mut parser = Parser::new(text)?;
    let duration = parser.duration()?;
    parser.end()?;
    Ok(duration)
}

/// Parses a single measure, as in `basket = "average(purchase.amount in the last 90 days)"`.
///
/// # Errors
/// As for `parse`.
pub fn parse_measure(text: &str) -> Parsed<Measure> {
    let mut parser = Parser::new(text)?;
    let measure = parser.measure()?;
    match parser.peek() {
        TokenKind::End => Ok(measure),
        _ => Err(parser.expected(&["the end of the measure"])),
    }
}

/// Parses a single `event.property`, as in `plan = "signup.plan"`.
///
/// # Errors
/// As for `parse`.
pub fn parse_attribute(text: &str) -> Parsed<(Name, Name)> {
    let mut parser = Parser::new(text)?;
    let event = parser.name("an event")?;
    parser.punctuation(".")?;
    let property = parser.name("a property")?;
    match parser.peek() {
        TokenKind::End => Ok((event, property)),
        _ => Err(parser.expected(&["the end of the attribute"])),
    }
}

/// Parses events with their tests, as in `on = "purchase where amount > 0"`.
///
/// # Errors
/// As for `parse`.
pub fn parse_step(text: &str) -> Parsed<Step> {
    let mut parser = Parser::new(text)?;
    let step = parser.step()?;
    match parser.peek() {
        TokenKind::End => Ok(step),
        _ => Err(parser.expected(&["`where`", "the end"])),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn new(text: &str) -> Parsed<Self> {
        Ok(Self { tokens: tokens(text)?, at: 0, depth: 0 })
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn peek_at(&self, ahead: usize) -> &TokenKind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    fn range(&self) -> Range {
        self.tokens[self.at].range
    }

    /// From `start` to the end of the last token taken.
    fn since(&self, start: Range) -> Range {
        start.to(self.tokens[self.at.saturating_sub(1)].range)
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Word(found) if found == word)
    }

    fn is_symbol(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Symbol(found) if *found == symbol)
    }

    /// Takes `word` if it comes next.
    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        if found {
            self.take();
        }
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(0, symbol);
        if found {
            self.take();
        }
        found
    }

    /// Takes all of `words` or fails at the first that is not there.
    fn words(&mut self, words: &str) -> Parsed<()> {
        for word in words.split(' ') {
            if !self.word(word) {
                return Err(self.expected(&[word]));
            }
        }
        Ok(())
    }

    fn punctuation(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.expected(&[symbol])) }
    }

    /// The error for a missing word, with the nearest of the expected words as a hint.
    fn expected(&self, what: &[&str]) -> ExprError {
        let list = what.iter().map(|w| if w.contains(' ') { (*w).to_owned() } else { format!("`{w}`") });
        let list = list.collect::<Vec<_>>().join(" or ");
        match self.peek() {
            TokenKind::End => ExprError::new(self.range(), format!("expected {list}, but the expression ends here")),
            TokenKind::Word(word) => {
                let error = ExprError::new(self.range(), format!("expected {list}, found `{word}`"));
                match nearest(word, what.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                }
            }
            _ => ExprError::new(self.range(), format!("expected {list}")),
        }
    }

    fn end(&self) -> Parsed<()> {
        if matches!(self.peek(), TokenKind::End) {
            return Ok(());
        }
        let after_number = self.at > 0 && matches!(self.tokens[self.at - 1].kind, TokenKind::Number(_));
        let hint = match self.peek() {
            TokenKind::Symbol(",") | TokenKind::Number(_) if after_number => {
                "write numbers without separators, and with a decimal point: 1000.5"
            }
            TokenKind::Symbol("%") if after_number => "remove the sign",
            TokenKind::Word(word) if after_number && nearest(word, ["and", "or"]).is_none() => {
                "write the number without a currency or a unit"
            }
            _ => return Err(self.expected(&["and", "or", "the end of the rule"])),
        };
        Err(self.expected(&["and", "or", "the end of the rule"]).hint(hint))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(ExprError::new(self.range(), format!("nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Parsed<Expr> {
        self.chain("or", Self::and, ExprKind::Or)
    }

    fn and(&mut self) -> Parsed<Expr> {
        self.chain("and", Self::unary, ExprKind::And)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Expr>,
        join: fn(Vec<Expr>) -> ExprKind,
    ) -> Parsed<Expr> {
        let start = self.range();
        let first = part(self)?;
        if !self.is_word(0, word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        Ok(Expr { kind: join(parts), range: self.since(start) })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.range();
        if !self.word("not") {
            return self.atom();
        }
        let inner = self.atom()?;
        let range = self.since(start);
        // `not did E` means `did not E`, also in parentheses: it waits until the customer has been known long enough.
        let kind = match inner.kind {
            ExprKind::Did(Did { count: Some(Count::Rhythm { .. }), .. }) => {
                return Err(ExprError::new(start, RHYTHM_STANDS_ALONE).hint("reverse the bound: `in at most ...`"));
            }
            ExprKind::Did(did) => ExprKind::Did(Did { negated: !did.negated, ..did }),
            _ => ExprKind::Not(Box::new(inner)),
        };
        Ok(Expr { kind, range })
    }

    fn atom(&mut self) -> Parsed<Expr> {
        let start = self.range();
        if self.symbol("(") {
            let inner = self.deeper(Self::or)?;
            self.punctuation(")")?;
            return Ok(Expr { kind: inner.kind, range: self.since(start) });
        }
        let kind = self.condition()?;
        Ok(Expr { kind, range: self.since(start) })
    }

    fn condition(&mut self) -> Parsed<ExprKind> {
        let TokenKind::Word(word) = self.peek().clone() else {
            return if matches!(self.peek(), TokenKind::Quoted(_)) {
                self.named_condition()
            } else {
                Err(self.expected(&["a condition"]))
            };
        };
        match word.as_str() {
            "did" => self.did(),
            "silent" => self.silent(),
            "entered" | "left" => self.membership_change(),
            "agreed" => {
                self.words("agreed to")?;
                Ok(ExprKind::Consent { given: true, name: self.name("a consent")? })
            }
            "refused" => {
                self.take();
                Ok(ExprKind::Consent { given: false, name: self.name("a consent")? })
            }
            "among" => {
                self.words("among the")?;
                let count = self.integer("how many")?;
                let end = self.rank_end("highest", "lowest")?;
                self.rank_by(end, RankSize::Count(count))
            }
            "in" => {
                self.take();
                if self.word("the") {
                    let end = self.rank_end("top", "bottom")?;
                    let percent = self.number("a percentage")?;
                    self.punctuation("%")?;
                    self.rank_by(end, RankSize::Percent(percent))
                } else {
                    self.in_cohort()
                }
            }
            "any" | "anything" | "each" | "latest" => self.sequence(None),
            "count" | "sum" | "average" | "median" | "min" | "max" | "distinct" | "first" | "last" | "most_common"
            | "time" | "usual" | "active" | "change" | "ratio" | "steps" => self.compare(),
            _ => self.named_condition(),
        }
    }

    /// A condition that begins with a name: `A then ...`, or a comparison of an attribute.
    fn named_condition(&mut self) -> Parsed<ExprKind> {
        let is_sequence = self.is_word(1, "then") || self.is_word(1, "where");
        if is_sequence {
            return self.sequence(None);
        }
        let compares = matches!(self.peek_at(1), TokenKind::Symbol(s) if Op::of_symbol(s).is_some())
            || self.is_word(1, "is")
            || self.is_word(1, "between");
        if !compares && let TokenKind::Word(word) = self.peek() {
            let starts = [
                "did", "not", "silent", "in", "entered", "left", "agreed", "refused", "count", "sum", "average",
                "median", "time", "usual", "active", "change", "ratio", "steps", "among", "each", "latest", "distinct",
                "any",
            ];
            if let Some(near) = nearest(word, starts) {
                let message = format!("`{word}` does not begin a condition");
                return Err(ExprError::new(self.range(), message).hint(format!("did you mean `{near}`?")));
            }
            let message = format!("`{word}` alone is not a condition");
            let hint = format!("write `did {word}`, `{word} then ...`, or compare it: `{word} = ...`");
            return Err(ExprError::new(self.range(), message).hint(hint));
        }
        self.compare()
    }

    fn did(&mut self) -> Parsed<ExprKind> {
        self.words("did")?;
        let negated = self.word("not");
        let step = self.step()?;
        if self.is_word(0, "every") {
            let Step { events, filters } = step;
            if negated || !filters.is_empty() {
                return Err(ExprError::new(self.range(), "a streak cannot be combined with `not` or `where`"));
            }
            return self.streak(events);
        }
        let start = self.range();
        let count = self.count()?;
        let window = self.window()?;
        let even_if_new = self.even_if_new()?;
        if matches!(count, Some(Count::Rhythm { .. })) && (negated || window != Window::Ever || even_if_new) {
            return Err(ExprError::new(self.since(start), RHYTHM_STANDS_ALONE));
        }
        Ok(ExprKind::Did(Did { negated, step, count, window, even_if_new }))
    }

    fn streak(&mut self, step: Events) -> Parsed<ExprKind> {
        self.words("every")?;
        let unit = self.calendar_unit()?;
        self.words("for")?;
        let start = self.range();
        let bound = self.bound()?;
        let length = self.integer("how many")?;
        let length_unit = self.calendar_unit()?;
        if bound != Bound::AtLeast {
            return Err(ExprError::new(self.since(start), "a streak must be `for at least N ... in a row`"));
        }
        if unit != length_unit {
            return Err(ExprError::new(self.since(start), "both units of a streak must be the same"));
        }
        self.words("in a row")?;
        Ok(ExprKind::Streak(Streak { step, unit, bound, length, length_unit }))
    }

    fn silent(&mut self) -> Parsed<ExprKind> {
        self.words("silent")?;
        let on = if self.word("on") { Some(self.events()?) } else { None };
        self.words("for")?;
        let span = self.duration()?;
        Ok(ExprKind::Silent(Silent { on, span, even_if_new: self.even_if_new()? }))
    }

    fn even_if_new(&mut self) -> Parsed<bool> {
        if !self.word("even") {
            return Ok(false);
        }
        self.words("if new")?;
        Ok(true)
    }

    fn membership_change(&mut self) -> Parsed<ExprKind> {
        let entered = self.either("entered", "left")?;
        let cohort = self.name("a cohort")?;
        let count = if entered { self.count()? } else { None };
        let window = self.window()?;
        Ok(if entered { ExprKind::Entered { cohort, count, window } } else { ExprKind::Left { cohort, window } })
    }

    fn in_cohort(&mut self) -> Parsed<ExprKind> {
        let cohort = self.name("a cohort")?;
        let stay = if self.word("for") { Some((self.bound()?, self.duration()?)) } else { None };
        Ok(ExprKind::InCohort { cohort, stay })
    }

    fn rank_end(&mut self, highest: &str, lowest: &str) -> Parsed<RankEnd> {
        Ok(if self.either(highest, lowest)? { RankEnd::Highest } else { RankEnd::Lowest })
    }

    fn rank_by(&mut self, end: RankEnd, size: RankSize) -> Parsed<ExprKind> {
        self.words("by")?;
        let by = self.measure()?;
        let among = if self.word("among") { Some(self.name("a cohort")?) } else { None };
        Ok(ExprKind::Rank(Rank { end, size, by, among }))
    }

    fn sequence(&mut self, mode: Option<Mode>) -> Parsed<ExprKind> {
        let start = self.range();
        let mode = match () {
            () if self.word("each") => Some(Mode::Each),
            () if self.word("latest") => Some(Mode::Latest),
            () => mode,
        };
        let first = self.step()?;
        let mut next = Vec::new();
        while self.word("then") {
            let absent = self.word("no");
            let step = self.step()?;
            self.words("within")?;
            next.push(Next { absent, step, within: self.duration()? });
        }
        if next.is_empty() {
            return Err(self.expected(&["then"]));
        }
        let key = if self.word("per") { Some(self.name("a property")?) } else { None };
        let without_start = self.range();
        let without = if self.word("without") {
            let events = self.events()?;
            self.words("between")?;
            Some(events)
        } else {
            None
        };
        let without_range = self.since(without_start);
        let window = self.window()?;
        let absences = next.iter().filter(|n| n.absent).count();
        if absences > 0 && next.len() > 1 {
            return Err(ExprError::new(
                self.since(start),
                "`then no` cannot be combined with other steps: write `A then no B within D`",
            )
            .hint("split it into two conditions joined by `and`"));
        }
        if absences == 0 && mode.is_some() {
            return Err(ExprError::new(start, "`each` and `latest` are only valid in `A then no B within D`"));
        }
        if absences > 0 && without.is_some() {
            return Err(ExprError::new(without_range, "`without ... between` is only valid in `A then B within D`"));
        }
        Ok(ExprKind::Sequence(Sequence { mode, first, next, key, without, window }))
    }
}
