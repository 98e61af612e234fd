//! One customer: deadlines and events in their order, each decided at its instant.

use std::sync::Arc;

use super::ahead::Coming;
use super::comings::Comings;
use super::effect::{Counts, Effect};
use super::evaluate::Scene;
use super::fact::{Surroundings, concerns};
use super::foresight::Foresight;
use super::looked_at::LookedAt;
use super::membership::{Force, Step, keep_wish, step};
use super::observed::Observed;
use super::rank::Thresholds;
use super::risk::{RiskEffect, Weight, weigh};
use super::score::{Parameters, Solved};
use super::sparse::Sparse;
use super::state::{CustomerState, Deadlines, EventCause, Fact, Membership, RecentId, Wish};
use super::stored_hash::of_event;
use super::why::evidence;
use crate::event::{ChangeReason, CustomerEvent, Instant, Kept, Span};
use crate::rules::{Calendar, Cohort, CohortIx, FactIx, Node, RuleSet};

/// Applies events and deadlines to customers by one rule set. Pure: everything it depends on is passed in.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    calendar: Calendar,
    max_lateness: Span,
    /// Ids remembered per customer.
    ids_max: usize,
    observed: Observed,
    /// Cohorts to look at in the decision under way, whatever their deadline.
    dirty: LookedAt,
    /// Rankings in which the customer's place is computed anew in the decision under way.
    moved: Vec<bool>,
    thresholds: Thresholds,
    /// How often; a customer decided before the last time was decided under others.
    thresholds_set: u32,
    foresight: Foresight,
    coming: Option<Coming>,
    /// Of the model of churn, and what was solved for under them.
    parameters: Option<(Arc<Parameters>, Solved)>,
    /// Where stream time stood when they came into force.
    in_force_since: Instant,
    /// Is the level of risk computed anew in the decision under way?
    weighs: bool,
    /// What was said of risks since it was last taken.
    risks: Vec<RiskEffect>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Remembered already: nothing moved.
    Duplicate,
    Applied(Counts),
}

/// How much to say of each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Effects carry evidence, and when the next change is.
    Full,
    /// Effects carry neither.
    None,
}

/// What a decision follows from.
#[derive(Clone, Copy)]
pub(super) enum Trigger<'e> {
    Time,
    /// Other rules.
    Edit,
    Event {
        event: &'e CustomerEvent<'e>,
        position: i64,
        late: bool,
    },
    Threshold,
    /// Other parameters of the model of churn.
    Model,
}

impl Engine {
    /// `max_lateness`: how far behind stream time an event may be; `ids_max`: ids remembered per customer.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, max_lateness: Span, ids_max: usize) -> Self {
        let calendar = rules.calendar();
        let dirty = LookedAt::none_of(rules.cohorts.len());
        let moved = vec![false; rules.rankings.len()];
        let thresholds = vec![None; rules.ranks.len()].into();
        let foresight = Foresight::new(&rules);
        let coming = Coming::of(&rules);
        let observed = Observed::ALWAYS;
        Self {
            rules,
            calendar,
            max_lateness,
            ids_max,
            observed,
            dirty,
            moved,
            thresholds,
            thresholds_set: 0,
            foresight,
            coming,
            parameters: None,
            in_force_since: Instant::MIN,
            weighs: false,
            risks: Vec::new(),
        }
    }

    /// For a log that was not read from its beginning, or not for every fact.
    #[must_use]
    pub fn observing(self, observed: Observed) -> Self {
        Self { observed, ..self }
    }

    /// The same, of an engine at work.
    pub fn observe(&mut self, observed: Observed) {
        self.observed = observed;
    }

    /// Since when the log was read.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Changes the limits given to `new`.
    pub fn set_limits(&mut self, max_lateness: Span, ids_max: usize) {
        self.max_lateness = max_lateness;
        self.ids_max = ids_max;
    }

    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Of the model of churn; none before the first fit.
    #[must_use]
    pub fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref().map(|(parameters, _)| &**parameters)
    }

    /// Changes the parameters of the model of churn, when every deadline before `since`, stream time, is decided. Each
    /// customer is decided under them as of then, before anything else is decided of them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.parameters = parameters.map(|parameters| (parameters, Solved::new()));
        self.in_force_since = since;
    }

    /// Changes where ranks begin. Whom that concerns is decided by `reconsider`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
        self.thresholds_set = self.thresholds_set.wrapping_add(1);
    }

    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Takes an event in: first the customer's deadlines before it, then the event, then the decision at its instant.
    ///
    /// `stream_time` is that before this event's log position; the caller has refused events that are too late for it.
    pub fn apply(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        position: i64,
        stream_time: Instant,
        words: Words,
        effects: &mut Vec<Effect>,
    ) -> Applied {
        let oldest_arrival = stream_time - self.max_lateness;
        let identity = of_event(event);
        if state.recent.iter().any(|known| known.hash == identity && known.at >= oldest_arrival) {
            return Applied::Duplicate;
        }
        self.catch_up(state, words, effects);
        let deadlines = self.fire(state, event.at.max(stream_time), words, effects);
        let mut counts = Counts { deadlines, ..Counts::default() };
        self.begin();
        state.belongs_to(event.customer);
        remember(state, RecentId { at: event.at, hash: identity }, oldest_arrival, self.ids_max, &mut counts);
        self.feed(state, event, oldest_arrival, |_| true, &mut counts);
        if event.at < state.known_since {
            state.known_since = event.at;
            self.look_at_all();
        }
        let at = event.at.max(state.clock);
        let late = at > event.at;
        state.clock = at;
        // Thresholds taken up since then were asked about where stream time stood, not about that instant.
        if at < stream_time && !self.rules.ranks.is_empty() {
            self.look_at_all();
        }
        self.decide(state, at, Trigger::Event { event, position, late }, words, effects);
        Applied::Applied(counts)
    }

    /// Takes an event in that has not happened, at an instant at which every deadline is decided: into a copy of a customer.
    pub(super) fn suppose(&mut self, state: &mut CustomerState, event: &CustomerEvent<'_>, effects: &mut Vec<Effect>) {
        self.begin();
        self.feed(state, event, event.at - self.max_lateness, |_| true, &mut Counts::default());
        state.clock = event.at;
        let trigger = Trigger::Event { event, position: state.as_of, late: false };
        self.decide(state, event.at, trigger, Words::None, effects);
    }

    /// Decides every deadline before `until`, each at its own instant. Returns how many.
    pub fn fire(&mut self, state: &mut CustomerState, until: Instant, words: Words, effects: &mut Vec<Effect>) -> u64 {
        let mut fired = 0;
        // Who is not due is not met: whoever asks in vain must not change anything.
        if state.next_deadline < until {
            fired += u64::from(self.catch_up(state, words, effects));
        }
        while state.next_deadline < until {
            self.begin();
            self.decide(state, state.next_deadline, Trigger::Time, words, effects);
            fired += 1;
        }
        fired
    }

    /// After thresholds other than `old` were set: decides the customer, if they stand between the two. Every deadline
    /// before stream time is decided already. False: it does not concern them.
    pub fn reconsider(
        &mut self,
        state: &mut CustomerState,
        old: &Thresholds,
        stream_time: Instant,
        words: Words,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let caught_up = self.catch_up(state, words, effects);
        let at = stream_time.max(state.clock);
        // Until a deadline comes, the customer stands where the last decision left them.
        let places = (state.next_deadline > at).then_some(&*state.places);
        let concerned = self.scene(state, at).concerned(old, places);
        if concerned.is_empty() {
            return caught_up;
        }
        self.begin();
        self.dirty.add_each(&concerned);
        self.decide(state, at, Trigger::Threshold, words, effects);
        true
    }

    /// Begins a decision in which only deadlines are looked at.
    fn begin(&mut self) {
        self.dirty.clear();
        self.moved.fill(false);
        self.weighs = false;
    }

    fn look_at_all(&mut self) {
        self.dirty.add_all();
        self.moved.fill(true);
        self.weighs = true;
    }

    /// Takes an event into the `wanted` facts and decides nothing: for facts that an edit of the rules needs and that were
    /// not kept. Deadlines and memberships of such a state mean nothing. False: a duplicate.
    pub fn gather(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        stream_time: Instant,
        wanted: &[bool],
    ) -> bool {
        let oldest_arrival = stream_time - self.max_lateness;
        let identity = of_event(event);
        if state.recent.iter().any(|known| known.hash == identity && known.at >= oldest_arrival) {
            return false;
        }
        let mut counts = Counts::default();
        remember(state, RecentId { at: event.at, hash: identity }, oldest_arrival, self.ids_max, &mut counts);
        state.known_since = state.known_since.min(event.at);
        self.feed(state, event, oldest_arrival, |fact| wanted[usize::from(fact.0)], &mut counts);
        true
    }

    /// Decides a customer whose state was brought over from other rules. `changed`: the cohorts that those rules did not
    /// have, or defined otherwise.
    pub fn adopt(
        &mut self,
        state: &mut CustomerState,
        at: Instant,
        changed: &[bool],
        words: Words,
        effects: &mut Vec<Effect>,
    ) {
        let said_before = effects.len();
        self.begin();
        self.moved.fill(true);
        (0..changed.len()).filter(|cohort| changed[*cohort]).for_each(|cohort| self.dirty.add(cohort));
        state.deadlines = Deadlines { decided_at: Some(at), ..Deadlines::default() };
        self.weighs = true;
        let risen = self.weigh(state, at);
        let rules = Arc::clone(&self.rules);
        for (i, _) in rules.cohorts.iter().enumerate().filter(|(_, cohort)| cohort.enabled) {
            // What is due all the same is due by time.
            let trigger = if self.dirty.holds(i) { Trigger::Edit } else { Trigger::Time };
            let deadline = self.decide_cohort(state, i, at, trigger, words, effects);
            state.deadlines.set(i, deadline);
        }
        self.conclude(state, at, Trigger::Edit, risen, words, &mut effects[said_before..]);
    }

    /// Runs the machine at one more instant, which changes nothing: for tests of that promise.
    pub fn decide_again(&mut self, state: &mut CustomerState, at: Instant, effects: &mut Vec<Effect>) {
        self.look_at_all();
        self.decide(state, at, Trigger::Time, Words::None, effects);
    }

    fn feed(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        oldest_arrival: Instant,
        wanted: impl Fn(FactIx) -> bool,
        counts: &mut Counts,
    ) {
        for feed in self.rules.feeds(event.name_id) {
            if !wanted(feed.fact) {
                continue;
            }
            let kind = &self.rules.facts[usize::from(feed.fact.0)].kind;
            let floor = kind.floor_fact().and_then(|fact| state.facts.get(usize::from(fact.0)));
            let edge = floor.and_then(Fact::edge_times);
            let mut around =
                Surroundings { oldest_arrival, edge, calendar: &self.calendar, approximated: &mut counts.approximated };
            let number = usize::from(feed.fact.0);
            let changed = match state.facts.get_mut(number) {
                Some(fact) => {
                    fact.forget(kind, edge, oldest_arrival);
                    let changed = fact.feed(kind, &feed.role, event, &mut around);
                    if fact.is_empty() {
                        state.facts.remove(number);
                    }
                    changed
                }
                None if concerns(&feed.role, event) => {
                    let mut fact = Fact::empty(kind);
                    let changed = fact.feed(kind, &feed.role, event, &mut around);
                    if !fact.is_empty() {
                        state.facts.put(number, fact);
                    }
                    changed
                }
                None => false,
            };
            if changed {
                self.dirty.add_each(self.rules.readers(feed.fact));
                self.weighs |= self.rules.churn.as_ref().is_some_and(|churn| churn.fact == feed.fact);
                for ranking in self.rules.ranked_by(feed.fact) {
                    self.moved[usize::from(ranking.0)] = true;
                }
            }
        }
    }

    /// Runs the machine of every cohort that may differ at `at`, in the order of their references.
    fn decide(
        &mut self,
        state: &mut CustomerState,
        at: Instant,
        trigger: Trigger<'_>,
        words: Words,
        effects: &mut Vec<Effect>,
    ) {
        let rules = Arc::clone(&self.rules);
        // Whom new thresholds did not concern at the instant they came, a late event may find at an earlier one that they do.
        if state.deadlines.thresholds_set != self.thresholds_set {
            state.deadlines.thresholds_set = self.thresholds_set;
            rules.ranks.iter().for_each(|rank| self.dirty.add_each(&rank.readers));
        }
        // Verdicts known from a later instant say nothing about this one.
        if state.deadlines.decided_at.is_none_or(|decided| at < decided) {
            self.look_at_all();
        }
        state.deadlines.decided_at = Some(at);
        let said_before = effects.len();
        let due = state.deadlines.by_cohort.iter().filter(|(_, deadline)| **deadline <= at);
        due.for_each(|(cohort, _)| self.dirty.add(cohort));
        let risen = self.weigh(state, at);
        let mut place = 0;
        // Dependants come later in this order, and are added on the way.
        while let Some(i) = self.dirty.next_from(place) {
            place = i + 1;
            let deadline = match rules.cohorts[i].enabled {
                true => self.decide_cohort(state, i, at, trigger, words, effects),
                false => Instant::MAX,
            };
            state.deadlines.set(i, deadline);
        }
        self.conclude(state, at, trigger, risen, words, &mut effects[said_before..]);
    }

    /// Every cohort that may differ is decided: when must the customer be looked at next, and what is to come of each change?
    ///
    /// `risen`: from what the level of risk has changed.
    fn conclude(
        &mut self,
        state: &mut CustomerState,
        at: Instant,
        trigger: Trigger<'_>,
        risen: Option<u8>,
        words: Words,
        said: &mut [Effect],
    ) {
        let earliest = state.deadlines.by_cohort.iter().map(|(_, at)| *at).min().unwrap_or(Instant::MAX);
        state.next_deadline = earliest.min(self.place(state, at)).min(state.deadlines.risk);
        if words != Words::Full || (risen.is_none() && said.is_empty()) {
            return;
        }
        let weight = Weight::weighed(state, &self.scene(state, at));
        let risk = weight.as_ref().map(|weight| weight.now);
        if let Some((weight, previous)) = weight.zip(risen) {
            let effect = weight.effect(state, previous, trigger, &self.scene(state, at));
            self.risks.push(effect);
        }
        if !said.is_empty() {
            let mut foresight = std::mem::take(&mut self.foresight);
            for effect in said {
                let next = foresight.next_change(self.scene(state, at), effect.cohort);
                (effect.next_change_at, effect.risk) = (next.map(|(at, _)| at), risk);
            }
            self.foresight = foresight;
        }
    }

    /// Brings the level of risk up to an instant, before the cohorts, which may look at it. Where it changed: from what.
    fn weigh(&mut self, state: &mut CustomerState, at: Instant) -> Option<u8> {
        let fact = self.rules.churn.as_ref()?.fact;
        if !self.weighs && state.deadlines.risk > at {
            return None;
        }
        let mut risk = state.risk;
        let weighed = weigh(&mut risk, self.scene(state, at).outlook(), !self.weighs, at);
        (state.risk, state.deadlines.risk) = (risk, weighed.deadline);
        if weighed.changed_from.is_some() {
            state.clock = state.clock.max(at);
            self.dirty.add_each(self.rules.readers(fact));
        }
        weighed.changed_from
    }

    /// Was the customer last decided under other parameters than those in force?
    #[must_use]
    pub fn lags(&self, state: &CustomerState) -> bool {
        let other = self.parameters().is_some_and(|parameters| parameters.version != state.risk.under);
        other && Comings::of(&self.rules, state).is_some()
    }

    /// Decides a customer under the parameters in force, as of the instant at which these came, if that is still to be done.
    /// False: nothing changed.
    pub fn catch_up(&mut self, state: &mut CustomerState, words: Words, effects: &mut Vec<Effect>) -> bool {
        if !self.lags(state) {
            return false;
        }
        let Some(churn) = &self.rules.churn else { return false };
        let (at, fact) = (self.in_force_since.max(state.clock), churn.fact);
        self.begin();
        self.weighs = true;
        self.dirty.add_each(self.rules.readers(fact));
        for ranking in self.rules.ranked_by(fact) {
            self.moved[usize::from(ranking.0)] = true;
        }
        self.decide(state, at, Trigger::Model, words, effects);
        // Also where the model says nothing of such a customer.
        state.risk.under = self.parameters().map_or(0, |parameters| parameters.version);
        true
    }

    /// What there is to say of the customer's risk at an instant, as if the level were reached there by silence. None without
    /// `[churn]`, without parameters, or of a customer who never came.
    #[must_use]
    pub fn risk(&self, state: &CustomerState, at: Instant) -> Option<RiskEffect> {
        let scene = self.scene(state, at);
        Weight::at(&scene).map(|weight| weight.effect(state, state.risk.level, Trigger::Time, &scene))
    }

    /// What was said of risks since the last call, in order.
    pub fn take_risks(&mut self) -> Vec<RiskEffect> {
        std::mem::take(&mut self.risks)
    }

    /// Puts the customer in their place in each ranking that may have moved; returns when the next one may.
    ///
    /// Rules are decided by what the customer is worth at the instant, never by this: it is what counters count. So it has
    /// deadlines of its own, also where no rule turns by it.
    fn place(&mut self, state: &mut CustomerState, at: Instant) -> Instant {
        state.deadlines.by_ranking.resize(self.rules.rankings.len(), Instant::MIN);
        let mut earliest = Instant::MAX;
        for (i, ranking) in self.rules.rankings.iter().enumerate() {
            if self.moved[i] || state.deadlines.by_ranking[i] <= at {
                let (place, until) = self.scene(state, at).ranked(ranking);
                state.places[i] = place;
                state.deadlines.by_ranking[i] = until;
            }
            earliest = earliest.min(state.deadlines.by_ranking[i]);
        }
        earliest
    }

    /// Does an expression hold of a customer at an instant, no earlier than anything applied or decided?
    #[must_use]
    pub fn holds(&self, state: &CustomerState, node: &Node, at: Instant) -> bool {
        self.scene(state, at).node(node).holds
    }

    /// By what a customer comes back, where that can be supposed.
    pub(super) fn coming(&self) -> Option<Coming> {
        self.coming
    }

    /// The customer as conditions see them at an instant.
    pub(super) fn scene<'a>(&'a self, state: &'a CustomerState, at: Instant) -> Scene<'a> {
        Scene {
            rules: &self.rules,
            calendar: &self.calendar,
            facts: &state.facts,
            memberships: &state.memberships,
            known_since: state.known_since,
            thresholds: &self.thresholds,
            tie_hash: state.tie_hash,
            observed: &self.observed,
            parameters: self.parameters.as_ref().map(|(parameters, solved)| (&**parameters, solved)),
            at,
        }
    }

    /// Runs one cohort's machine until it rests; returns its deadline.
    fn decide_cohort(
        &mut self,
        state: &mut CustomerState,
        index: usize,
        at: Instant,
        trigger: Trigger<'_>,
        words: Words,
        effects: &mut Vec<Effect>,
    ) -> Instant {
        let cohort = &self.rules.cohorts[index];
        loop {
            // Taken out while its machine looks at the others; it never looks at itself.
            let mut membership = state.memberships.get_mut(index).map(std::mem::take).unwrap_or_default();
            let scene = self.scene(state, at);
            let outcome = step(cohort, &mut membership, &scene);
            if let Step::Wished(force) = outcome.step {
                keep_wish(&mut membership, || trigger.wish(force));
            }
            let wish = if matches!(outcome.step, Step::Changed(..)) { membership.wish.take() } else { None };
            keep(&mut state.memberships, index, membership);
            match outcome.step {
                Step::Rest | Step::Wished(_) => return outcome.deadline,
                Step::Armed => {
                    state.clock = state.clock.max(at);
                    return outcome.deadline;
                }
                Step::Changed(change, force) => {
                    state.clock = state.clock.max(at);
                    // What is emitted is numbered without a gap.
                    state.sequence += u64::from(!cohort.shadow);
                    self.dirty.add_each(&cohort.dependants);
                    for (ranking, moved) in self.rules.rankings.iter().zip(&mut self.moved) {
                        *moved |= ranking.among.is_some_and(|among| usize::from(among.0) == index);
                    }
                    let Wish { reason, cause } = trigger.reason_for(wish, force);
                    let index = CohortIx(u16::try_from(index).expect("cohorts are numbered in 16 bits"));
                    let (why, properties) = match words {
                        Words::None => (Vec::new(), Vec::new()),
                        Words::Full => {
                            let scene = self.scene(state, at);
                            (evidence(index, change, reason, &scene), included(cohort, &scene))
                        }
                    };
                    let membership = &state.memberships[usize::from(index.0)];
                    effects.push(Effect {
                        cohort: index,
                        change,
                        at,
                        reason,
                        cause,
                        sequence: state.sequence,
                        entered_at: membership.entered_at,
                        times_entered: membership.times_entered,
                        next_change_at: None,
                        risk: None,
                        properties,
                        why,
                    });
                }
            }
        }
    }
}

impl Trigger<'_> {
    fn wish(self, force: Force) -> Wish {
        let reason = |plain| match force {
            Force::Rule => plain,
            Force::Exclusion => ChangeReason::Excluded,
        };
        match self {
            Self::Time => Wish { reason: reason(ChangeReason::Time), cause: None },
            Self::Threshold => Wish { reason: reason(ChangeReason::Threshold), cause: None },
            Self::Edit => Wish { reason: ChangeReason::DefinitionChanged, cause: None },
            Self::Model => Wish { reason: reason(ChangeReason::ModelChanged), cause: None },
            Self::Event { event, position, late } => Wish {
                reason: reason(if late { ChangeReason::LateEvent } else { ChangeReason::Event }),
                cause: Some(EventCause {
                    event: event.name.to_owned(),
                    event_id: event.id.map(str::to_owned),
                    position,
                }),
            },
        }
    }

    /// Why, and from what, for what no other decision has wanted before.
    pub(super) fn plainly(self) -> Wish {
        self.wish(Force::Rule)
    }

    /// An event applied at this very instant is the reason; else the decision that first wanted the change.
    fn reason_for(self, wish: Option<Box<Wish>>, force: Force) -> Wish {
        match (self, wish) {
            (Self::Time | Self::Threshold | Self::Model, Some(wish)) => *wish,
            (trigger, _) => trigger.wish(force),
        }
    }
}

/// Puts a membership back in its place, which one that is as at first does not need.
pub(super) fn keep(memberships: &mut Sparse<Membership>, index: usize, membership: Membership) {
    if membership.is_new() {
        memberships.remove(index);
    } else {
        memberships.put(index, membership);
    }
}

/// What a cohort includes for whoever acts on its changes.
fn included(cohort: &Cohort, scene: &Scene<'_>) -> Vec<(String, Option<Kept>)> {
    let value = |measure| scene.measure(measure).value.map(Kept::from);
    cohort.include.iter().map(|(name, measure)| (name.clone(), value(measure))).collect()
}

/// Remembers an event's id until no copy of it can still be accepted; over capacity the oldest by event time go.
fn remember(state: &mut CustomerState, id: RecentId, oldest_arrival: Instant, cap: usize, counts: &mut Counts) {
    if cap == 0 {
        return;
    }
    let expired = state.recent.partition_point(|known| known.at < oldest_arrival);
    state.recent.drain(..expired);
    let place = state.recent.partition_point(|known| *known < id);
    state.recent.insert(place, id);
    if state.recent.len() > cap {
        state.recent.remove(0);
        counts.ids_pushed_out += 1;
    }
}
