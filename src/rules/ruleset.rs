//! Compiled rules, as the engine runs them. Everything is referred to by index.

use super::ast::{RankEnd, RankSize};
use super::condition::{Condition, Node};
use super::document::{ChurnModel, OnCreate};
use super::fact_spec::FactSpec;
use super::index::{CohortIx, ConditionIx, RankIx, RankingIx};
use super::measure::Measure;
use super::mentions::Mention;
use super::readers::Readers;
use super::selector::Filter;
use crate::calendar::Calendar;
use crate::event::{CustomerEvent, Localized, NameId, PropertyId, Span, Vocabulary};
use crate::fact::{BARRED, FactIx, Parts};

/// A compiled rules file. Cohorts are in the order in which they are decided.
#[derive(Debug)]
pub struct RuleSet {
    pub cohorts: Vec<Cohort>,
    pub conditions: Vec<Condition>,
    pub facts: Vec<FactSpec>,
    /// `[churn]`
    pub churn: Option<Churn>,
    /// The orders in which customers are ranked.
    pub rankings: Vec<Ranking>,
    /// The ends of those rankings that rules refer to.
    pub ranks: Vec<Rank>,
    pub vocabulary: Vocabulary,
    /// What the rules refer to that events should have.
    pub mentions: Vec<Mention>,
    pub time_zone: jiff::tz::TimeZone,
    /// Hash of everything that affects decisions: expressions, durations, time zone. Display names, owners and actions
    /// do not count.
    pub fingerprint: String,
    /// For each event name the facts that it feeds; the last entry is for names that no rule uses.
    pub(super) feeds: Vec<Vec<Feed>>,
    /// What is decided again when something changes.
    pub readers: Readers,
}

/// `[churn]`: how the risk that a customer does not come back is computed.
#[derive(Debug)]
pub struct Churn {
    pub model: ChurnModel,
    /// The days of what counts as coming back.
    pub fact: FactIx,
    /// Do purchases have amounts?
    pub has_amounts: bool,
    pub currency: Option<String>,
    /// Risk is the probability of no activity for so long.
    pub horizon: Span,
    /// The names of the levels above the lowest.
    pub levels: Vec<String>,
    /// The risk at which each of them begins, ascending.
    pub thresholds: Vec<f64>,
    /// No level above the lowest before that.
    pub min_silence: Span,
    pub signals: Vec<Signal>,
    /// `None` where no event counts as coming back by its name alone.
    pub plain_visit: Option<PlainVisit>,
    /// Fingerprint of the definition.
    pub definition: String,
}

/// An event that counts as coming back by its name alone, for forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainVisit {
    pub name: NameId,
    /// The property with its amount.
    pub amount: Option<PropertyId>,
}

/// A custom signal that a customer may leave.
#[derive(Debug)]
pub struct Signal {
    pub when: Node,
    /// Added to `churn_risk`.
    pub points: i64,
    pub because: Localized,
}

/// Customers in the order of a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    pub measure: Measure,
    /// Only members of this cohort are ranked.
    pub among: Option<CohortIx>,
    /// Only values above zero are ranked: those of counts and sums.
    pub positive: bool,
}

/// One end of a ranking: a percentage of its customers, or a number of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rank {
    pub ranking: RankingIx,
    pub end: RankEnd,
    pub size: RankSize,
    /// As first written in the rules file, with single spaces.
    pub words: String,
    /// The cohorts whose rules refer to it.
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
    /// May be entered only once.
    pub once: bool,
    pub enabled: bool,
    /// Decided and counted, never emitted.
    pub shadow: bool,
    /// The group, in which a customer is in one cohort at a time.
    pub group: Option<String>,
    /// The cohorts of its group with a higher priority, in order: membership in one of them excludes this one.
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
    /// Itself and all cohorts that it depends on, directly or not, in the order of decision: no other cohort can change
    /// it.
    pub rests_on: Vec<CohortIx>,
    /// Does any rule depend on when this cohort was entered or left?
    pub keeps_history: bool,
}

impl Cohort {
    /// The expressions that decide membership.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        [Some(&self.who), self.stay.as_ref(), self.until.as_ref()].into_iter().flatten()
    }
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

    /// What the churn model is trained on, as one line: as long as it is the same, trained parameters stay valid.
    /// `None` without `[churn]`.
    #[must_use]
    pub fn trained_from(&self) -> Option<String> {
        let churn = self.churn.as_ref()?;
        Some(format!("{} {}", self.sampled_from()?, churn.horizon.0))
    }

    /// What samples are taken from, as one line: as long as it is the same, they can be trained on together. `None`
    /// without `[churn]`.
    #[must_use]
    pub fn sampled_from(&self) -> Option<String> {
        let churn = self.churn.as_ref()?;
        let (fact, zone) = (self.facts[usize::from(churn.fact.0)].id, self.time_zone.iana_name().unwrap_or("UTC"));
        Some(format!("{} {fact:016x} {zone}", churn.model.name()))
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
