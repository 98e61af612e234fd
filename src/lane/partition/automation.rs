//! Whether automation may act on a change: not while the partition has not caught up; not for THRESHOLD and
//! MODEL_CHANGED; not for DEFINITION_CHANGED unless `on_create = "emit"`; not later than `automation.max_delay` after
//! the instant; not for entries in a surge (`surge`).
//!
//! What depends on the wall clock, the settings or other customers is recorded where it changes, at a point of the order
//! of decisions, and the answer follows from what is recorded alone: whoever decides a change again, after a restart with
//! the disk kept or lost, answers as then.
//!
//! Two exceptions: an edit of the rules causes no surge, and a risk level depends on no threshold, so a risk change
//! with the reason THRESHOLD only coincides with the update of one and is the customer's own.

use std::collections::BTreeMap;

use crate::engine::{Effect, RiskEffect};
use crate::event::{Change, ChangeReason, Instant, Span};
use crate::lane::output::changes::Automation;
use crate::lane::partition::surge::{Entries, Limit, Surges, hour};
use crate::rules::{Cohort, CohortIx, OnCreate};
use crate::store::{CohortHour, DecisionPoint, Recorded, Surge, Trigger};

/// What decides together, at one reading of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) struct Round {
    /// The offset that its records name as their cause.
    pub(in crate::lane) position: i64,
    /// The offset after the last record that was read.
    pub(in crate::lane) next_offset: i64,
    pub(in crate::lane) trigger: Trigger,
}

impl Round {
    /// Of what the record at `position` brings about, or of what happens before it is read. `as_of`: the offset after the
    /// last record that was read.
    pub(in crate::lane) fn new(position: i64, as_of: i64) -> Self {
        let trigger = if as_of > position { Trigger::Record } else { Trigger::Clock };
        Self { position, next_offset: as_of, trigger }
    }

    pub(in crate::lane) fn at(self, at: Instant) -> DecisionPoint {
        DecisionPoint { next_offset: self.next_offset, trigger: self.trigger, at }
    }
}

/// Changes decided again by a replay; their records were said before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::lane) struct ReplayedChanges {
    pub(in crate::lane) all: u64,
    pub(in crate::lane) for_automation: u64,
}

impl ReplayedChanges {
    pub(in crate::lane) fn count(&mut self, automation: Automation) {
        self.all += 1;
        self.for_automation += u64::from(automation == Automation::Allowed);
    }
}

/// What was recorded of when automation may act. Only what a restart may still need is kept.
#[derive(Debug, Default)]
pub(in crate::lane) struct AutomationInputs {
    /// Entries as they are counted, from which surges are recorded.
    entered: Surges,
    /// Since when the partition has caught up; `None`: it has not.
    caught_up: Option<DecisionPoint>,
    /// From each point on: changes at instants before this one are too old.
    outdated: BTreeMap<DecisionPoint, Instant>,
    surges: BTreeMap<CohortHour, BTreeMap<DecisionPoint, Surge>>,
    /// What is not written yet, by position.
    unwritten: Vec<(i64, Recorded)>,
    /// Changelog keys of what no restart needs any more.
    obsolete: Vec<Vec<u8>>,
}

impl AutomationInputs {
    /// As it was written. `caught_up`, `counts`: META's, as of the last batch.
    pub(in crate::lane) fn restored(recorded: &[(i64, Recorded)], caught_up: bool, counts: &[(u32, i64, u64)]) -> Self {
        let caught_up = caught_up.then_some(DecisionPoint::FIRST);
        let mut inputs = Self { caught_up, entered: Surges::of_rows(counts), ..Self::default() };
        for (_, recorded) in recorded {
            inputs.take_up(*recorded);
        }
        inputs
    }

    /// Is this one of the inputs that are kept here?
    pub(in crate::lane) fn is_one(recorded: &Recorded) -> bool {
        matches!(recorded, Recorded::CaughtUp(_) | Recorded::Outdated { .. } | Recorded::Surge { .. })
    }

    fn take_up(&mut self, recorded: Recorded) {
        match recorded {
            Recorded::CaughtUp(since) => self.caught_up = Some(since),
            Recorded::Outdated { since, before } => drop(self.outdated.insert(since, before)),
            Recorded::Surge { since, entries, surge } => {
                self.surges.entry(entries).or_default().insert(since, surge);
            }
            _ => {}
        }
    }

    fn record(&mut self, since: DecisionPoint, recorded: Recorded) {
        self.take_up(recorded);
        self.unwritten.push((since.next_offset, recorded));
    }

    /// The partition has caught up with its input.
    pub(in crate::lane) fn mark_caught_up(&mut self, since: DecisionPoint) {
        if self.caught_up.is_none() {
            self.record(since, Recorded::CaughtUp(since));
        }
    }

    pub(in crate::lane) fn has_caught_up(&self) -> bool {
        self.caught_up.is_some()
    }

    /// By the wall clock, changes at instants before `before` are too old now. Recorded if that says anything new of the
    /// changes of this round, at these instants.
    pub(in crate::lane) fn note_clock(
        &mut self,
        round: Round,
        instants: impl Iterator<Item = Instant> + Clone,
        before: Instant,
    ) {
        let is_news = |at: Instant| self.is_outdated(round.at(at)) != (at < before);
        if self.has_caught_up()
            && instants.clone().any(is_news)
            && let Some(earliest) = instants.min()
        {
            let since = round.at(earliest);
            self.record(since, Recorded::Outdated { since, before });
        }
    }

    /// Counts so many entries into a cohort at one point; all of them are in a surge, or none. `limit`: what may enter in
    /// one hour; `None`: there is no limit.
    pub(in crate::lane) fn count_entries(
        &mut self,
        cohort: CohortIx,
        since: DecisionPoint,
        entries: u64,
        limit: Option<Limit>,
    ) -> Entries {
        let counted = limit
            .map_or(Entries::Normal, |limit| self.entered.entered(usize::from(cohort.0), since.at, entries, limit));
        let surge = if counted == Entries::Normal { Surge::Over } else { Surge::Begun };
        self.note_entries(u32::from(cohort.0), since, surge);
        counted
    }

    /// As it is counted, entries of this cohort at this point are in a surge, or are not. Recorded if that is news and
    /// automation could act on them otherwise.
    fn note_entries(&mut self, cohort: u32, since: DecisionPoint, surge: Surge) {
        let entries = cohort_hour(cohort, since.at);
        if self.surge(entries, since) != surge && self.is_open(since) {
            self.record(since, Recorded::Surge { since, entries, surge });
        }
    }

    /// For a change of a cohort at a point.
    pub(in crate::lane) fn for_change(&self, effect: &Effect, cohort: &Cohort, round: Round) -> Automation {
        let is_own = match effect.reason {
            ChangeReason::DefinitionChanged => cohort.on_create == OnCreate::Emit,
            // Caused by something computed over all customers, not by the customer.
            ChangeReason::Threshold | ChangeReason::ModelChanged => false,
            _ => true,
        };
        self.if_open(is_own, round.at(effect.at))
    }

    /// For a change of a risk level at a point.
    pub(in crate::lane) fn for_risk_change(&self, effect: &RiskEffect, round: Round) -> Automation {
        let is_own = !matches!(effect.reason, ChangeReason::ModelChanged | ChangeReason::DefinitionChanged);
        self.if_open(is_own, round.at(effect.at))
    }

    /// Is a change an entry in a surge?
    pub(in crate::lane) fn is_in_surge(&self, effect: &Effect, round: Round) -> bool {
        let entries = cohort_hour(u32::from(effect.cohort.0), effect.at);
        effect.change == Change::Entered && self.surge(entries, round.at(effect.at)) == Surge::Begun
    }

    fn if_open(&self, is_own: bool, point: DecisionPoint) -> Automation {
        if is_own && self.is_open(point) { Automation::Allowed } else { Automation::Withheld }
    }

    /// May automation act on changes at this point, apart from reasons and surges?
    fn is_open(&self, point: DecisionPoint) -> bool {
        self.caught_up.is_some_and(|since| since <= point) && !self.is_outdated(point)
    }

    fn is_outdated(&self, point: DecisionPoint) -> bool {
        self.outdated.range(..=point).next_back().is_some_and(|(_, before)| point.at < *before)
    }

    fn surge(&self, entries: CohortHour, point: DecisionPoint) -> Surge {
        let recorded = self.surges.get(&entries).and_then(|recorded| recorded.range(..=point).next_back());
        recorded.map_or(Surge::Over, |(_, surge)| *surge)
    }

    /// What is counted, in the form of META.
    pub(in crate::lane) fn counts(&self) -> Vec<(u32, i64, u64)> {
        self.entered.rows()
    }

    /// The rules have changed, and with them the numbers of the cohorts: what is counted of them, and what is recorded,
    /// is forgotten. Nothing before is decided again.
    pub(in crate::lane) fn forget_surges(&mut self) {
        self.entered = Surges::default();
        self.unwritten.retain(|(_, recorded)| !matches!(recorded, Recorded::Surge { .. }));
        for (entries, recorded) in std::mem::take(&mut self.surges) {
            for (since, surge) in recorded {
                self.obsolete.push(Recorded::Surge { since, entries, surge }.key(since.next_offset));
            }
        }
    }

    /// What was recorded since the last call, by position.
    pub(in crate::lane) fn take_unwritten(&mut self) -> Vec<(i64, Recorded)> {
        std::mem::take(&mut self.unwritten)
    }

    /// Forgets what no restart needs any more that reads the input again from `replay_from`, where stream time is
    /// `stream_time`. Returns the changelog keys to delete.
    pub(in crate::lane) fn prune(
        &mut self,
        replay_from: i64,
        stream_time: Instant,
        max_lateness: Span,
    ) -> Vec<Vec<u8>> {
        let mut obsolete = std::mem::take(&mut self.obsolete);
        if let Some(since) = self.caught_up.filter(|since| since.next_offset < replay_from)
            && since != DecisionPoint::FIRST
        {
            self.caught_up = Some(DecisionPoint::FIRST);
            obsolete.push(Recorded::CaughtUp(since).key(since.next_offset));
        }
        for (since, before) in superseded(&mut self.outdated, replay_from) {
            obsolete.push(Recorded::Outdated { since, before }.key(since.next_offset));
        }
        let hour_needed = hour(stream_time - max_lateness);
        self.surges.retain(|entries, recorded| {
            let mut gone = superseded(recorded, replay_from);
            // No later entry is in such an hour.
            let last_needed = recorded.keys().next_back().is_some_and(|since| since.next_offset >= replay_from);
            if entries.hour < hour_needed && !last_needed {
                gone.append(recorded);
            }
            for (since, surge) in gone {
                obsolete.push(Recorded::Surge { since, entries: *entries, surge }.key(since.next_offset));
            }
            !recorded.is_empty()
        });
        obsolete
    }
}

/// Removes all but the last of what was recorded before this offset: the last is still in force there.
fn superseded<T>(recorded: &mut BTreeMap<DecisionPoint, T>, replay_from: i64) -> BTreeMap<DecisionPoint, T> {
    let bound = DecisionPoint { next_offset: replay_from, trigger: Trigger::Record, at: Instant::MIN };
    let Some(last) = recorded.range(..bound).next_back().map(|(since, _)| *since) else { return BTreeMap::new() };
    let rest = recorded.split_off(&last);
    std::mem::replace(recorded, rest)
}

fn cohort_hour(cohort: u32, at: Instant) -> CohortHour {
    CohortHour { cohort, hour: hour(at) }
}

#[cfg(test)]
mod tests;
