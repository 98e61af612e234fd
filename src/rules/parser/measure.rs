//! Measures, and comparisons with them.

use super::window::{UNITS, unit};
use super::{Parsed, Parser};
use crate::event::Number;
use crate::rules::ast::{Compare, CompareTest, ExprKind, Function, Measure, MeasureKind, Operand};
use crate::rules::error::{ExprError, nearest};
use crate::rules::lexer::TokenKind;
use crate::rules::reserved::is_reserved;

impl Parser {
    pub(super) fn compare(&mut self) -> Parsed<ExprKind> {
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

    pub(super) fn operand(&mut self) -> Parsed<Operand> {
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
                    let error = ExprError::new(range, format!("`{word}` is not a unit of time"));
                    return Err(error.hint(format!("did you mean `{near}`?")));
                }
                Ok(Operand::Literal(self.literal()?))
            }
            TokenKind::Word(word) if word == "true" || word == "false" => Ok(Operand::Literal(self.literal()?)),
            TokenKind::Word(word) if !is_reserved(&word) => {
                Ok(Operand::Word(self.name("an attribute, a measure or a text")?))
            }
            TokenKind::Word(_) => Ok(Operand::Measure(Number(Number::ONE), Box::new(self.measure()?))),
            _ => Ok(Operand::Literal(self.literal()?)),
        }
    }

    pub(super) fn measure(&mut self) -> Parsed<Measure> {
        let start = self.range();
        let kind = self.deeper(Self::measure_kind)?;
        Ok(Measure { kind, range: self.since(start) })
    }

    pub(super) fn measure_kind(&mut self) -> Parsed<MeasureKind> {
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

    pub(super) fn time_measure(&mut self) -> Parsed<MeasureKind> {
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
}
