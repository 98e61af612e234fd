//! When each machine of a customer must next be evaluated.

use crate::event::Instant;
use crate::rules::{CohortIx, Machine};

/// When each machine must next be evaluated without further events. Derived data that can be recomputed at any time, so
/// all values compare as equal.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// In the order of decision; a machine without an entry changes only by its inputs.
    entries: Vec<(Machine, Instant)>,
    /// The last instant that was decided. `None`: every machine must be evaluated.
    pub decided_at: Option<Instant>,
    /// The engine's version of thresholds as of the last decision; unknown, `u32::MAX`, in a state just read, in which
    /// the deadlines of rankings are unknown too.
    pub(in crate::engine) thresholds_version: u32,
}

impl Deadlines {
    /// `MAX`: the machine changes only by its inputs.
    #[must_use]
    pub fn get(&self, machine: Machine) -> Instant {
        let found = self.entries.binary_search_by_key(&machine, |(known, _)| *known);
        found.map_or(Instant::MAX, |index| self.entries[index].1)
    }

    /// `MAX`: the machine changes only by its inputs.
    pub(in crate::engine) fn set(&mut self, machine: Machine, deadline: Instant) {
        match self.entries.binary_search_by_key(&machine, |(known, _)| *known) {
            Ok(index) if deadline < Instant::MAX => self.entries[index].1 = deadline,
            Ok(index) => drop(self.entries.remove(index)),
            Err(index) if deadline < Instant::MAX => self.entries.insert(index, (machine, deadline)),
            Err(_) => {}
        }
    }

    /// The machines that are due at an instant.
    pub(in crate::engine) fn due(&self, at: Instant) -> impl Iterator<Item = Machine> + '_ {
        self.entries.iter().filter(move |(_, deadline)| *deadline <= at).map(|(machine, _)| *machine)
    }

    /// The earliest of all; `MAX`: there is none.
    pub(in crate::engine) fn earliest(&self) -> Instant {
        self.entries.iter().map(|(_, deadline)| *deadline).min().unwrap_or(Instant::MAX)
    }

    /// Those of cohorts.
    pub(super) fn of_cohorts(&self) -> impl Iterator<Item = (CohortIx, Instant)> + '_ {
        self.entries.iter().filter_map(|(machine, deadline)| match machine {
            Machine::Cohort(cohort) => Some((*cohort, *deadline)),
            _ => None,
        })
    }

    /// Makes room for so many more.
    pub(super) fn reserve_exact(&mut self, deadlines: usize) {
        self.entries.reserve_exact(deadlines);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Machine, Instant)>()
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { entries: Vec::new(), decided_at: None, thresholds_version: u32::MAX }
    }
}

impl PartialEq for Deadlines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Deadlines {}
