//! One customer from one rule set to the next: facts by what they are, memberships by name.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decide::{Engine, Words, keep};
use super::effect::Effect;
use super::fact::cap_pairs;
use super::observed::Observed;
use super::periods::Period;
use super::rank::Thresholds;
use super::risk::{Risk, level_name};
use super::state::{CustomerState, Distinct, Fact, Membership, Pair, Series, Values};
use crate::event::{Change, ChangeReason, Instant};
use crate::rules::{Cohort, CohortIx, FactKind, FactSpec, Rank, RuleSet};

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

    #[must_use]
    pub fn new_rules(&self) -> &Arc<RuleSet> {
        &self.new
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
        state.belongs_to(customer);
        let under = engine.parameters().map_or(0, |_| old.risk.under);
        state.risk = Risk { level: self.level(old.risk.level), under, ..old.risk };
        let mut gathered = gathered.map(|gathered| gathered.facts);
        for (number, source) in self.facts.iter().enumerate() {
            let mut fresh = || gathered.as_mut().and_then(|facts| facts.remove(number));
            let content = match source {
                // Two facts may be served by one.
                Source::Kept(known) => old.facts.get(*known).cloned(),
                Source::Grown(known) => match (old.facts.get(*known), fresh()) {
                    (Some(kept), Some(fresh)) => Some(grown(kept.clone(), fresh, &self.new.facts[number].kind, whole)),
                    (kept, fresh) => fresh.or_else(|| kept.cloned()),
                },
                Source::Missing => fresh(),
            };
            if let Some(mut fact) = content {
                fit(&mut fact, &self.new.facts[number].kind);
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
            keep(&mut state.memberships, number, membership);
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

/// A fact that must reach further than it did. Where the log holds all there ever was, it says all; else what was kept and
/// what the log still says are put together. Both are parts of one history, each whole as far back as it reaches, so what
/// both have is the same and counts once.
fn grown(kept: Fact, fresh: Fact, kind: &FactKind, whole: bool) -> Fact {
    if whole {
        return fresh;
    }
    match (kept, fresh, kind) {
        (Fact::Times(kept), Fact::Times(fresh), _) => Fact::Times(united(kept, fresh)),
        (Fact::Distinct(kept), Fact::Distinct(fresh), FactKind::Distinct { earliest, .. }) => {
            Fact::Distinct(Box::new(distinct(united(pairs(*kept), pairs(*fresh)), *earliest)))
        }
        (Fact::Distinct(kept), Fact::Distinct(fresh), _) => {
            let (times, keys) = united(pairs(*kept), pairs(*fresh)).into_iter().unzip();
            Fact::Distinct(Box::new(Distinct { times, keys }))
        }
        (Fact::Values(kept), Fact::Values(fresh), FactKind::Values { cap: 1, earliest, .. }) => {
            let mut one = *kept;
            for (at, value) in fresh.times.iter().zip(&fresh.values) {
                one.insert(*at, value.value(), *earliest, 1, &mut 0);
            }
            Fact::Values(Box::new(one))
        }
        (Fact::Values(kept), Fact::Values(fresh), _) => {
            let valued = |values: Values| values.times.into_iter().zip(values.values).collect();
            let (times, values) = united(valued(*kept), valued(*fresh)).into_iter().unzip();
            Fact::Values(Box::new(Values { times, values }))
        }
        (Fact::Series(kept), Fact::Series(fresh), _) => Fact::Series(Box::new(series(*kept, *fresh))),
        (Fact::Followed(kept), Fact::Followed(fresh), FactKind::Followed { each, .. }) => {
            Fact::Followed(joined_pairs(kept, fresh, *each))
        }
        (Fact::Periods(kept), Fact::Periods(fresh), _) => Fact::Periods(joined_periods(kept, &fresh)),
        // Only how many late events they bear can have grown: what was kept began no later.
        (kept, ..) => kept,
    }
}

/// Of two ascending lists each entry as often as in whichever has it more often.
fn united<T: Ord>(kept: Vec<T>, fresh: Vec<T>) -> Vec<T> {
    let (mut kept, mut fresh) = (kept.into_iter().peekable(), fresh.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let order = match (kept.peek(), fresh.peek()) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return all,
        };
        if order.is_eq() {
            fresh.next();
        }
        all.extend(if order.is_gt() { fresh.next() } else { kept.next() });
    }
}

fn pairs(found: Distinct) -> Vec<(Instant, u64)> {
    found.times.into_iter().zip(found.keys).collect()
}

/// One time for each key: the latest, or the earliest.
fn distinct(mut pairs: Vec<(Instant, u64)>, earliest: bool) -> Distinct {
    let mut seen = BTreeSet::new();
    if earliest {
        pairs.retain(|(_, key)| seen.insert(*key));
    } else {
        pairs.reverse();
        pairs.retain(|(_, key)| seen.insert(*key));
        pairs.reverse();
    }
    let (times, keys) = pairs.into_iter().unzip();
    Distinct { times, keys }
}

/// Events that count in their day only cannot be told apart from those that the other one holds: then the one counts that
/// reaches further back.
fn series(kept: Series, fresh: Series) -> Series {
    let first = |series: &Series| series.days.first().map(|day| day.last).or(series.times.first().copied());
    if !kept.days.is_empty() || !fresh.days.is_empty() {
        return if first(&fresh).is_some_and(|fresh| first(&kept).is_none_or(|kept| fresh < kept)) {
            fresh
        } else {
            kept
        };
    }
    if kept.numbers.is_empty() && fresh.numbers.is_empty() {
        return Series { times: united(kept.times, fresh.times), ..Series::default() };
    }
    let numbered = |series: Series| series.times.into_iter().zip(series.numbers).collect();
    let (times, numbers) = united(numbered(kept), numbered(fresh)).into_iter().unzip();
    Series { times, numbers, ..Series::default() }
}

/// A B that either has seen answers the A's before it in both.
fn joined_pairs(kept: Vec<Pair>, fresh: Vec<Pair>, each: bool) -> Vec<Pair> {
    let mut all: BTreeMap<u64, Pair> = kept.into_iter().map(|pair| (pair.key, pair)).collect();
    for pair in fresh {
        let known = all.entry(pair.key).or_insert(Pair { a: Vec::new(), ..pair });
        match pair.b_at.cmp(&known.b_at) {
            Ordering::Greater => (known.b_at, known.b_count) = (pair.b_at, pair.b_count),
            Ordering::Equal => known.b_count = known.b_count.max(pair.b_count),
            Ordering::Less => {}
        }
        for opening in pair.a {
            match known.a.binary_search_by_key(&opening.at, |known| known.at) {
                Ok(place) => {
                    known.a[place].plain |= opening.plain;
                    known.a[place].also_b |= opening.also_b;
                }
                Err(place) => known.a.insert(place, opening),
            }
        }
        let answered = known.a.partition_point(|opening| opening.at < known.b_at);
        let superseded = if each { 0 } else { known.a.len().saturating_sub(1) };
        known.a.drain(..answered.max(superseded));
    }
    all.into_values().collect()
}

/// The log may begin within a period, and what was kept may have been counted less far.
fn joined_periods(kept: Vec<Period>, fresh: &[Period]) -> Vec<Period> {
    let mut all: BTreeMap<i64, u32> = kept.iter().map(|period| (period.number, period.count)).collect();
    for period in fresh {
        let count = all.entry(period.number).or_default();
        *count = (*count).max(period.count);
    }
    all.into_iter().map(|(number, count)| Period { number, count }).collect()
}

/// Brings a fact that held more down to what it may hold.
fn fit(fact: &mut Fact, kind: &FactKind) {
    match (fact, kind) {
        (Fact::Times(times), FactKind::Latest { cap, .. }) => drop(times.drain(..times.len().saturating_sub(*cap))),
        (Fact::Times(times), FactKind::Earliest { cap }) => times.truncate(*cap),
        (Fact::Values(values), FactKind::Values { earliest: true, cap, .. }) => {
            values.times.truncate(*cap);
            values.values.truncate(*cap);
        }
        (Fact::Values(values), FactKind::Values { cap, .. }) => {
            let over = values.times.len().saturating_sub(*cap);
            values.times.drain(..over);
            values.values.drain(..over);
        }
        (Fact::Series(series), FactKind::Series { exact, .. }) => {
            while series.times.len() > *exact {
                series.fold_oldest();
            }
        }
        (Fact::Followed(pairs), FactKind::Followed { keys_max, each_max, .. }) => {
            cap_pairs(pairs, *keys_max, *each_max, &mut 0);
        }
        (Fact::Periods(periods), FactKind::Periods { most, .. }) => {
            periods.iter_mut().for_each(|period| period.count = period.count.min(*most));
        }
        (Fact::Distinct(found), FactKind::Distinct { earliest: true, cap, .. }) => {
            found.times.truncate(*cap);
            found.keys.truncate(*cap);
        }
        (Fact::Distinct(found), FactKind::Distinct { cap, .. } | FactKind::DistinctAll { cap, .. }) => {
            let over = found.times.len().saturating_sub(*cap);
            found.times.drain(..over);
            found.keys.drain(..over);
        }
        _ => {}
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
