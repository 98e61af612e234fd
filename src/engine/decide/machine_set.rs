//! A set of machines that can be iterated in the order of decision while it grows.

use crate::rules::{CohortIx, Machine, RankingIx, RuleSet};

/// One bit for each machine: clearing it and finding the next one handle 64 at once.
#[derive(Debug)]
pub(super) struct MachineSet {
    words: Vec<u64>,
    cohorts: usize,
    rankings: usize,
}

impl MachineSet {
    /// The empty set of the machines of these rules.
    pub(super) fn empty(rules: &RuleSet) -> Self {
        Self::of(rules.cohorts.len(), rules.rankings.len())
    }

    fn of(cohorts: usize, rankings: usize) -> Self {
        Self { words: vec![0; (1 + cohorts + rankings).div_ceil(64)], cohorts, rankings }
    }

    fn index(&self, machine: Machine) -> usize {
        match machine {
            Machine::Risk => 0,
            Machine::Cohort(cohort) => 1 + usize::from(cohort.0),
            Machine::Ranking(ranking) => 1 + self.cohorts + usize::from(ranking.0),
        }
    }

    fn machine(&self, index: usize) -> Machine {
        let number = |index: usize| u16::try_from(index).expect("numbered in 16 bits");
        match index.checked_sub(1) {
            None => Machine::Risk,
            Some(cohort) if cohort < self.cohorts => Machine::Cohort(CohortIx(number(cohort))),
            Some(other) => Machine::Ranking(RankingIx(number(other - self.cohorts))),
        }
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(super) fn add(&mut self, machine: Machine) {
        let index = self.index(machine);
        self.words[index / 64] |= 1 << (index % 64);
    }

    pub(super) fn add_each(&mut self, machines: &[Machine]) {
        machines.iter().for_each(|machine| self.add(*machine));
    }

    pub(super) fn add_cohorts(&mut self, cohorts: &[CohortIx]) {
        cohorts.iter().for_each(|cohort| self.add(Machine::Cohort(*cohort)));
    }

    pub(super) fn add_rankings(&mut self) {
        (0..self.rankings).for_each(|ranking| self.add(self.machine(1 + self.cohorts + ranking)));
    }

    pub(super) fn add_all(&mut self) {
        (0..1 + self.cohorts + self.rankings).for_each(|index| self.words[index / 64] |= 1 << (index % 64));
    }

    pub(super) fn contains(&self, machine: Machine) -> bool {
        let index = self.index(machine);
        self.words[index / 64] & (1 << (index % 64)) != 0
    }

    /// The first one from `position` on, which is moved past it.
    pub(super) fn next_from(&self, position: &mut usize) -> Option<Machine> {
        let mut word = *position / 64;
        let mut bits = self.words.get(word)? & (u64::MAX << (*position % 64));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        let index = word * 64 + bits.trailing_zeros() as usize;
        *position = index + 1;
        Some(self.machine(index))
    }
}

#[cfg(test)]
mod tests {
    use super::{CohortIx, Machine, MachineSet, RankingIx};

    #[test]
    fn it_is_iterated_in_order_also_while_it_grows() {
        let cohort = |index| Machine::Cohort(CohortIx(index));
        let mut set = MachineSet::of(130, 3);
        [cohort(129), cohort(63), cohort(0), Machine::Ranking(RankingIx(2)), Machine::Risk]
            .into_iter()
            .for_each(|machine| set.add(machine));
        let (mut seen, mut position) = (Vec::new(), 0);
        while let Some(machine) = set.next_from(&mut position) {
            seen.push(machine);
            if machine == cohort(63) {
                set.add(cohort(64));
            }
        }
        let expected = [Machine::Risk, cohort(0), cohort(63), cohort(64), cohort(129), Machine::Ranking(RankingIx(2))];
        assert_eq!(seen, expected);
        assert!(expected.is_sorted() && set.contains(cohort(64)) && !set.contains(cohort(65)));
        set.clear();
        assert_eq!(set.next_from(&mut 0), None);
        set.add_all();
        let mut position = 0;
        assert_eq!(std::iter::from_fn(|| set.next_from(&mut position)).count(), 134);
    }
}
