//! The syntax tree of the rules language, one type per construct of the grammar.

pub use crate::calendar::Unit;
use crate::event::{Number, Span};

/// A byte range in the expression's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    pub start: usize,
    pub end: usize,
}

impl Range {
    /// From the start of the one to the end of the other.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// A name and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub range: Range,
}

/// An expression and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub range: Range,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Plain negation; `not did E` is a `Did` with `negated`.
    Not(Box<Expr>),
    Did(Did),
    Sequence(Sequence),
    Streak(Streak),
    Silent(Silent),
    Compare(Compare),
    InCohort {
        cohort: Name,
        stay: Option<(Bound, Duration)>,
    },
    Entered {
        cohort: Name,
        count: Option<Count>,
        window: Window,
    },
    Left {
        cohort: Name,
        window: Window,
    },
    Rank(Rank),
    Consent {
        given: bool,
        name: Name,
    },
}

/// `did [not] E [where ...] [count] [window] [even if new]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Did {
    pub negated: bool,
    pub step: Step,
    /// `None` is "at least once".
    pub count: Option<Count>,
    pub window: Window,
    pub even_if_new: bool,
}

/// Which events: names, and what must hold of their properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub events: Events,
    pub filters: Vec<Filter>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Events {
    /// One name, or `any of (...)`.
    Named(Vec<Name>),
    Anything,
}

/// One condition of a `where`; all must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub property: Name,
    pub test: FilterTest,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FilterTest {
    Compare(Op, Literal),
    Known,
    Missing,
    In(Vec<Literal>),
    Contains(Literal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    /// As it is written.
    #[must_use]
    pub fn of_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Eq,
            "!=" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    AtLeast,
    AtMost,
    Exactly,
    MoreThan,
    FewerThan,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Count {
    Times(Bound, u32),
    FirstTime,
    /// `with at least N different p`
    Different(Bound, u32, Name),
    /// `on at least N different days`
    OnDifferent(Bound, u32, Unit),
    /// `at least N times a week in at least M of the last K weeks`
    Rhythm {
        times: (Bound, u32),
        unit: Unit,
        periods: (Bound, u32),
        of_last: u32,
        of_unit: Unit,
    },
}

/// A duration as written, `72 hours`, and in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration {
    pub amount: Number,
    pub unit: Unit,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Window {
    /// The default where no window is written.
    Ever,
    /// `in the last D`
    Last(Duration),
    /// `in the last D by calendar`; whole days, weeks or months
    LastByCalendar { periods: u32, unit: Unit },
    /// `between D1 and D2 ago`, D1 > D2
    Between(Duration, Duration),
    /// `more than D ago`
    MoreThan(Duration),
    /// `since first/last E`
    Since(Edge, Events),
    /// `since 2026-01-01`
    SinceDate(Date),
    /// `within D of first F`
    WithinFirst(Duration, Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    First,
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    pub year: i16,
    pub month: i8,
    pub day: i8,
}

/// `A then B within D ...` and `A then no B within D`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    pub mode: Option<Mode>,
    pub first: Step,
    pub next: Vec<Next>,
    /// `per key`
    pub key: Option<Name>,
    /// `without X between`
    pub without: Option<Events>,
    pub window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Each,
    Latest,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// `then no`
    pub absent: bool,
    pub step: Step,
    pub within: Duration,
}

/// `did E every week for at least N weeks in a row`
#[derive(Debug, Clone, PartialEq)]
pub struct Streak {
    pub step: Events,
    pub unit: Unit,
    pub bound: Bound,
    pub length: u32,
    pub length_unit: Unit,
}

/// `silent [on E] for D [even if new]`
#[derive(Debug, Clone, PartialEq)]
pub struct Silent {
    /// `None`: the file's `activity`.
    pub on: Option<Events>,
    pub span: Duration,
    pub even_if_new: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Compare {
    pub measure: Measure,
    pub test: CompareTest,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CompareTest {
    Compare(Op, Operand),
    Known,
    Missing,
    Between(Operand, Operand),
}

impl CompareTest {
    /// What the measure is compared with.
    #[must_use]
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Self::Compare(_, operand) => vec![operand],
            Self::Between(low, high) => vec![low, high],
            Self::Known | Self::Missing => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Literal(Literal),
    Duration(Duration),
    /// A bare word: an attribute, a score or a named measure, or else a text, if it is compared with a value that may
    /// be one.
    Word(Name),
    /// `20 %`: relative to the value of `change in` before.
    Percent(Number),
    /// A measure, times a factor (1 where none is written).
    Measure(Number, Box<Measure>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub kind: MeasureKind,
    pub range: Range,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MeasureKind {
    Count(Step, Window),
    Of {
        function: Function,
        event: Name,
        property: Name,
        filters: Vec<Filter>,
        window: Window,
    },
    TimeSince(Edge, Step),
    TimeFrom {
        from: (Edge, Step),
        to: Step,
    },
    UsualGap(Events),
    ActiveDays(Events, Window),
    Change(Box<Measure>, Duration),
    Ratio(Box<Measure>, Box<Measure>),
    Steps {
        from: Name,
        to: Name,
        via: Events,
    },
    /// A profile attribute, a score or a named measure.
    Named(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Sum,
    Average,
    Median,
    Min,
    Max,
    Distinct,
    First,
    Last,
    MostCommon,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rank {
    pub end: RankEnd,
    pub size: RankSize,
    pub by: Measure,
    pub among: Option<Name>,
}

/// The end of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankEnd {
    Highest,
    Lowest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankSize {
    Percent(Number),
    Count(u32),
}
