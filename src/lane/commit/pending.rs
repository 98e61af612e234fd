//! A batch that is decided and not yet known to be committed.

use std::collections::{BTreeMap, VecDeque};

use crate::backoff::Backoff;
use crate::engine::Slot;
use crate::lane::output::plan::{Part, Plan};
use crate::member::transactions::backoff;

pub(in crate::lane) struct PendingBatch {
    pub(super) plan: Plan,
    /// Customers to evict from memory when their partition's part is committed.
    pub(super) victims: BTreeMap<i32, Vec<Slot>>,
    /// Before the next try.
    pub(in crate::lane) backoff: Backoff,
    /// Parts of a plan that was split, to be published after this one.
    pub(in crate::lane) later: VecDeque<Plan>,
    /// The partition under which a wait for missing topics is shown.
    pub(super) awaits_topics: Option<i32>,
    /// It may be committed already.
    pub(super) is_unknown: bool,
}

impl PendingBatch {
    pub(super) fn new(plan: Plan, victims: BTreeMap<i32, Vec<Slot>>) -> Self {
        Self { plan, victims, backoff: backoff(), later: VecDeque::new(), awaits_topics: None, is_unknown: false }
    }

    /// The parts that are not committed yet.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.plan.parts.iter().chain(self.later.iter().flat_map(|plan| &plan.parts))
    }

    /// Does it contain anything of this partition?
    pub(in crate::lane) fn concerns(&self, partition: i32) -> bool {
        self.parts().any(|part| part.partition == partition)
    }

    /// Splits the plan into one transaction per partition.
    pub(in crate::lane) fn split(mut self) -> Self {
        let mut plans = std::mem::take(&mut self.plan).by_partition();
        plans.extend(std::mem::take(&mut self.later));
        self.plan = plans.pop_front().unwrap_or_default();
        Self { later: plans, ..self }
    }

    /// What is left once the plan is committed or given up.
    pub(in crate::lane) fn next(mut self) -> Option<Self> {
        let plan = self.later.pop_front()?;
        Some(Self { plan, backoff: backoff(), awaits_topics: None, ..self })
    }
}
