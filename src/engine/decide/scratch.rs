//! Memory that decisions reuse, so that none allocates its own.

use super::derived::DerivedEvents;
use super::machine_set::MachineSet;
use crate::engine::effects::RiskEffect;
use crate::engine::machines::Lookahead;
use crate::rules::{Input, RuleSet};

/// What the current decision must evaluate, whatever the deadlines.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) machines: MachineSet,
    /// Events that the decision brings about and that are not applied yet.
    pub(super) derived: DerivedEvents,
    pub(super) lookahead: Lookahead,
    /// Changes of risk levels since they were last taken.
    pub(super) risks: Vec<RiskEffect>,
}

impl Scratch {
    pub(super) fn new(rules: &RuleSet) -> Self {
        Self {
            machines: MachineSet::empty(rules),
            derived: DerivedEvents::default(),
            lookahead: Lookahead::new(rules),
            risks: Vec::new(),
        }
    }

    /// Evaluates only what is due.
    pub(super) fn clear(&mut self) {
        self.machines.clear();
    }

    /// Evaluates whatever reads an input, because it changed.
    pub(super) fn add_readers(&mut self, rules: &RuleSet, input: Input) {
        self.machines.add_each(rules.readers.of(input));
    }
}
