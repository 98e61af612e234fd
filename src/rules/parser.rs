//! Tokens to a tree: recursive descent over the whole grammar, one function per rule of it.

use super::ast::{
    Bound, Compare, CompareTest, Count, Did, Duration, Edge, Events, Expr, ExprKind, Filter, FilterTest, Function,
    Literal, Measure, MeasureKind, Mode, Name, Next, Op, Operand, Range, Rank, RankSize, Sequence, Silent, Step,
    Streak, Unit, Window,
};
use super::error::{ExprError, nearest};
use super::lexer::{Token, TokenKind, tokens};
use crate::event::{Number, Span};

type Parsed<T> = Result<T, ExprError>;

/// Words of the grammar, never bare names. Unit words are not among them.
const RESERVED: &[&str] = &[
    "a",
    "active",
    "ago",
    "agreed",
    "among",
    "and",
    "any",
    "anything",
    "at",
    "average",
    "between",
    "bottom",
    "by",
    "calendar",
    "change",
    "contains",
    "count",
    "did",
    "different",
    "distinct",
    "each",
    "entered",
    "even",
    "ever",
    "every",
    "exactly",
    "false",
    "fewer",
    "first",
    "for",
    "from",
    "gap",
    "highest",
    "if",
    "in",
    "is",
    "known",
    "last",
    "latest",
    "least",
    "left",
    "lowest",
    "max",
    "median",
    "min",
    "missing",
    "more",
    "most",
    "most_common",
    "new",
    "no",
    "not",
    "of",
    "on",
    "once",
    "or",
    "over",
    "per",
    "ratio",
    "refused",
    "row",
    "silent",
    "since",
    "steps",
    "sum",
    "than",
    "the",
    "then",
    "time",
    "times",
    "to",
    "top",
    "true",
    "usual",
    "via",
    "where",
    "with",
    "within",
    "without",
    "x",
];

const RHYTHM_STANDS_ALONE: &str = "`times a week in ...` takes neither `not`, a window nor `even if new`";

/// The deepest nesting of parentheses and measures; far beyond what anyone reads aloud.
const DEPTH_MAX: usize = 64;

/// Parses one expression, all of it.
///
/// # Errors
/// The first thing that does not fit, with its place in `text` and what was expected there.
pub fn parse(text: &str) -> Parsed<Expr> {
    let mut parser = Parser::new(text)?;
    let expr = parser.or()?;
    parser.end()?;
    Ok(expr)
}

/// Parses a duration standing alone, as in `cooldown = "14 days"`.
///
/// # Errors
/// As for `parse`.
pub fn parse_duration(text: &str) -> Parsed<Duration> {
    let mut parser = Parser::new(text)?;
    let duration = parser.duration()?;
    parser.end()?;
    Ok(duration)
}

/// Parses a measure standing alone, as in `basket = "average(purchase.amount in the last 90 days)"`.
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

/// Parses `event.property` standing alone, as in `plan = "signup.plan"`.
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

/// Parses events with their tests standing alone, as in `on = "purchase where amount > 0"`.
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

/// Is it a word of the grammar, which only quotes make a name?
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
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

    /// "expected ... here", with the nearest of the expected words if one was nearly written.
    fn expected(&self, what: &[&str]) -> ExprError {
        let list = what.iter().map(|w| if w.contains(' ') { (*w).to_owned() } else { format!("`{w}`") });
        let list = list.collect::<Vec<_>>().join(" or ");
        match self.peek() {
            TokenKind::End => ExprError::new(self.range(), format!("the expression ends where {list} is expected")),
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
                "a number has no separators, and a point before its decimals: 1000.5"
            }
            TokenKind::Symbol("%") if after_number => "leave the sign out",
            TokenKind::Word(word) if after_number && nearest(word, ["and", "or"]).is_none() => {
                "a number stands alone, without a currency or a unit"
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
        // `not did E` is `did not E`, in parentheses too: it waits until the customer has been known long enough.
        let kind = match inner.kind {
            ExprKind::Did(Did { count: Some(Count::Rhythm { .. }), .. }) => {
                return Err(ExprError::new(start, RHYTHM_STANDS_ALONE).hint("turn the bound round: `in at most ...`"));
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
                let highest = self.either("highest", "lowest")?;
                self.rank_by(highest, RankSize::Count(count))
            }
            "in" => {
                self.take();
                if self.word("the") {
                    let highest = self.either("top", "bottom")?;
                    let percent = self.number("a percentage")?;
                    self.punctuation("%")?;
                    self.rank_by(highest, RankSize::Percent(percent))
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

    /// What begins with a name: `A then ...`, or an attribute compared.
    fn named_condition(&mut self) -> Parsed<ExprKind> {
        let is_sequence = self.is_word(1, "then") || self.is_word(1, "where");
        if is_sequence {
            return self.sequence(None);
        }
        let compares = matches!(self.peek_at(1), TokenKind::Symbol(s) if op(s).is_some())
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
                return Err(ExprError::new(self.range(), "a streak takes neither `not` nor `where`"));
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
            return Err(ExprError::new(self.since(start), "a streak is `for at least N ... in a row`"));
        }
        if unit != length_unit {
            return Err(ExprError::new(self.since(start), "a streak counts the same unit that it names after `every`"));
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

    fn rank_by(&mut self, highest: bool, size: RankSize) -> Parsed<ExprKind> {
        self.words("by")?;
        let by = self.measure()?;
        let among = if self.word("among") { Some(self.name("a cohort")?) } else { None };
        Ok(ExprKind::Rank(Rank { highest, size, by, among }))
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
            return Err(ExprError::new(self.since(start), "`then no` stands alone: `A then no B within D`")
                .hint("split it into two conditions joined by `and`"));
        }
        if absences == 0 && mode.is_some() {
            return Err(ExprError::new(start, "`each` and `latest` belong to `A then no B within D`"));
        }
        if absences > 0 && without.is_some() {
            return Err(ExprError::new(without_range, "`without ... between` belongs to `A then B within D`"));
        }
        Ok(ExprKind::Sequence(Sequence { mode, first, next, key, without, window }))
    }

    fn step(&mut self) -> Parsed<Step> {
        Ok(Step { events: self.events()?, filters: self.filters()? })
    }

    fn events(&mut self) -> Parsed<Events> {
        if self.word("anything") {
            return Ok(Events::Anything);
        }
        if !self.word("any") {
            return Ok(Events::Named(vec![self.name("an event")?]));
        }
        self.words("of")?;
        self.punctuation("(")?;
        let mut names = vec![self.name("an event")?];
        while self.symbol(",") {
            names.push(self.name("an event")?);
        }
        self.punctuation(")")?;
        Ok(Events::Named(names))
    }

    fn filters(&mut self) -> Parsed<Vec<Filter>> {
        let mut filters = Vec::new();
        if !self.word("where") {
            return Ok(filters);
        }
        filters.push(self.filter()?);
        // Inside `ratio(..., ...)` a comma may also end the measure: it continues the filters only before a test.
        while self.is_symbol(0, ",") && self.test_follows(2) {
            self.take();
            filters.push(self.filter()?);
        }
        Ok(filters)
    }

    fn test_follows(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            TokenKind::Symbol(symbol) => op(symbol).is_some(),
            TokenKind::Word(word) => {
                matches!(word.as_str(), "is" | "contains") || (word == "in" && self.is_symbol(ahead + 1, "("))
            }
            _ => false,
        }
    }

    fn filter(&mut self) -> Parsed<Filter> {
        let property = self.name("a property")?;
        let test = if self.word("is") {
            if self.either("known", "missing")? { FilterTest::Known } else { FilterTest::Missing }
        } else if self.word("contains") {
            FilterTest::Contains(self.literal()?)
        } else if self.word("in") {
            self.punctuation("(")?;
            let mut values = vec![self.literal()?];
            while self.symbol(",") {
                values.push(self.literal()?);
            }
            self.punctuation(")")?;
            FilterTest::In(values)
        } else {
            FilterTest::Compare(self.op()?, self.literal()?)
        };
        Ok(Filter { property, test })
    }

    fn count(&mut self) -> Parsed<Option<Count>> {
        if self.word("once") {
            return Ok(Some(Count::Times(Bound::Exactly, 1)));
        }
        if self.is_word(0, "for") {
            self.words("for the first time")?;
            return Ok(Some(Count::FirstTime));
        }
        if self.word("with") {
            let (bound, n) = (self.bound()?, self.integer("how many")?);
            self.words("different")?;
            return Ok(Some(Count::Different(bound, n, self.name("a property")?)));
        }
        if self.word("on") {
            let (bound, n) = (self.bound()?, self.integer("how many")?);
            self.words("different")?;
            return Ok(Some(Count::OnDifferent(bound, n, self.calendar_unit()?)));
        }
        // `more than 3 times` is a count, `more than 3 days ago` a window.
        let is_window = self.is_word(0, "more") && !self.is_word(3, "times");
        if is_window || !["at", "exactly", "more", "fewer"].iter().any(|w| self.is_word(0, w)) {
            return Ok(None);
        }
        let bound = self.bound()?;
        let n = self.integer("how many")?;
        self.words("times")?;
        if !self.word("a") {
            return Ok(Some(Count::Times(bound, n)));
        }
        let unit = self.calendar_unit()?;
        self.words("in")?;
        let periods = (self.bound()?, self.integer("how many")?);
        self.words("of the last")?;
        let of_last = self.integer("how many")?;
        let start = self.range();
        let of_unit = self.calendar_unit()?;
        if of_unit != unit {
            return Err(ExprError::new(start, "the periods counted are those that `times a ...` names"));
        }
        Ok(Some(Count::Rhythm { times: (bound, n), unit, periods, of_last, of_unit }))
    }

    fn bound(&mut self) -> Parsed<Bound> {
        if self.word("at") {
            return Ok(if self.either("least", "most")? { Bound::AtLeast } else { Bound::AtMost });
        }
        if self.word("exactly") {
            return Ok(Bound::Exactly);
        }
        let bound = match () {
            () if self.word("more") => Bound::MoreThan,
            () if self.word("fewer") => Bound::FewerThan,
            () => return Err(self.expected(&["at least", "at most", "exactly", "more than", "fewer than"])),
        };
        self.words("than")?;
        Ok(bound)
    }

    fn window(&mut self) -> Parsed<Window> {
        if self.word("ever") {
            return Ok(Window::Ever);
        }
        if self.is_word(0, "in") && self.is_word(1, "the") {
            self.words("in the last")?;
            let start = self.range();
            let duration = self.duration()?;
            return if self.word("by") {
                self.words("calendar")?;
                by_calendar(duration, self.since(start))
            } else {
                Ok(Window::Last(duration))
            };
        }
        if self.is_word(0, "between") {
            self.take();
            let start = self.range();
            let far = self.duration()?;
            self.words("and")?;
            let near = self.duration()?;
            self.words("ago")?;
            if far.span <= near.span {
                let error = ExprError::new(self.since(start), "the longer length comes first");
                return Err(error.hint("write `between 60 days and 30 days ago`"));
            }
            return Ok(Window::Between(far, near));
        }
        if self.is_word(0, "more") {
            self.words("more than")?;
            let duration = self.duration()?;
            self.words("ago")?;
            return Ok(Window::MoreThan(duration));
        }
        if self.word("since") {
            if let TokenKind::Date(date) = *self.peek() {
                let range = self.take().range;
                return match jiff::civil::Date::new(date.year, date.month, date.day) {
                    Ok(_) => Ok(Window::SinceDate(date)),
                    Err(_) => Err(ExprError::new(range, "there is no such day")),
                };
            }
            let edge = self.edge()?;
            return Ok(Window::Since(edge, self.events()?));
        }
        if self.word("within") {
            let duration = self.duration()?;
            self.words("of first")?;
            return Ok(Window::WithinFirst(duration, self.name("an event")?));
        }
        Ok(Window::Ever)
    }

    fn edge(&mut self) -> Parsed<Edge> {
        Ok(if self.either("first", "last")? { Edge::First } else { Edge::Last })
    }

    fn compare(&mut self) -> Parsed<ExprKind> {
        let measure = self.measure()?;
        let test = if self.word("is") {
            if self.either("known", "missing")? { CompareTest::Known } else { CompareTest::Missing }
        } else if self.word("between") {
            let low = self.operand()?;
            self.words("and")?;
            CompareTest::Between(low, self.operand()?)
        } else {
            CompareTest::Compare(self.op()?, self.operand()?)
        };
        Ok(ExprKind::Compare(Compare { measure, test }))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        match self.peek().clone() {
            TokenKind::Number(number) => {
                if self.is_word(1, "x") {
                    self.take();
                    self.take();
                    return Ok(Operand::Measure(number, Box::new(self.measure()?)));
                }
                if self.is_symbol(1, "%") {
                    self.take();
                    self.take();
                    return Ok(Operand::Percent(number));
                }
                if matches!(self.peek_at(1), TokenKind::Word(word) if unit(word).is_some()) {
                    return Ok(Operand::Duration(self.duration()?));
                }
                if let TokenKind::Word(word) = self.peek_at(1)
                    && let Some(near) = nearest(word, UNITS.iter().map(|(text, _)| *text))
                {
                    let range = self.tokens[self.at + 1].range;
                    let error = ExprError::new(range, format!("`{word}` is no unit of time"));
                    return Err(error.hint(format!("did you mean `{near}`?")));
                }
                Ok(Operand::Literal(self.literal()?))
            }
            TokenKind::Word(word) if word == "true" || word == "false" => Ok(Operand::Literal(self.literal()?)),
            TokenKind::Word(word) if !RESERVED.contains(&word.as_str()) => {
                Ok(Operand::Word(self.name("an attribute, a measure or a text")?))
            }
            TokenKind::Word(_) => Ok(Operand::Measure(Number(Number::ONE), Box::new(self.measure()?))),
            _ => Ok(Operand::Literal(self.literal()?)),
        }
    }

    fn measure(&mut self) -> Parsed<Measure> {
        let start = self.range();
        let kind = self.deeper(Self::measure_kind)?;
        Ok(Measure { kind, range: self.since(start) })
    }

    fn measure_kind(&mut self) -> Parsed<MeasureKind> {
        let TokenKind::Word(word) = self.peek().clone() else {
            return Ok(MeasureKind::Named(self.name("a measure")?));
        };
        let function = match word.as_str() {
            "count" => {
                self.take();
                self.punctuation("(")?;
                let (step, window) = (self.step()?, self.window()?);
                self.punctuation(")")?;
                return Ok(MeasureKind::Count(step, window));
            }
            "time" => return self.time_measure(),
            "usual" => {
                self.words("usual gap of")?;
                return Ok(MeasureKind::UsualGap(self.events()?));
            }
            "active" => {
                self.words("active days")?;
                self.punctuation("(")?;
                let (events, window) = (self.events()?, self.window()?);
                self.punctuation(")")?;
                return Ok(MeasureKind::ActiveDays(events, window));
            }
            "change" => {
                self.words("change in")?;
                let measure = self.measure()?;
                self.words("over")?;
                return Ok(MeasureKind::Change(Box::new(measure), self.duration()?));
            }
            "ratio" => {
                self.take();
                self.punctuation("(")?;
                let above = self.measure()?;
                self.punctuation(",")?;
                let below = self.measure()?;
                self.punctuation(")")?;
                return Ok(MeasureKind::Ratio(Box::new(above), Box::new(below)));
            }
            "steps" => {
                self.words("steps from")?;
                let from = self.name("an event")?;
                self.words("to")?;
                let to = self.name("an event")?;
                self.words("via")?;
                return Ok(MeasureKind::Steps { from, to, via: self.events()? });
            }
            "sum" => Function::Sum,
            "average" => Function::Average,
            "median" => Function::Median,
            "min" => Function::Min,
            "max" => Function::Max,
            "distinct" => Function::Distinct,
            "first" => Function::First,
            "last" => Function::Last,
            "most_common" => Function::MostCommon,
            _ => return Ok(MeasureKind::Named(self.name("a measure")?)),
        };
        self.take();
        self.punctuation("(")?;
        let event = self.name("an event")?;
        self.punctuation(".")?;
        let property = self.name("a property")?;
        let (filters, window) = (self.filters()?, self.window()?);
        self.punctuation(")")?;
        Ok(MeasureKind::Of { function, event, property, filters, window })
    }

    fn time_measure(&mut self) -> Parsed<MeasureKind> {
        self.words("time")?;
        if self.word("since") {
            let edge = self.edge()?;
            return Ok(MeasureKind::TimeSince(edge, self.step()?));
        }
        if !self.word("from") {
            return Err(self.expected(&["since", "from"]));
        }
        let from = (self.edge()?, self.step()?);
        self.words("to first")?;
        Ok(MeasureKind::TimeFrom { from, to: self.step()? })
    }

    fn duration(&mut self) -> Parsed<Duration> {
        let start = self.range();
        let amount = self.number("a length of time")?;
        let word = match self.peek() {
            TokenKind::Word(word) => word.clone(),
            _ => return Err(self.expected(&["seconds", "minutes", "hours", "days", "weeks", "months", "years"])),
        };
        let Some(unit) = unit(&word) else {
            let units: Vec<&str> = UNITS.iter().map(|(text, _)| *text).collect();
            let error = ExprError::new(self.range(), format!("`{word}` is no unit of time"));
            return Err(match nearest(&word, units) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("use seconds, minutes, hours, days, weeks, months or years"),
            });
        };
        self.take();
        let range = self.since(start);
        let millis = amount.0.checked_mul(i128::from(unit.span().0)).filter(|m| m % Number::ONE == 0);
        let span = millis.and_then(|m| i64::try_from(m / Number::ONE).ok()).filter(|ms| (1..=LONGEST.0).contains(ms));
        match span {
            Some(ms) => Ok(Duration { amount, unit, span: Span(ms) }),
            None => Err(ExprError::new(range, "a length is whole milliseconds, above zero and at most 100 years")),
        }
    }

    fn calendar_unit(&mut self) -> Parsed<Unit> {
        let range = self.range();
        let found = match self.peek() {
            TokenKind::Word(word) => unit(word),
            _ => None,
        };
        match found {
            Some(unit @ (Unit::Day | Unit::Week | Unit::Month)) => {
                self.take();
                Ok(unit)
            }
            Some(_) => Err(ExprError::new(range, "calendar periods are days, weeks or months")),
            None => Err(self.expected(&["days", "weeks", "months"])),
        }
    }

    fn op(&mut self) -> Parsed<Op> {
        let found = match self.peek() {
            TokenKind::Symbol(symbol) => op(symbol),
            _ => None,
        };
        let Some(op) = found else {
            let error = self.expected(&["a comparison (= != < <= > >=)"]);
            return Err(match self.is_symbol(0, ".") {
                true => {
                    error.hint("a property of an event is named without the event or `properties`: `where amount > 50`")
                }
                false => error,
            });
        };
        self.take();
        if op == Op::Eq && self.is_symbol(0, "=") {
            return Err(ExprError::new(self.range(), "equality is one sign").hint("write `=`"));
        }
        for (second, meant) in [(">", ">="), ("<", "<=")] {
            if op == Op::Eq && self.is_symbol(0, second) {
                let error = ExprError::new(self.range(), format!("`={second}` is not a comparison"));
                return Err(error.hint(format!("write `{meant}`")));
            }
        }
        if op == Op::Lt && self.is_symbol(0, ">") {
            return Err(ExprError::new(self.range(), "`<>` is not a comparison").hint("write `!=`"));
        }
        Ok(op)
    }

    fn literal(&mut self) -> Parsed<Literal> {
        let literal = match self.peek().clone() {
            TokenKind::Number(number) => Literal::Number(number),
            TokenKind::Quoted(text) => Literal::Text(text),
            TokenKind::Word(word) => match word.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                _ if RESERVED.contains(&word.as_str()) => {
                    let error = ExprError::new(self.range(), format!("`{word}` is a word of the language"));
                    return Err(error.hint(format!("as a text it stands in quotes: \"{word}\"")));
                }
                _ => Literal::Text(word),
            },
            _ => return Err(self.expected(&["a number, a text, true or false"])),
        };
        self.take();
        Ok(literal)
    }

    fn name(&mut self, what: &str) -> Parsed<Name> {
        let text = match self.peek().clone() {
            TokenKind::Quoted(text) => text,
            TokenKind::Word(word) if RESERVED.contains(&word.as_str()) => {
                let message = format!("expected {what}, found `{word}`, a word of the language");
                return Err(ExprError::new(self.range(), message)
                    .hint(format!("a name like that stands in quotes: \"{word}\"")));
            }
            TokenKind::Word(word) => word,
            TokenKind::End => {
                return Err(ExprError::new(self.range(), format!("the expression ends where {what} is expected")));
            }
            _ => return Err(ExprError::new(self.range(), format!("expected {what}"))),
        };
        Ok(Name { text, range: self.take().range })
    }

    fn number(&mut self, what: &str) -> Parsed<Number> {
        if let TokenKind::Number(number) = *self.peek() {
            self.take();
            return Ok(number);
        }
        Err(ExprError::new(self.range(), format!("expected {what}: a number")))
    }

    fn integer(&mut self, what: &str) -> Parsed<u32> {
        let range = self.range();
        let number = self.number(what)?;
        let whole = (number.0 % Number::ONE == 0).then(|| u32::try_from(number.0 / Number::ONE).ok()).flatten();
        whole.ok_or_else(|| ExprError::new(range, "expected a whole number, zero or more"))
    }

    /// Takes the one (true) or the other (false).
    fn either(&mut self, yes: &str, no: &str) -> Parsed<bool> {
        if self.word(yes) {
            return Ok(true);
        }
        if self.word(no) {
            return Ok(false);
        }
        Err(self.expected(&[yes, no]))
    }
}

/// Longer than any behaviour worth a rule, and short enough that no sum of instants overflows.
const LONGEST: Span = Span(100 * 365 * Span::DAY.0);

const UNITS: [(&str, Unit); 14] = [
    ("second", Unit::Second),
    ("seconds", Unit::Second),
    ("minute", Unit::Minute),
    ("minutes", Unit::Minute),
    ("hour", Unit::Hour),
    ("hours", Unit::Hour),
    ("day", Unit::Day),
    ("days", Unit::Day),
    ("week", Unit::Week),
    ("weeks", Unit::Week),
    ("month", Unit::Month),
    ("months", Unit::Month),
    ("year", Unit::Year),
    ("years", Unit::Year),
];

fn unit(word: &str) -> Option<Unit> {
    UNITS.iter().find(|(text, _)| *text == word).map(|(_, unit)| *unit)
}

fn op(symbol: &str) -> Option<Op> {
    Some(match symbol {
        "=" => Op::Eq,
        "!=" => Op::Ne,
        "<" => Op::Lt,
        "<=" => Op::Le,
        ">" => Op::Gt,
        ">=" => Op::Ge,
        _ => return None,
    })
}

fn by_calendar(duration: Duration, range: Range) -> Parsed<Window> {
    let whole = (duration.amount.0 % Number::ONE == 0).then(|| u32::try_from(duration.amount.0 / Number::ONE).ok());
    match (whole.flatten(), duration.unit) {
        (Some(periods @ 1..=1200), unit @ (Unit::Day | Unit::Week | Unit::Month)) => {
            Ok(Window::LastByCalendar { periods, unit })
        }
        _ => Err(ExprError::new(range, "`by calendar` takes whole days, weeks or months, at most 1200")),
    }
}
