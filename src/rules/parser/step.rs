//! Events with their filters, and how often they must happen.

use super::{Parsed, Parser};
use crate::rules::ast::{Bound, Count, Events, Filter, FilterTest, Op, Step};
use crate::rules::error::ExprError;
use crate::rules::lexer::TokenKind;

impl Parser {
    pub(super) fn step(&mut self) -> Parsed<Step> {
        Ok(Step { events: self.events()?, filters: self.filters()? })
    }

    pub(super) fn events(&mut self) -> Parsed<Events> {
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

    pub(super) fn filters(&mut self) -> Parsed<Vec<Filter>> {
        let mut filters = Vec::new();
        if !self.word("where") {
            return Ok(filters);
        }
        filters.push(self.filter()?);
        // Inside `ratio(..., ...)` a comma may also end the measure, so it continues the filters only before a test.
        while self.is_symbol(0, ",") && self.test_follows(2) {
            self.take();
            filters.push(self.filter()?);
        }
        Ok(filters)
    }

    pub(super) fn test_follows(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            TokenKind::Symbol(symbol) => Op::of_symbol(symbol).is_some(),
            TokenKind::Word(word) => {
                matches!(word.as_str(), "is" | "contains") || (word == "in" && self.is_symbol(ahead + 1, "("))
            }
            _ => false,
        }
    }

    pub(super) fn filter(&mut self) -> Parsed<Filter> {
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

    pub(super) fn count(&mut self) -> Parsed<Option<Count>> {
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
            return Err(ExprError::new(start, "both periods must be of the same unit"));
        }
        Ok(Some(Count::Rhythm { times: (bound, n), unit, periods, of_last, of_unit }))
    }

    pub(super) fn bound(&mut self) -> Parsed<Bound> {
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
}
