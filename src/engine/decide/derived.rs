//! Events that a decision brings about itself. They happen at its instant, and rules see them as they see those of the log.
//!
//! No machine brings one about yet; the outcomes of journeys will.

use std::collections::VecDeque;

use crate::event::{CustomerEvent, Instant, NameId};
use crate::rules::RuleSet;

/// In the order in which they were brought about.
#[derive(Debug, Default)]
pub(super) struct DerivedEvents(VecDeque<NameId>);

impl DerivedEvents {
    #[cfg_attr(not(test), expect(dead_code, reason = "no machine brings about an event yet"))]
    pub(super) fn push(&mut self, name: NameId) {
        self.0.push_back(name);
    }

    pub(super) fn pop(&mut self) -> Option<NameId> {
        self.0.pop_front()
    }
}

/// A derived event as facts are fed with it. It has no id, since it is never read twice.
pub(super) fn event(name: NameId, at: Instant, rules: &RuleSet) -> CustomerEvent<'_> {
    CustomerEvent {
        customer: "",
        name: rules.vocabulary.name_of(name).unwrap_or_default(),
        name_id: name,
        at,
        id: None,
        source: None,
        record_hash: 0,
        unusable_values: 0,
        properties: &[],
    }
}
