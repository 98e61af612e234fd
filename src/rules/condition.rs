//! Compiled conditions, and the expressions over them.

use super::ast::{Bound, Op, Unit};
use super::index::{CohortIx, ConditionIx, RankIx};
use super::measure::{Comparand, Measure, Window};
use crate::event::{Change, Span};
use crate::fact::FactIx;

/// An expression over conditions.
#[derive(Debug, Clone)]
pub enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A condition, and its text in the rules file, with single spaces.
    Leaf(ConditionIx, Box<str>),
}

/// One condition on a customer at an instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// How many of a fact's times are in the window. `waits`: a count of zero counts only once the customer has been
    /// known for the window's length.
    Count {
        fact: FactIx,
        window: Window,
        test: CountTest,
        waits: bool,
    },
    /// The first time ever lies in the window, or, `negated`, does not.
    First {
        fact: FactIx,
        window: Window,
        negated: bool,
    },
    /// How many ever, or since a date.
    Total {
        fact: FactIx,
        test: CountTest,
    },
    /// `A then no B within after`; the window applies to `t_A + after`.
    Unanswered {
        fact: FactIx,
        after: Span,
        window: Window,
    },
    /// `A then B within D ...`, its last step in the window. `without X between` applies strictly between each step and
    /// the next one; with `per key`, only to X of the same key.
    Sequence {
        fact: FactIx,
        window: Window,
    },
    /// In how many of the `of_last` complete periods before the current one the count passes `times`.
    Rhythm {
        fact: FactIx,
        unit: Unit,
        times: CountTest,
        of_last: u32,
        periods: CountTest,
    },
    /// So many periods in a row, up to the current one or the one before.
    Streak {
        fact: FactIx,
        unit: Unit,
        length: u32,
    },
    In {
        cohort: CohortIx,
        stay: Option<(Bound, Span)>,
    },
    /// How many entries (or exits) lie in the window.
    Moves {
        cohort: CohortIx,
        change: Change,
        window: Window,
        test: CountTest,
    },
    /// The first entry lies in the window.
    FirstEntered {
        cohort: CohortIx,
        window: Window,
    },
    Compare {
        measure: Measure,
        op: Op,
        with: Comparand,
    },
    Known {
        measure: Measure,
    },
    Missing {
        measure: Measure,
    },
    /// Among the first or the last of a ranking.
    /// `among`: the cohort whose members are ranked.
    Rank {
        rank: RankIx,
        among: Option<CohortIx>,
    },
}

/// Bounds on a count, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountTest {
    pub min: u32,
    pub max: Option<u32>,
    pub negated: bool,
}

impl CountTest {
    /// Does a count pass?
    #[must_use]
    pub fn holds(self, count: u64) -> bool {
        let within = count >= u64::from(self.min) && self.max.is_none_or(|max| count <= u64::from(max));
        within != self.negated
    }

    /// The largest count at or below `count` at which the result differs from that of one less, if any.
    #[must_use]
    pub fn boundary_at_or_below(self, count: u64) -> Option<u64> {
        let above = self.max.map(|max| u64::from(max) + 1);
        let low = Some(u64::from(self.min)).filter(|min| *min > 0);
        above.filter(|b| *b <= count).or(low.filter(|b| *b <= count))
    }

    /// The smallest count above `count` at which the result differs from that of one less.
    #[must_use]
    pub fn boundary_above(self, count: u64) -> Option<u64> {
        let above = self.max.map(|max| u64::from(max) + 1);
        let low = Some(u64::from(self.min)).filter(|min| *min > count);
        low.or(above.filter(|b| *b > count))
    }

    /// All counts from here on give the same result, so that no more times need to be kept.
    #[must_use]
    pub fn capacity(self) -> usize {
        self.max.map_or(self.min, |max| max + 1).max(1) as usize
    }
}
