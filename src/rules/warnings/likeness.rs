//! Comparison of conditions by their text: equality, negation and implication.

use crate::rules::ast::{Did, Events, Expr, ExprKind, Range, Step, Window};
use crate::rules::document::Written;
use crate::rules::lexer::{TokenKind, tokens};

/// A condition as its tokens, without the `not` before it and the parentheses around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    pub(super) denied: bool,
}

impl Words {
    /// The tokens of one condition; `None` for `and` and `or`.
    pub(super) fn of(written: &Written, expr: &Expr) -> Option<Self> {
        match &expr.kind {
            ExprKind::And(_) | ExprKind::Or(_) => None,
            ExprKind::Not(inner) => Self::of(written, inner).map(|words| Self { denied: !words.denied, ..words }),
            kind => {
                let mut words = words_at(written, expr.range);
                while matches!(words.first().map(String::as_str), Some("(" | "not")) {
                    if words.remove(0) == "(" {
                        words.pop();
                    }
                }
                let denied = matches!(kind, ExprKind::Did(Did { negated: true, .. }));
                if matches!(kind, ExprKind::Did(_)) && words.get(1).is_some_and(|word| word == "not") {
                    words.remove(1);
                }
                // `ever` is the default. Its absence after `did not` has a warning of its own.
                if words.last().is_some_and(|word| word == "ever") {
                    words.pop();
                }
                Some(Self { words, denied })
            }
        }
    }

    pub(super) fn is_opposite_of(&self, other: &Self) -> bool {
        self.denied != other.denied && self.words == other.words
    }
}

/// The tokens of a part of an expression.
pub(super) fn words_at(written: &Written, range: Range) -> Vec<String> {
    let part = &written.text[range.start..range.end];
    let Ok(tokens) = tokens(part) else { return Vec::new() };
    (tokens.iter())
        .filter(|token| token.kind != TokenKind::End)
        .map(|token| part[token.range.start..token.range.end].to_owned())
        .collect()
}

/// Does the second window always contain the first?
pub(super) fn within(inner: &Window, outer: &Window) -> bool {
    match (inner, outer) {
        (_, Window::Ever) => true,
        (Window::Last(inner), Window::Last(outer)) => inner.span <= outer.span,
        (inner, outer) => inner == outer,
    }
}

/// Does one condition imply the other?
pub(super) fn implies(written: (&Written, &Expr), other: (&Written, &Expr)) -> bool {
    let (Some(one), Some(two)) = (Words::of(written.0, written.1), Words::of(other.0, other.1)) else { return false };
    if one == two {
        return true;
    }
    match (&written.1.kind, &other.1.kind) {
        (ExprKind::Did(one), ExprKind::Did(two)) => {
            !one.negated
                && !two.negated
                && one.count.is_none()
                && two.count.is_none()
                && same_step(&one.step, &two.step)
                && within(&one.window, &two.window)
        }
        _ => false,
    }
}

/// Are events and filters the same, in any order?
pub(super) fn same_step(one: &Step, two: &Step) -> bool {
    content(one) == content(two)
}

fn content(step: &Step) -> (Vec<&str>, Vec<(&str, String)>) {
    let mut names: Vec<&str> = match &step.events {
        Events::Anything => Vec::new(),
        Events::Named(names) => names.iter().map(|name| name.text.as_str()).collect(),
    };
    let mut tests: Vec<(&str, String)> =
        step.filters.iter().map(|filter| (filter.property.text.as_str(), format!("{:?}", filter.test))).collect();
    names.sort_unstable();
    tests.sort_unstable();
    (names, tests)
}
