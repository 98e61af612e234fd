//! What must be remembered about a customer so that the rules can be decided: a deduplicated list of bounded summaries.

use super::ast::Unit;
use super::capacity::Capacities;
use super::selector::Filter;
use crate::event::{Instant, NameId, PropertyId, Span};

/// Of a text in a fact's memory the first so many bytes are kept, whole characters; by them it is compared.
pub const TEXT_MAX: usize = 256;

/// (time, number) pairs held one by one; older ones by day.
pub const SERIES_EXACT: usize = Capacities::DEFAULT.series;

/// (time, value) pairs behind `first`, `last` and `most_common` over a window; older ones are dropped.
pub const VALUES_MAX: usize = Capacities::DEFAULT.values;

/// Different values behind `distinct`. Tests of a count need fewer, so what falls out of so many was wanted.
pub const DISTINCT_MAX: usize = Capacities::DEFAULT.distinct;

/// A fact by its place in the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactIx(pub u16);

/// Which events feed a fact: their names (none: any event at all) and tests, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) names: Option<Vec<NameId>>,
    pub(super) filters: Vec<Filter>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactSpec {
    pub kind: FactKind,
    /// Hash of the definition in words; the same definition has the same id in every rules file and release.
    pub id: u64,
    pub(super) selector: Selector,
    /// The events B of `A then no B`, of `time from A to B` and of `steps from A to B`.
    pub(super) other: Option<Selector>,
    /// The events of `A then B within D ...`.
    pub(super) chain: Option<ChainSelectors>,
    /// The events counted by `steps from A to B via ...`.
    pub(super) via: Option<Selector>,
}

/// Which events make a sequence, and which break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainSelectors {
    /// In their order, the first one too.
    pub(super) steps: Vec<Selector>,
    /// The X of `without X between`.
    pub(super) without: Option<Selector>,
}

/// Steps of one sequence, so that those an event fits stand in the bits of one byte.
pub const STEPS_MAX: usize = 8;

/// The bounded summaries. All are functions of the *set* of events read, whatever the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactKind {
    /// The latest `cap` times, ascending. `back`: how long ago it is asked which was the last one, if at all.
    Latest { cap: usize, back: Option<Span> },
    /// The earliest `cap` times, ascending.
    Earliest { cap: usize },
    /// How many, and the sum of a property, at or after `from`.
    Total { property: Option<PropertyId>, from: Option<Instant> },
    /// Times and numbers, the latest `exact` one by one, older ones by day.
    Series { property: Option<PropertyId>, exact: usize, horizon: Option<Span>, floor: Floor },
    /// The latest (or earliest) time of each of `cap` different keys: those with the latest (earliest) times.
    Distinct { key: DistinctKey, earliest: bool, cap: usize },
    /// Every (time, key), the latest `cap`.
    DistinctAll { key: DistinctKey, cap: usize, horizon: Option<Span>, floor: Floor },
    /// The least (or `greatest`) number of a property, at or after `from`.
    Extreme { property: PropertyId, greatest: bool, from: Option<Instant> },
    /// Times and values of any type: the latest (or earliest) `cap`, ascending.
    Values { property: PropertyId, earliest: bool, cap: usize, horizon: Option<Span>, floor: Floor },
    /// The first A (or the `last`), the first B from then on, and what may take their place: at most `cap` B's.
    Answer { last: bool, cap: usize },
    /// The latest A, the first B after it, and how many others between; at most `cap` of either one by one.
    Steps { cap: usize },
    /// Per key value (one for all where `key` is none): the A's that no B has answered.
    Followed { key: Option<PropertyId>, each: bool, keys_max: usize, each_max: usize, horizon: Option<Span> },
    /// How far a sequence has come, per key value: `within[i]` is the length allowed from its step `i` to the next one.
    Chain { within: Vec<Span>, key: Option<PropertyId>, keep: Keep, keys_max: usize, links_max: usize },
    /// The days with a purchase, and what they were worth, by a property of one of the events.
    Bought { amount: Option<(NameId, PropertyId)> },
    /// The days of use.
    Used,
    /// How many, counted up to `most`, in each of the last `back` calendar periods and the current one.
    Periods { unit: Unit, back: u32, most: u32 },
}

/// Of the times at which a sequence was complete and that no late event can change, those that can still matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Latest,
    Earliest,
    /// Those of the last `far` between whose neighbours lies more than `band`: no window of that length holds another one
    /// but holds one of these.
    Spread {
        far: Span,
        band: Span,
    },
    /// The earliest from the first time of that fact to the span after it.
    WithinFirst(FactIx, Span),
}

impl Keep {
    /// How many that may be.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Spread { far, band } => usize::try_from(far.0 / band.0.max(1)).map_or(usize::MAX, |n| n * 2 + 3),
            Self::Latest | Self::Earliest | Self::WithinFirst(..) => 1,
        }
    }
}

/// What of a series can no longer matter, besides its horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    None,
    /// Times at or before the last of that fact.
    SinceLast(FactIx),
    /// Times before the first of that fact, or beyond the span after it, once no earlier first can arrive.
    WithinFirst(FactIx, Span),
}

/// What makes two events different in `with N different p` and `on N different days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistinctKey {
    Property(PropertyId),
    Period(Unit),
}

/// Periods before the last ones and after the current one that late and early events need, in days at the usual lateness.
const LATE_PERIODS: usize = 6;

impl FactKind {
    /// Widens `self` to serve `other` too, where one fact can do for both.
    pub(super) fn absorb(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Latest { cap, back }, Self::Latest { cap: wanted, back: b }) => {
                *cap = (*cap).max(*wanted);
                *back = (*back).max(*b);
                true
            }
            (Self::Earliest { cap }, Self::Earliest { cap: wanted }) => {
                *cap = (*cap).max(*wanted);
                true
            }
            (
                Self::Distinct { key, earliest, cap },
                Self::Distinct { key: other_key, earliest: other_earliest, cap: wanted },
            ) if key == other_key && earliest == other_earliest => {
                *cap = (*cap).max(*wanted);
                true
            }
            (
                Self::Series { property, exact, horizon, floor: Floor::None },
                Self::Series { property: p, exact: e, horizon: h, floor: Floor::None },
            ) if property == p => {
                *exact = (*exact).max(*e);
                *horizon = horizon.zip(*h).map(|(a, b)| a.max(b));
                true
            }
            (
                Self::DistinctAll { key, cap, horizon, floor: Floor::None },
                Self::DistinctAll { key: k, cap: c, horizon: h, floor: Floor::None },
            ) if key == k => {
                *cap = (*cap).max(*c);
                *horizon = horizon.zip(*h).map(|(a, b)| a.max(b));
                true
            }
            (Self::Periods { unit, back, most }, Self::Periods { unit: u, back: b, most: m }) if unit == u => {
                *back = (*back).max(*b);
                *most = (*most).max(*m);
                true
            }
            (
                Self::Values { property, earliest, cap, horizon, floor: Floor::None },
                Self::Values { property: p, earliest: e, cap: c, horizon: h, floor: Floor::None },
            ) if property == p && earliest == e && (*cap == 1) == (*c == 1) => {
                *cap = (*cap).max(*c);
                *horizon = horizon.zip(*h).map(|(a, b)| a.max(b));
                true
            }
            (mine, other) => mine == other,
        }
    }

    /// Does a fact of this kind hold all that one of the `wanted` kind would? Both have one definition, so only capacities
    /// can differ.
    #[must_use]
    pub fn serves(&self, wanted: &Self) -> bool {
        let reaches = |horizon: &Option<Span>, wanted: &Option<Span>| match (horizon, wanted) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(horizon), Some(wanted)) => horizon >= wanted,
        };
        match (self, wanted) {
            (Self::Latest { cap, .. }, Self::Latest { cap: wanted, .. })
            | (Self::Earliest { cap }, Self::Earliest { cap: wanted })
            | (Self::Distinct { cap, .. }, Self::Distinct { cap: wanted, .. }) => cap >= wanted,
            (Self::Total { .. }, Self::Total { .. }) | (Self::Extreme { .. }, Self::Extreme { .. }) => true,
            (Self::Values { cap, horizon, .. }, Self::Values { cap: c, horizon: h, .. }) => {
                cap >= c && reaches(horizon, h)
            }
            (Self::Answer { cap, .. }, Self::Answer { cap: c, .. }) | (Self::Steps { cap }, Self::Steps { cap: c }) => {
                cap == c
            }
            (Self::Series { exact, horizon, .. }, Self::Series { exact: e, horizon: h, .. }) => {
                exact >= e && reaches(horizon, h)
            }
            (Self::DistinctAll { cap, horizon, .. }, Self::DistinctAll { cap: c, horizon: h, .. }) => {
                cap >= c && reaches(horizon, h)
            }
            (
                Self::Followed { keys_max, each_max, horizon, .. },
                Self::Followed { keys_max: k, each_max: e, horizon: h, .. },
            ) => keys_max >= k && each_max >= e && reaches(horizon, h),
            (Self::Chain { keys_max, links_max, .. }, Self::Chain { keys_max: k, links_max: l, .. }) => {
                keys_max >= k && links_max >= l
            }
            (Self::Periods { back, most, .. }, Self::Periods { back: b, most: m, .. }) => back >= b && most >= m,
            (Self::Bought { .. }, Self::Bought { .. }) | (Self::Used, Self::Used) => true,
            _ => false,
        }
    }

    /// How far back it reaches, where that is a length.
    #[must_use]
    pub fn horizon(&self) -> Option<Span> {
        match self {
            Self::Series { horizon, .. }
            | Self::DistinctAll { horizon, .. }
            | Self::Values { horizon, .. }
            | Self::Followed { horizon, .. } => *horizon,
            _ => None,
        }
    }

    /// The fact whose first or last time says what this one may forget.
    #[must_use]
    pub fn floor_fact(&self) -> Option<FactIx> {
        match self {
            Self::Series { floor: Floor::SinceLast(fact) | Floor::WithinFirst(fact, _), .. }
            | Self::DistinctAll { floor: Floor::SinceLast(fact) | Floor::WithinFirst(fact, _), .. }
            | Self::Values { floor: Floor::SinceLast(fact) | Floor::WithinFirst(fact, _), .. }
            | Self::Chain { keep: Keep::WithinFirst(fact, _), .. } => Some(*fact),
            _ => None,
        }
    }

    /// The most bytes that this fact can take in a stored state, roughly: what `check` prints.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::Latest { cap, .. } | Self::Earliest { cap } => 4 + cap * 6,
            Self::Total { .. } => 20,
            Self::Series { property, exact, horizon, .. } => {
                let days = horizon.map_or(3650, |span| usize::try_from(span.0 / Span::DAY.0).unwrap_or(3650) + 2);
                let pair = if property.is_some() { 10 } else { 6 };
                exact * pair + days * 16
            }
            Self::Distinct { cap, .. } => cap * 14,
            Self::DistinctAll { cap, .. } => cap * 14,
            Self::Extreme { .. } => 12,
            Self::Values { cap, .. } => 4 + cap * (8 + TEXT_MAX),
            Self::Answer { cap, .. } => 8 + cap * 7,
            Self::Steps { cap } => 16 + cap * 2 * 6,
            Self::Followed { key: None, each: false, .. } => 16,
            Self::Followed { key: None, each: true, each_max, .. } => each_max * 7,
            Self::Followed { each: false, keys_max, .. } => keys_max * 24,
            Self::Followed { keys_max, each_max, .. } => keys_max * 24 + each_max * 7,
            Self::Chain { within, key, keep, keys_max, links_max } => {
                // An event: its time, roles and number; how far a key has come: a step and a time; each with its key.
                let (keys, key) = if key.is_some() { (*keys_max, 8) } else { (1, 0) };
                4 + links_max * (9 + key) + keys * within.len() * (7 + key) + keep.most() * 6
            }
            Self::Bought { .. } => 40 + LATE_PERIODS * 12,
            Self::Used => 60 + LATE_PERIODS * 4,
            Self::Periods { back, .. } => 2 + (*back as usize + LATE_PERIODS) * 4,
        }
    }
}
