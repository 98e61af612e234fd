//! One customer from one rule set to the next: facts by what they are, memberships by name.

use std::sync::Arc;

use crate::engine::conditions::Observed;
use crate::engine::customer::{CustomerState, Membership, Risk, Thresholds};
use crate::engine::decide::{Engine, Words};
use crate::engine::effects::Effect;
use crate::engine::machines::level_name;
use crate::event::{Change, ChangeReason, Instant};
use crate::rules::{Cohort, CohortIx, FactSpec, Rank, RuleSet};

/// What an edit of the rules means for every customer.
#[derive(Debug)]
pub struct Migration {
    old: Arc<RuleSet>,
    new: Arc<RuleSet>,
    /// By the new rules' numbers.
    facts: Vec<Source>,
    /// The old number of each cohort, by the new rules' numbers.
    cohorts: Vec<Option<usize>>,
    /// By the new rules' numbers: cohorts that are new or defined otherwise, and those that rest on one.
    changed: Vec<bool>,
    /// Facts to be gathered from the log: those that cannot be kept, and what these look at.
    wanted: Vec<bool>,
}

/// Where the content of a fact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The old rules kept this fact, and no less of it.
    Kept(usize),
    /// They kept it, but less than is needed now.
    Grown(usize),
    Missing,
}

/// Members who left because nothing defines their cohort any more, or it is not enabled, or in the shadow. Cohorts by the old numbers.
pub type Left = Vec<Effect>;

impl Migration {
    #[must_use]
    pub fn between(old: Arc<RuleSet>, new: Arc<RuleSet>) -> Self {
        let source = |wanted: &FactSpec| {
            let same = || old.facts.iter().enumerate().filter(|(_, fact)| fact.id == wanted.id);
            match same().find(|(_, fact)| fact.kind.serves(&wanted.kind)) {
                Some((number, _)) => Source::Kept(number),
                None => same().next().map_or(Source::Missing, |(number, _)| Source::Grown(number)),
            }
        };
        let facts: Vec<Source> = new.facts.iter().map(source).collect();
        let mut wanted: Vec<bool> = facts.iter().map(|source| !matches!(source, Source::Kept(_))).collect();
        for (number, fact) in new.facts.iter().enumerate() {
            if let Some(edge) = fact.kind.floor_fact().filter(|_| wanted[number]) {
                wanted[usize::from(edge.0)] = true;
            }
        }
        // One that goes into the shadow is left by its members as far as anyone can see, and entered on its way out.
        let same =
            |cohort: &Cohort| old.cohorts.iter().position(|o| (&o.name, o.shadow) == (&cohort.name, cohort.shadow));
        let cohorts: Vec<Option<usize>> = new.cohorts.iter().map(same).collect();
        let names = |rules: &RuleSet, cohorts: &[CohortIx]| -> Vec<String> {
            cohorts.iter().map(|cohort| rules.cohort(*cohort).name.clone()).collect()
        };
        let differs = |(cohort, known): (&Cohort, &Option<usize>)| {
            known.map(|known| &old.cohorts[known]).is_none_or(|known| {
                known.definition != cohort.definition
                    || names(&old, &known.excluded_by) != names(&new, &cohort.excluded_by)
            })
        };
        let differs: Vec<bool> = new.cohorts.iter().zip(&cohorts).map(differs).collect();
        let touched = |cohort: &Cohort| cohort.rests_on.iter().any(|other| differs[usize::from(other.0)]);
        let changed = new.cohorts.iter().map(touched).collect();
        Self { old, new, facts, cohorts, changed, wanted }
    }

    #[must_use]
    pub fn old(&self) -> &Arc<RuleSet> {
        &self.old
    }

    /// Must the log be read again for facts that were not kept?
    #[must_use]
    pub fn rereads(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// The facts to be gathered from the log, by the new rules' numbers.
    #[must_use]
    pub fn wanted(&self) -> &[bool] {
        &self.wanted
    }

    /// Since when the new rules' facts were observed. `begins`: how far back the log still reaches that the others are
    /// gathered from; `None`: as far as any fact does.
    #[must_use]
    pub fn observed(&self, kept: &Observed, begins: Option<Instant>, stream_time: Instant) -> Observed {
        let mut observed = Observed { from: kept.from, later: Vec::new() };
        for (source, fact) in self.facts.iter().zip(&self.new.facts) {
            let at = match (source, begins) {
                (Source::Kept(_), _) => kept.of(fact),
                (_, None) => kept.from,
                (Source::Missing, Some(begins)) => begins,
                // What was kept or what the log still says, whichever reaches further back.
                (Source::Grown(known), Some(begins)) => {
                    let reach = self.old.facts[*known].kind.horizon().map_or(Instant::MIN, |span| stream_time - span);
                    begins.min(reach).max(kept.of(fact))
                }
            };
            observed.begins(fact.id, at);
        }
        observed
    }

    /// Where the new rules' ranks begin until that is computed for them: as before, where the same words stand in a cohort
    /// that is defined as before.
    #[must_use]
    pub fn thresholds(&self, old: &Thresholds) -> Thresholds {
        let definitions = |rules: &RuleSet, rank: &Rank| -> Vec<(String, String)> {
            let cohort =
                |reader: &CohortIx| (rules.cohort(*reader).name.clone(), rules.cohort(*reader).definition.clone());
            rank.readers.iter().map(cohort).collect()
        };
        let same = |wanted: &Rank| {
            let defined = definitions(&self.new, wanted);
            let alike = |rank: &&Rank| {
                rank.words == wanted.words && definitions(&self.old, rank).iter().any(|one| defined.contains(one))
            };
            self.old.ranks.iter().zip(old.iter()).find(|(rank, _)| alike(rank)).and_then(|(_, threshold)| *threshold)
        };
        self.new.ranks.iter().map(same).collect()
    }

    /// Does the model of churn keep its parameters? They are learnt from the same days, for the same horizon.
    #[must_use]
    pub fn keeps_parameters(&self) -> bool {
        self.old.learnt_from().is_some_and(|old| self.new.learnt_from() == Some(old))
    }

    /// Brings a customer over and decides them at `max(stream_time, C)`. Every deadline before `stream_time` is decided.
    ///
    /// `gathered`: what the log still says of the wanted facts, if it names the customer; `whole`: it was read from where
    /// the customers' states began. `engine` runs the new rules. What the decision says is added to `decided`.
    #[expect(clippy::too_many_arguments, reason = "all of it decides")]
    pub fn migrate(
        &self,
        customer: &str,
        state: CustomerState,
        gathered: Option<CustomerState>,
        whole: bool,
        stream_time: Instant,
        engine: &mut Engine,
        words: Words,
        decided: &mut Vec<Effect>,
    ) -> (CustomerState, Left) {
        let mut old = state;
        let mut at = stream_time.max(old.clock);
        // No cohort is left at the instant at which it was entered.
        if self.homeless().any(|number| old.memberships[number].member && old.memberships[number].entered_at == at) {
            at = at.next();
        }
        let left = self.leave(&mut old, at);
        let mut state = CustomerState {
            known_since: old.known_since,
            clock: old.clock,
            sequence: old.sequence,
            as_of: old.as_of,
            recent: std::mem::take(&mut old.recent),
            ..CustomerState::new(&self.new)
        };
        state.set_customer(customer);
        let under = engine.parameters().map_or(0, |_| old.risk.under);
        state.risk = Risk { level: self.level(old.risk.level), under, ..old.risk };
        let mut gathered = gathered.map(|gathered| gathered.facts);
        for (number, source) in self.facts.iter().enumerate() {
            let mut fresh = || gathered.as_mut().and_then(|facts| facts.remove(number));
            let content = match source {
                // Two facts may be served by one.
                Source::Kept(known) => old.facts.get(*known).cloned(),
                // Where the log holds all there ever was, it says all.
                Source::Grown(known) => match (old.facts.get(*known), fresh()) {
                    (Some(kept), Some(fresh)) if !whole => {
                        let mut both = kept.clone();
                        both.unite(&self.new.facts[number].kind, fresh);
                        Some(both)
                    }
                    (kept, fresh) => fresh.or_else(|| kept.cloned()),
                },
                Source::Missing => fresh(),
            };
            if let Some(mut fact) = content {
                fact.trim(&self.new.facts[number].kind);
                state.facts.put(number, fact);
            }
        }
        for (number, known) in self.cohorts.iter().enumerate() {
            let Some((known, mut membership)) = known.and_then(|known| Some((known, old.memberships.remove(known)?)))
            else {
                continue;
            };
            match (self.old.cohorts[known].keeps_history, self.new.cohorts[number].keeps_history) {
                (false, true) => membership.history = last_moves(&membership),
                (true, false) => membership.history = Vec::new(),
                _ => {}
            }
            state.memberships.keep(number, membership);
        }
        engine.adopt(&mut state, at, &self.changed, words, decided);
        (state, left)
    }

    /// A level of risk by its name; one that there is no more is the lowest.
    fn level(&self, old: u8) -> u8 {
        let name = level_name(&self.old, usize::from(old));
        let levels = self.new.churn.iter().flat_map(|churn| &churn.levels).zip(1..);
        levels.into_iter().find(|(level, _)| *level == name).map_or(0, |(_, place)| place)
    }

    /// Old numbers of cohorts that nobody can be in any more.
    fn homeless(&self) -> impl Iterator<Item = usize> {
        (0..self.old.cohorts.len()).filter(|number| {
            let new = self.cohorts.iter().position(|known| *known == Some(*number));
            new.is_none_or(|new| !self.new.cohorts[new].enabled)
        })
    }

    fn leave(&self, state: &mut CustomerState, at: Instant) -> Left {
        let mut left = Vec::new();
        for number in self.homeless() {
            let Some(membership) = state.memberships.get_mut(number) else { continue };
            membership.wish = None;
            if !membership.member {
                continue;
            }
            membership.member = false;
            membership.exited_at = at;
            if self.old.cohorts[number].keeps_history {
                membership.remember(at, false);
            }
            state.clock = state.clock.max(at);
            state.sequence += u64::from(!self.old.cohorts[number].shadow);
            left.push(Effect {
                cohort: CohortIx(u16::try_from(number).expect("cohorts are numbered in 16 bits")),
                change: Change::Exited,
                at,
                reason: ChangeReason::DefinitionChanged,
                cause: None,
                sequence: state.sequence,
                entered_at: membership.entered_at,
                times_entered: membership.times_entered,
                next_change_at: None,
                risk: None,
                properties: Vec::new(),
                why: Vec::new(),
            });
        }
        left
    }
}

/// The changes that a membership without a history still tells of.
fn last_moves(membership: &Membership) -> Vec<(Instant, bool)> {
    let mut moves = Vec::new();
    if membership.times_entered > 0 {
        moves.push((membership.entered_at, true));
    }
    if membership.exited_at > Instant::MIN {
        moves.push((membership.exited_at, false));
    }
    moves.sort_unstable();
    moves
}

#[cfg(test)]
mod tests;
