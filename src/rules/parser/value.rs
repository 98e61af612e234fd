//! Operators, literals, names and numbers.

use super::{Parsed, Parser};
use crate::event::Number;
use crate::rules::ast::{Literal, Name, Op};
use crate::rules::error::ExprError;
use crate::rules::lexer::TokenKind;
use crate::rules::reserved::is_reserved;

impl Parser {
    pub(super) fn op(&mut self) -> Parsed<Op> {
        let found = match self.peek() {
            TokenKind::Symbol(symbol) => Op::of_symbol(symbol),
            _ => None,
        };
        let Some(op) = found else {
            let error = self.expected(&["a comparison (= != < <= > >=)"]);
            return Err(match self.is_symbol(0, ".") {
                true => error.hint("name the property alone, without the event or `properties`: `where amount > 50`"),
                false => error,
            });
        };
        self.take();
        if op == Op::Eq && self.is_symbol(0, "=") {
            return Err(ExprError::new(self.range(), "equality is written with one sign").hint("write `=`"));
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

    pub(super) fn literal(&mut self) -> Parsed<Literal> {
        let literal = match self.peek().clone() {
            TokenKind::Number(number) => Literal::Number(number),
            TokenKind::Quoted(text) => Literal::Text(text),
            TokenKind::Word(word) => match word.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                _ if is_reserved(&word) => {
                    let error = ExprError::new(self.range(), format!("`{word}` is a reserved word"));
                    return Err(error.hint(format!("to use it as a text, put it in quotes: \"{word}\"")));
                }
                _ => Literal::Text(word),
            },
            _ => return Err(self.expected(&["a number, a text, true or false"])),
        };
        self.take();
        Ok(literal)
    }

    pub(super) fn name(&mut self, what: &str) -> Parsed<Name> {
        let text = match self.peek().clone() {
            TokenKind::Quoted(text) => text,
            TokenKind::Word(word) if is_reserved(&word) => {
                let message = format!("expected {what}, found the reserved word `{word}`");
                let hint = match word.as_str() {
                    "any" => "`any of (…)` stands after `did` and `then` only; where sources are mapped, several kinds of records can \
                              become one event"
                        .to_owned(),
                    _ => format!("to use it as a name, put it in quotes: \"{word}\""),
                };
                return Err(ExprError::new(self.range(), message).hint(hint));
            }
            TokenKind::Word(word) => word,
            TokenKind::End => {
                return Err(ExprError::new(self.range(), format!("expected {what}, but the expression ends here")));
            }
            _ => return Err(ExprError::new(self.range(), format!("expected {what}"))),
        };
        Ok(Name { text, range: self.take().range })
    }

    pub(super) fn number(&mut self, what: &str) -> Parsed<Number> {
        if let TokenKind::Number(number) = *self.peek() {
            self.take();
            return Ok(number);
        }
        Err(ExprError::new(self.range(), format!("expected {what}: a number")))
    }

    pub(super) fn integer(&mut self, what: &str) -> Parsed<u32> {
        let range = self.range();
        let number = self.number(what)?;
        let whole = (number.0 % Number::ONE == 0).then(|| u32::try_from(number.0 / Number::ONE).ok()).flatten();
        whole.ok_or_else(|| ExprError::new(range, "expected a whole number, zero or more"))
    }

    /// Takes the first word (true) or the second (false).
    pub(super) fn either(&mut self, yes: &str, no: &str) -> Parsed<bool> {
        if self.word(yes) {
            return Ok(true);
        }
        if self.word(no) {
            return Ok(false);
        }
        Err(self.expected(&[yes, no]))
    }
}
