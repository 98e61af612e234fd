//! Migration of a customer from one rule set to the next: facts by their definition, memberships by name.

use std::sync::Arc;

use crate::engine::conditions::Observed;
use crate::engine::customer::{CustomerState, Membership, Risk, Thresholds};
use crate::engine::decide::{Detail, Engine};
use crate::engine::effects::Effect;
use crate::engine::machines::level_name;
use crate::event::{Change, ChangeReason, Instant};
use crate::fact::FactIx;
use crate::rules::{Cohort, CohortIx, FactSpec, JoinedEvents, Rank, RuleSet};

/// How an edit of the rules migrates every customer.
#[derive(Debug)]
pub struct Migration {
    old: Arc<RuleSet>,
    new: Arc<RuleSet>,
    /// The source of each fact, by the new rules' numbers.
    facts: Vec<Source>,
    /// The old number of each cohort, by the new rules' numbers.
    cohorts: Vec<Option<usize>>,
    /// By the new rules' numbers: cohorts that are new or defined otherwise, and those that depend on one.
    changed: Vec<bool>,
    /// Facts to be gathered from the log: those that cannot be kept, and the facts that these depend on.
    wanted: Vec<bool>,
    /// Facts whose events have been read only since an instant, by their ids.
    joined: Vec<(u64, Instant)>,
}

/// Where the content of a fact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The old rules kept this fact, with at least the capacity needed now.
    Kept(usize),
    /// The old rules kept it with less capacity.
    Partial(usize),
    Missing,
}

/// From where on the log was read for gathered facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCoverage {
    /// From where the customers' states began.
    Whole,
    /// From a later position, as earlier events are gone.
    Partial,
}

/// Exits of members whose cohort is no longer defined, no longer enabled, or now a shadow. Cohorts by the old numbers.
pub type Departures = Vec<Effect>;

impl Migration {
    #[must_use]
    pub fn between(old: Arc<RuleSet>, new: Arc<RuleSet>) -> Self {
        let source = |wanted: &FactSpec| {
            let same = || old.facts.iter().enumerate().filter(|(_, fact)| fact.id == wanted.id);
            match same().find(|(_, fact)| fact.kind.serves(&wanted.kind)) {
                Some((number, _)) => Source::Kept(number),
                None => same().next().map_or(Source::Missing, |(number, _)| Source::Partial(number)),
            }
        };
        let facts: Vec<Source> = new.facts.iter().map(source).collect();
        let mut wanted: Vec<bool> = facts.iter().map(|source| !matches!(source, Source::Kept(_))).collect();
        for (number, fact) in new.facts.iter().enumerate() {
            if let Some(edge) = fact.kind.floor_fact().filter(|_| wanted[number]) {
                wanted[usize::from(edge.0)] = true;
            }
        }
        // Outputs show a cohort that becomes a shadow as left by its members, and as entered when it stops being one.
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
        Self { old, new, facts, cohorts, changed, wanted, joined: Vec::new() }
    }

    /// With events that have been read only since some instant. Cohorts whose conditions this concerns are decided again,
    /// unless it was `kept` before.
    #[must_use]
    pub fn with_joined(mut self, joined: &JoinedEvents, kept: &Observed) -> Self {
        let facts = self.new.joined_facts(joined);
        let spec = |fact: FactIx| &self.new.facts[usize::from(fact.0)];
        self.joined = facts.iter().map(|(fact, at)| (spec(*fact).id, *at)).collect();
        let news: Vec<FactIx> =
            facts.iter().filter(|(fact, at)| *at > kept.of(spec(*fact))).map(|(fact, _)| *fact).collect();
        for (changed, cohort) in self.changed.iter_mut().zip(&self.new.cohorts) {
            *changed |= self.new.rests_on_any(cohort, &news);
        }
        self
    }

    #[must_use]
    pub fn old(&self) -> &Arc<RuleSet> {
        &self.old
    }

    /// Must the log be read again, for facts that were not kept?
    #[must_use]
    pub fn needs_log(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// The facts to be gathered from the log, by the new rules' numbers.
    #[must_use]
    pub fn wanted(&self) -> &[bool] {
        &self.wanted
    }

    /// Since when the new rules' facts have been observed. `begins`: how far back the log reaches from which facts are
    /// gathered; `None`: as far as any fact does.
    #[must_use]
    pub fn observed(&self, kept: &Observed, begins: Option<Instant>, stream_time: Instant) -> Observed {
        let mut observed = Observed { from: kept.from, later: Vec::new() };
        for (source, fact) in self.facts.iter().zip(&self.new.facts) {
            let at = match (source, begins) {
                (Source::Kept(_), _) => kept.of(fact),
                (_, None) => kept.from,
                (Source::Missing, Some(begins)) => begins,
                // The kept fact or the log, whichever reaches further back.
                (Source::Partial(known), Some(begins)) => {
                    let reach = self.old.facts[*known].kind.horizon().map_or(Instant::MIN, |span| stream_time - span);
                    begins.min(reach).max(kept.of(fact))
                }
            };
            observed.begins(fact.id, at);
        }
        self.joined.iter().for_each(|(fact, at)| observed.begins(*fact, *at));
        observed
    }

    /// The thresholds of the new rules until they are computed: the old ones, where a rank has the same text and a
    /// cohort that refers to it has the same definition.
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

    /// Does the churn model keep its parameters? It does if they are trained on the same activity, for the same
    /// horizon.
    #[must_use]
    pub fn keeps_parameters(&self) -> bool {
        self.old.trained_from().is_some_and(|old| self.new.trained_from() == Some(old))
    }

    /// Migrates a customer and decides them at `max(stream_time, C)`. Every deadline before `stream_time` is decided.
    ///
    /// `gathered`: the wanted facts as gathered from the log, if it has events of the customer; `coverage`: of which
    /// log. `engine` runs the new rules. The effects of the decision are added to `decided`.
    #[expect(clippy::too_many_arguments, reason = "all of it decides")]
    pub fn migrate(
        &self,
        customer: &str,
        state: CustomerState,
        gathered: Option<CustomerState>,
        coverage: LogCoverage,
        stream_time: Instant,
        engine: &mut Engine,
        detail: Detail,
        decided: &mut Vec<Effect>,
    ) -> (CustomerState, Departures) {
        let mut old = state;
        let mut at = stream_time.max(old.clock);
        // A cohort is never left at the instant at which it was entered.
        if self.discontinued().any(|number| old.memberships[number].member && old.memberships[number].entered_at == at)
        {
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
        let parameters_version = engine.parameters().map_or(0, |_| old.risk.parameters_version);
        state.risk = Risk { level: self.level(old.risk.level), parameters_version, ..old.risk };
        self.carry_facts(&old, gathered, coverage, &mut state);
        self.carry_memberships(&mut old, &mut state);
        engine.decide_migrated(&mut state, at, &self.changed, detail, decided);
        (state, left)
    }

    /// Fills the facts of the new rules from kept ones and from those gathered from the log.
    fn carry_facts(
        &self,
        old: &CustomerState,
        gathered: Option<CustomerState>,
        coverage: LogCoverage,
        state: &mut CustomerState,
    ) {
        let mut gathered = gathered.map(|gathered| gathered.facts);
        for (number, source) in self.facts.iter().enumerate() {
            let mut gathered_fact = || gathered.as_mut().and_then(|facts| facts.remove(number));
            let content = match source {
                // Two facts may be served by one.
                Source::Kept(known) => old.facts.get(*known).cloned(),
                // A whole log has everything, so its fact replaces the kept one.
                Source::Partial(known) => match (old.facts.get(*known), gathered_fact()) {
                    (Some(kept), Some(gathered_fact)) if coverage == LogCoverage::Partial => {
                        let mut both = kept.clone();
                        both.union(&self.new.facts[number].kind, gathered_fact);
                        Some(both)
                    }
                    (kept, gathered_fact) => gathered_fact.or_else(|| kept.cloned()),
                },
                Source::Missing => gathered_fact(),
            };
            if let Some(mut fact) = content {
                fact.trim(&self.new.facts[number].kind);
                state.facts.put(number, fact);
            }
        }
    }

    /// Keeps the memberships in cohorts that both versions of the rules have.
    fn carry_memberships(&self, old: &mut CustomerState, state: &mut CustomerState) {
        for (number, known) in self.cohorts.iter().enumerate() {
            let Some((known, mut membership)) = known.and_then(|known| Some((known, old.memberships.remove(known)?)))
            else {
                continue;
            };
            match (self.old.cohorts[known].keeps_history, self.new.cohorts[number].keeps_history) {
                (false, true) => membership.history = known_changes(&membership),
                (true, false) => membership.history = Vec::new(),
                _ => {}
            }
            state.memberships.set(number, membership);
        }
    }

    /// The index of a risk level of the same name, or else the lowest.
    fn level(&self, old: u8) -> u8 {
        let name = level_name(&self.old, usize::from(old));
        let levels = self.new.churn.iter().flat_map(|churn| &churn.levels).zip(1..);
        levels.into_iter().find(|(level, _)| *level == name).map_or(0, |(_, index)| index)
    }

    /// The old numbers of cohorts that nobody can be in any more.
    fn discontinued(&self) -> impl Iterator<Item = usize> {
        (0..self.old.cohorts.len()).filter(|number| {
            let new = self.cohorts.iter().position(|known| *known == Some(*number));
            new.is_none_or(|new| !self.new.cohorts[new].enabled)
        })
    }

    fn leave(&self, state: &mut CustomerState, at: Instant) -> Departures {
        let mut left = Vec::new();
        for number in self.discontinued() {
            let Some(membership) = state.memberships.get_mut(number) else { continue };
            membership.pending = None;
            if !membership.member {
                continue;
            }
            membership.member = false;
            membership.exited_at = at;
            if self.old.cohorts[number].keeps_history {
                membership.remember(at, Change::Exited);
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

/// The changes that are known of a membership without a history.
fn known_changes(membership: &Membership) -> Vec<(Instant, bool)> {
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
