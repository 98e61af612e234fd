//! Windows of time, durations and calendar units.

use super::{Parsed, Parser};
use crate::event::{Number, Span};
use crate::rules::ast::{Duration, Edge, Range, Unit, Window};
use crate::rules::error::{ExprError, nearest};
use crate::rules::lexer::TokenKind;

impl Parser {
    pub(super) fn window(&mut self) -> Parsed<Window> {
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
                let error = ExprError::new(self.since(start), "the longer duration must come first");
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
                    Err(_) => Err(ExprError::new(range, "this date does not exist")),
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

    pub(super) fn edge(&mut self) -> Parsed<Edge> {
        Ok(if self.either("first", "last")? { Edge::First } else { Edge::Last })
    }

    pub(super) fn duration(&mut self) -> Parsed<Duration> {
        let start = self.range();
        let amount = self.number("a duration")?;
        let word = match self.peek() {
            TokenKind::Word(word) => word.clone(),
            _ => return Err(self.expected(&["seconds", "minutes", "hours", "days", "weeks", "months", "years"])),
        };
        let Some(unit) = unit(&word) else {
            let units: Vec<&str> = UNITS.iter().map(|(text, _)| *text).collect();
            let error = ExprError::new(self.range(), format!("`{word}` is not a unit of time"));
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
            None => Err(ExprError::new(
                range,
                "a duration must be a whole number of milliseconds, above zero and at most 100 years",
            )),
        }
    }

    pub(super) fn calendar_unit(&mut self) -> Parsed<Unit> {
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
}

/// The longest duration, short enough that no sum of instants overflows.
const LONGEST: Span = Span(100 * 365 * Span::DAY.0);

pub(super) const UNITS: [(&str, Unit); 14] = [
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

pub(super) fn unit(word: &str) -> Option<Unit> {
    UNITS.iter().find(|(text, _)| *text == word).map(|(_, unit)| *unit)
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
