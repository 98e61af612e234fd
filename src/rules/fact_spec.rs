//! A fact as the rules define it: its kind, and the events that feed it.

use super::selector::Filter;
use crate::event::NameId;
use crate::fact::FactKind;

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
    /// Hash of the definition as text; the same definition has the same id in every rules file and release.
    pub id: u64,
    pub(super) selector: Selector,
    /// The events B of `A then no B`, of `time from A to B` and of `steps from A to B`.
    pub(super) other: Option<Selector>,
    /// The events of `A then B within D ...`.
    pub(super) chain: Option<ChainSelectors>,
    /// The events counted by `steps from A to B via ...`.
    pub(super) via: Option<Selector>,
}

/// The events of the steps of a sequence, and those that break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainSelectors {
    /// In order, including the first one.
    pub(super) steps: Vec<Selector>,
    /// The X of `without X between`.
    pub(super) without: Option<Selector>,
}
