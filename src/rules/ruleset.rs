//! Compiled rules: what the engine runs. Everything is named by index.

use super::ast::{Bound, Edge, Op, RankSize, Unit};
use super::document::{ChurnModel, OnCreate};
use super::fact_spec::FactSpec;
use super::mentions::Mention;
use super::selector::Filter;
use crate::calendar::Calendar;
use crate::event::{CustomerEvent, Instant, Localized, NameId, Number, PropertyId, Span, Vocabulary};
use crate::fact::{BARRED, FactIx, Parts};

/// A whole rules file, ready to run. Cohorts stand in the order in which they are decided.
#[derive(Debug)]
pub struct RuleSet {
    pub cohorts: Vec<Cohort>,
    pub conditions: Vec<Condition>,
    pub facts: Vec<FactSpec>,
    /// `[churn]`
    pub churn: Option<Churn>,
    /// The orders in which customers are ranked.
    pub rankings: Vec<Ranking>,
    /// The parts of those orders that rules speak of.
    pub ranks: Vec<Rank>,
    pub vocabulary: Vocabulary,
    /// What the rules name that events should have.
    pub mentions: Vec<Mention>,
    pub time_zone: jiff::tz::TimeZone,
    /// Of everything that decides: expressions, lengths, time zone. Names for people, owners and actions do not count.
    pub fingerprint: String,
    /// For each event name the facts that it feeds; the last entry is for names that no rule uses.
    pub(super) feeds: Vec<Vec<Feed>>,
    /// For each fact the cohorts that look at it.
    pub(super) readers: Vec<Vec<CohortIx>>,
    /// For each fact the rankings whose measure looks at it.
    pub(super) ranked_by: Vec<Vec<RankingIx>>,
}

/// A cohort by its place in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CohortIx(pub u16);

/// How the risk that a customer does not come back is watched.
#[derive(Debug)]
pub struct Churn {
    pub model: ChurnModel,
    /// The days of what counts as coming back.
    pub fact: FactIx,
    /// Do purchases say what they are worth?
    pub has_amounts: bool,
    pub currency: Option<String>,
    /// Risk is the probability of nothing for so long.
    pub horizon: Span,
    /// The names of the levels above the lowest.
    pub levels: Vec<String>,
    /// The risk from which on each of them counts, ascending.
    pub thresholds: Vec<f64>,
    /// No level above the lowest before that.
    pub min_silence: Span,
    pub signals: Vec<Signal>,
    /// `None` where an event must be more than named so to count as coming back.
    pub plain_visit: Option<PlainVisit>,
    /// Fingerprint of the definition.
    pub definition: String,
}

/// The plainest event by which a customer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainVisit {
    pub name: NameId,
    /// What it is worth.
    pub amount: Option<PropertyId>,
}

/// One of the company's own signs that somebody may leave.
#[derive(Debug)]
pub struct Signal {
    pub when: Node,
    /// Added to `churn_risk`.
    pub points: i64,
    pub because: Localized,
}

/// What the model of churn says of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// The probability of not coming back within the horizon, in percent, with the points of the signals: from 0 to 100.
    Risk,
    /// The name of the level of that probability, without the signals.
    Level,
    /// The probability of not being gone for good.
    Alive,
    /// The discounted value of the purchases to come, as of the last purchase or the beginning of the level. Whoever may be
    /// gone for good is worth the less for it.
    Value,
    /// The same as it would be, were the customer sure not to be gone.
    ValueIfActive,
    /// The value times the probability of not coming back within the horizon, both as of the same instant.
    ValueAtRisk,
}

/// A condition by its place in the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionIx(pub u16);

/// A ranking by its place in the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RankingIx(pub u16);

/// A rank by its place in the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RankIx(pub u16);

/// Customers in the order of a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    pub measure: Measure,
    /// Only members of this cohort are ranked.
    pub among: Option<CohortIx>,
    /// Only values above zero are ranked: those of counts and sums.
    pub positive: bool,
}

/// One end of a ranking: so many per cent of its customers, or so many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rank {
    pub ranking: RankingIx,
    pub highest: bool,
    pub size: RankSize,
    /// As first written in the rules file, with single spaces.
    pub words: String,
    /// The cohorts whose rules speak of it.
    pub readers: Vec<CohortIx>,
}

/// One cohort.
#[derive(Debug)]
pub struct Cohort {
    pub name: String,
    pub who: Node,
    pub stay: Option<Node>,
    pub until: Option<Node>,
    pub at_least: Option<Span>,
    pub at_most: Option<Span>,
    pub cooldown: Option<Span>,
    /// May be entered once in a life.
    pub once: bool,
    pub enabled: bool,
    /// Decided and counted, never emitted.
    pub shadow: bool,
    /// The group of which a customer is held in one cohort only.
    pub group: Option<String>,
    /// The cohorts of its group that come first: while one of them is held, this one is not. In order.
    pub excluded_by: Vec<CohortIx>,
    pub on_create: OnCreate,
    /// Attributes and measures copied into its changes, with the names they have there.
    pub include: Vec<(String, Measure)>,
    pub title: Localized,
    pub owner: Option<String>,
    pub action: Option<String>,
    /// Fingerprint of the definition.
    pub definition: String,
    /// Cohorts that refer to this one.
    pub dependants: Vec<CohortIx>,
    /// Itself and all that it refers to, directly or not, in the order of decision: nothing else can change it.
    pub rests_on: Vec<CohortIx>,
    /// Does any rule ask when this cohort was entered or left?
    pub keeps_history: bool,
}

impl Cohort {
    /// What decides who is in.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        [Some(&self.who), self.stay.as_ref(), self.until.as_ref()].into_iter().flatten()
    }
}

/// An expression over conditions.
#[derive(Debug, Clone)]
pub enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A condition, and its words in the rules file, with single spaces.
    Leaf(ConditionIx, Box<str>),
}

/// One condition on a customer at an instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// How many of a fact's times lie in the window. `waits`: nothing found counts only once known that long.
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
    /// `A then no B within after`; the window speaks of `t_A + after`.
    Followed {
        fact: FactIx,
        after: Span,
        window: Window,
    },
    /// `A then B within D ...`, its last step in the window. `without X between` looks strictly between each step and the
    /// next one; with `per key`, at X of the same key only.
    Chain {
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
        entered: bool,
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

    /// The largest count at which the answer differs from that of one less, if any lies at or below `count`.
    #[must_use]
    pub fn boundary_at_or_below(self, count: u64) -> Option<u64> {
        let above = self.max.map(|max| u64::from(max) + 1);
        let low = Some(u64::from(self.min)).filter(|min| *min > 0);
        above.filter(|b| *b <= count).or(low.filter(|b| *b <= count))
    }

    /// The smallest count above `count` at which the answer differs from that of one less.
    #[must_use]
    pub fn boundary_above(self, count: u64) -> Option<u64> {
        let above = self.max.map(|max| u64::from(max) + 1);
        let low = Some(u64::from(self.min)).filter(|min| *min > count);
        low.or(above.filter(|b| *b > count))
    }

    /// Counts from here on all give one answer, so that no more than this many times need be remembered.
    #[must_use]
    pub fn capacity(self) -> usize {
        self.max.map_or(self.min, |max| max + 1).max(1) as usize
    }
}

/// When an event must lie. Lengths roll exactly; instants are compared as rules.md says at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Ever,
    /// `T - D < t <= T`
    Last(Span),
    /// From the first midnight of the last `periods` periods through `T`.
    Calendar {
        periods: u32,
        unit: Unit,
    },
    /// `T - far < t <= T - near`
    Between {
        far: Span,
        near: Span,
    },
    /// `t <= T - D`
    MoreThan(Span),
    /// Later than the first or last time of a fact (at or later: `inclusive`); all, where it has none.
    Since {
        fact: FactIx,
        edge: Edge,
        inclusive: bool,
    },
    /// At or after an instant.
    SinceDate(Instant),
    /// `t_F <= t <= t_F + D`; nothing, where there is no F.
    WithinFirst {
        fact: FactIx,
        span: Span,
    },
}

/// A value or a length of time computed from facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Of all ever, or since a date.
    Total { fact: FactIx, of: Aggregate },
    /// Of those in the window.
    Series { fact: FactIx, window: Window, of: Aggregate },
    /// The least or greatest number ever, or since a date.
    Extreme { fact: FactIx },
    /// How many different keys lie in the window.
    Distinct { fact: FactIx, window: Window },
    /// One of the values in the window, of any type.
    Pick { fact: FactIx, window: Window, pick: Pick },
    /// `T -` the first or last time, in milliseconds.
    TimeSince { fact: FactIx, edge: Edge },
    /// From the first or last A to the first B from then on, in milliseconds.
    TimeFrom { fact: FactIx },
    /// The median of the last eight gaps, in milliseconds.
    UsualGap { fact: FactIx, default: Option<Span> },
    /// How many between the latest A and the first B after it.
    Steps { fact: FactIx },
    /// Of `[churn]`; `fact` has the days that it looks at.
    Score { score: Score, fact: FactIx },
    /// What it is at `T`, less what it was at `T - over`.
    Change { of: Box<Measure>, over: Span },
    /// By what part of what it was at `T - over` it has changed: 0.2 is 20 %. Rounded as a ratio; missing unless it was above
    /// zero.
    Growth { of: Box<Measure>, over: Span },
    /// Rounded half to even to six places.
    Ratio { of: Box<Measure>, to: Box<Measure> },
}

/// What is made of many numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    Sum,
    Average,
    Median,
    Min,
    Max,
}

/// Which of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// By time; of several at one instant the greatest.
    First,
    Last,
    /// Of several equally common ones the more recent, then the greater.
    MostCommon,
}

impl Measure {
    /// Is it a length of time, in milliseconds?
    #[must_use]
    pub fn is_length(&self) -> bool {
        match self {
            Self::TimeSince { .. } | Self::TimeFrom { .. } | Self::UsualGap { .. } => true,
            Self::Change { of, .. } => of.is_length(),
            Self::Total { .. }
            | Self::Series { .. }
            | Self::Extreme { .. }
            | Self::Distinct { .. }
            | Self::Pick { .. }
            | Self::Steps { .. }
            | Self::Score { .. }
            | Self::Growth { .. }
            | Self::Ratio { .. } => false,
        }
    }

    /// Does time alone move it, from one millisecond to the next?
    #[must_use]
    pub fn grows(&self) -> bool {
        match self {
            Self::TimeSince { .. } | Self::Score { score: Score::Risk | Score::Alive, .. } => true,
            Self::Change { of, .. } => of.grows(),
            _ => false,
        }
    }
}

/// What a measure is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparand {
    Number(Number),
    Bool(bool),
    Text(Box<str>),
    /// Another measure; only of a number can there be more or less than once.
    Measure {
        factor: Number,
        measure: Measure,
    },
}

/// One fact that an event of some name feeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    pub fact: FactIx,
    pub role: Role,
}

/// The parts of a fact that events of one name may feed, each with the tests that such an event must pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Role(pub(super) Vec<(Parts, Vec<Filter>)>);

impl Role {
    /// The parts of the fact that an event feeds; 0: none.
    #[must_use]
    pub fn parts(&self, event: &CustomerEvent<'_>) -> Parts {
        let passes = |filters: &[Filter]| filters.iter().all(|filter| filter.passes(event));
        self.0.iter().fold(0, |parts, (part, filters)| if passes(filters) { parts | part } else { parts })
    }

    /// The tests of one part; `None`: events of this name do not feed it.
    #[must_use]
    pub fn filters(&self, part: Parts) -> Option<&[Filter]> {
        self.0.iter().find(|(own, _)| *own == part).map(|(_, filters)| filters.as_slice())
    }

    /// The tests of the first step of a sequence that events of this name can be; `None`: they are none.
    #[must_use]
    pub fn step(&self) -> Option<&[Filter]> {
        self.0.iter().find(|(part, _)| *part != BARRED).map(|(_, filters)| filters.as_slice())
    }
}

impl RuleSet {
    /// The facts that an event of this name may feed.
    #[must_use]
    pub fn feeds(&self, name: NameId) -> &[Feed] {
        let last = self.feeds.len() - 1;
        &self.feeds[usize::from(name.0).min(last)]
    }

    /// What the model of churn learns from, in one line: as long as it is the same, what was learnt holds. None without
    /// `[churn]`.
    #[must_use]
    pub fn learnt_from(&self) -> Option<String> {
        let churn = self.churn.as_ref()?;
        Some(format!("{} {}", self.sampled_from()?, churn.horizon.0))
    }

    /// What samples are taken from, in one line: as long as it is the same, they can be learnt from together. None without
    /// `[churn]`.
    #[must_use]
    pub fn sampled_from(&self) -> Option<String> {
        let churn = self.churn.as_ref()?;
        let (fact, zone) = (self.facts[usize::from(churn.fact.0)].id, self.time_zone.iana_name().unwrap_or("UTC"));
        Some(format!("{} {fact:016x} {zone}", churn.model.name()))
    }

    /// The cohorts whose conditions look at a fact.
    #[must_use]
    pub fn readers(&self, fact: FactIx) -> &[CohortIx] {
        &self.readers[usize::from(fact.0)]
    }

    /// The rankings whose measure looks at a fact.
    #[must_use]
    pub fn ranked_by(&self, fact: FactIx) -> &[RankingIx] {
        &self.ranked_by[usize::from(fact.0)]
    }

    #[must_use]
    pub fn rank(&self, rank: RankIx) -> &Rank {
        &self.ranks[usize::from(rank.0)]
    }

    #[must_use]
    pub fn cohort(&self, cohort: CohortIx) -> &Cohort {
        &self.cohorts[usize::from(cohort.0)]
    }

    #[must_use]
    pub fn condition(&self, condition: ConditionIx) -> &Condition {
        &self.conditions[usize::from(condition.0)]
    }

    /// A calendar in the rules' time zone.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        Calendar::new(self.time_zone.clone())
    }
}
