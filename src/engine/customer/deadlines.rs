//! When each machine of a customer must next be evaluated.

use crate::event::Instant;
use crate::prefetch::prefetch;
use crate::rules::{CohortIx, Machine, RankingIx};

/// A machine by its place in the order of decision.
fn place(machine: Machine) -> u32 {
    match machine {
        Machine::Risk => 0,
        Machine::Cohort(cohort) => FIRST_COHORT + u32::from(cohort.0),
        Machine::Ranking(ranking) => FIRST_RANKING + u32::from(ranking.0),
    }
}

const FIRST_COHORT: u32 = 1;
const FIRST_RANKING: u32 = FIRST_COHORT + (1 << 16);

fn machine(place: u32) -> Machine {
    let number = |first: u32| u16::try_from(place - first).expect("numbered in 16 bits");
    match place {
        0 => Machine::Risk,
        FIRST_COHORT..FIRST_RANKING => Machine::Cohort(CohortIx(number(FIRST_COHORT))),
        _ => Machine::Ranking(RankingIx(number(FIRST_RANKING))),
    }
}

/// When each machine must next be evaluated without further events. Derived data that can be recomputed at any time, so
/// all values compare as equal.
#[derive(Debug)]
pub struct Deadlines {
    /// In the order of decision; a machine without an entry changes only by its inputs.
    entries: Vec<(u32, Instant)>,
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
        self.find(place(machine)).map_or(Instant::MAX, |index| self.entries[index].1)
    }

    /// `MAX`: the machine changes only by its inputs.
    pub(in crate::engine) fn set(&mut self, machine: Machine, deadline: Instant) {
        let place = place(machine);
        match self.find(place) {
            Ok(index) if deadline < Instant::MAX => self.entries[index].1 = deadline,
            Ok(index) => drop(self.entries.remove(index)),
            Err(index) if deadline < Instant::MAX => self.entries.insert(index, (place, deadline)),
            Err(_) => {}
        }
    }

    /// Asks for the memory of the deadlines.
    pub(super) fn prefetch(&self) {
        prefetch(&self.entries[..]);
    }

    /// They are few: a scan is as fast as a search.
    fn find(&self, place: u32) -> Result<usize, usize> {
        if self.entries.len() > 16 {
            return self.entries.binary_search_by_key(&place, |(known, _)| *known);
        }
        let index = self.entries.iter().take_while(|(known, _)| *known < place).count();
        match self.entries.get(index) {
            Some((known, _)) if *known == place => Ok(index),
            _ => Err(index),
        }
    }

    /// The machines that are due at an instant.
    pub(in crate::engine) fn due(&self, at: Instant) -> impl Iterator<Item = Machine> + '_ {
        self.entries.iter().filter(move |(_, deadline)| *deadline <= at).map(|(place, _)| machine(*place))
    }

    /// The earliest of all; `MAX`: there is none.
    pub(in crate::engine) fn earliest(&self) -> Instant {
        self.entries.iter().map(|(_, deadline)| *deadline).min().unwrap_or(Instant::MAX)
    }

    /// Forgets everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        (self.decided_at, self.thresholds_version) = (None, u32::MAX);
    }

    /// Those of cohorts.
    pub(super) fn of_cohorts(&self) -> impl Iterator<Item = (CohortIx, Instant)> + '_ {
        self.entries.iter().filter_map(|(place, deadline)| match machine(*place) {
            Machine::Cohort(cohort) => Some((cohort, *deadline)),
            _ => None,
        })
    }

    /// As `set`, of a machine that comes after all others.
    pub(super) fn push(&mut self, machine: Machine, deadline: Instant) {
        match self.entries.last() {
            Some((last, _)) if *last >= place(machine) => self.set(machine, deadline),
            _ if deadline < Instant::MAX => self.entries.push((place(machine), deadline)),
            _ => {}
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, Instant)>()
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { entries: Vec::new(), decided_at: None, thresholds_version: u32::MAX }
    }
}

impl Clone for Deadlines {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), ..*self }
    }

    /// Uses the memory again.
    fn clone_from(&mut self, source: &Self) {
        self.entries.clone_from(&source.entries);
        (self.decided_at, self.thresholds_version) = (source.decided_at, source.thresholds_version);
    }
}

impl PartialEq for Deadlines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Deadlines {}
