//! A partition applies new thresholds.
//!
//! It scans its customers in the order of their ids, a share in each transaction; META records how far. Only the head
//! of each state is decoded, and only customers between the old threshold and the new are decided again. The
//! partition's input waits meanwhile: a scan of a million customers takes half a second (`cargo bench --bench engine --
//! ranks`), at most once per `ranks.refresh`, plus the decisions.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::{Detail, Slot, Standing, Thresholds};
use crate::event::stored_hash::tie_hash;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::output::size::FlushRoom;
use crate::lane::partition::state::Partition;
use crate::lane::summaries::updates::ThresholdsUpdate;
use crate::store::{Recorded, StoreError, ThresholdsProgress, places};

/// Customers of a lane scanned in one transaction while thresholds are applied.
const LOOK_MAX: usize = 200_000;

/// Customers of a lane decided in one transaction while thresholds are applied.
const DECIDE_MAX: usize = 5_000;

/// What is left of a turn for applying thresholds.
pub(super) struct Budget {
    looks: usize,
    decisions: usize,
}

impl Budget {
    pub(super) fn of_a_turn() -> Self {
        Self { looks: LOOK_MAX, decisions: DECIDE_MAX }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.looks == 0 || self.decisions == 0
    }
}

impl Partition {
    /// Are thresholds in force under which not every customer is decided yet?
    pub(in crate::lane) fn is_applying_thresholds(&self) -> bool {
        self.ranks.applying.is_some()
    }

    /// Are these thresholds other than those in force, for the rules in force?
    pub(super) fn should_apply_thresholds(&self, update: &ThresholdsUpdate) -> bool {
        *self.thresholds() != update.thresholds && update.version == self.rules.number && !self.is_sweeping()
    }

    /// Puts thresholds into force at the present position. Everything must be flushed, and every deadline before stream
    /// time decided under the old ones.
    pub(super) fn begin_thresholds(&mut self, thresholds: &Thresholds) {
        self.begin();
        let position = self.next_offset;
        let stream_time = self.stream_time();
        let old = Arc::clone(self.thresholds());
        for (rank, threshold) in (0..).zip(thresholds.iter().copied()) {
            self.record(position, Recorded::Threshold { rank, threshold, stream_time });
        }
        self.residents.set_thresholds(Arc::clone(thresholds));
        self.ranks.applying = Some(ThresholdsProgress { old: old.to_vec(), through: String::new() });
    }

    /// Decides a share of the customers between the old thresholds and the new, and flushes them.
    pub(super) fn apply_thresholds(
        &mut self,
        context: &Context,
        budget: &mut Budget,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let Some(ThresholdsProgress { old, through }) = self.ranks.applying.take() else { return Ok(()) };
        self.begin();
        let old: Thresholds = old.into();
        let (new, stream_time) = (Arc::clone(self.thresholds()), self.stream_time());
        let rules = Arc::clone(&self.rules.rules);
        let (mut concerned, mut looked, mut last): (Vec<Box<str>>, usize, String) = (Vec::new(), 0, through.clone());
        let mut more = false;
        self.residents.database().for_each_customer(&through, |customer, state| {
            if looked == budget.looks || concerned.len() == budget.decisions {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            looked += 1;
            customer.clone_into(&mut last);
            let (places, deadline) = places(state, rules.rankings.len())?;
            let hash = tie_hash(customer);
            let turns = rules.ranks.iter().zip(old.iter().zip(new.iter())).any(|(rank, (old, new))| {
                let place = places[usize::from(rank.ranking.0)];
                let standing = place.map(|value| Standing { value, hash });
                old != new && standing.is_some_and(|it| rank.includes(it, *old) != rank.includes(it, *new))
            });
            // A deadline that is due may change the customer's value.
            if turns || deadline <= stream_time {
                concerned.push(customer.into());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        budget.looks -= looked;
        budget.decisions -= concerned.len();
        self.ranks.applying = more.then(|| ThresholdsProgress { old: old.to_vec(), through: last });
        self.residents.load_missing(concerned.iter().map(|customer| &**customer))?;
        for customer in &concerned {
            let slot = self.residents.find_or_new(customer);
            self.reconsider(slot, &old);
        }
        self.emit(self.round(), Detail::Full, context, plan);
        let mut room = FlushRoom::UNBOUNDED;
        self.flush_all(&mut room, plan);
        Ok(())
    }

    /// Decides a customer again if their value is between thresholds `old` and those in force. `emit` turns the effects
    /// into records.
    fn reconsider(&mut self, slot: Slot, old: &Thresholds) {
        self.residents.reevaluate_ranks(slot, old, self.next_offset, Detail::Full);
    }
}
