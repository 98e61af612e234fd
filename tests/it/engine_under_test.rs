//! The one place where the tests meet the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use cohortd::engine::{
    Applied, CustomerEffect, CustomerState, Deadlines, Detail, Effect, Engine, LogCoverage, Migration, Observed,
    RiskEffect, Shard, Slot, Standing, Timing, level_name,
};
use cohortd::event::{CustomerEvent, DeadLetterReason, Instant, Properties};
use cohortd::rules::{self, Rank, RuleSet};
use cohortd::store::{as_of, decode_state, encode_state};

use crate::generate::Random;
use crate::naive::{
    Case, Config, Decided, Handling, LogEvent, Outcome, OwnedValue, ParametersApplied, Rated, ThresholdsApplied,
};

/// Runs a case through the engine, as `replay --as-is` does: one partition, the events in log order, recorded advances at
/// their positions, deadlines decided up to `until` at the end. `Err` holds what the loader refuses.
pub(crate) type RunEngine = fn(&Case) -> Result<Outcome, String>;

/// The engine as it runs when nothing goes wrong.
pub(crate) const ENGINE: Option<RunEngine> = Some(run);

fn run(case: &Case) -> Result<Outcome, String> {
    let mut run = Run::new(case)?;
    while run.step(Detail::Full) {}
    Ok(run.end().0)
}

/// The same, and for each change when the next one is if the customer stays silent, as the engine promises.
pub(crate) fn run_ahead(case: &Case) -> Result<Outcome, String> {
    let mut run = Run { ahead: true, ..Run::new(case)? };
    while run.step(Detail::Full) {}
    Ok(run.end_with(Detail::Full).0)
}

/// Takes a case in and, after each decision that changed anything, lets a copy of the customer stay silent: what comes
/// next must be what was promised.
pub(crate) fn promises_are_kept(case: &Case) -> Result<(), String> {
    let rules = load(case)?;
    let config = &case.config;
    let mut engine = engine(&rules, config);
    let mut customers = BTreeMap::new();
    let mut stream_time = Instant::MIN;
    for (event, position) in case.events.iter().zip(0..) {
        if event.at < config.earliest || event.at < stream_time - config.max_lateness {
            continue;
        }
        let state = customers.entry(&event.customer).or_insert_with(|| CustomerState::new(&rules));
        let mut effects = Vec::new();
        while state.next_deadline < event.at.max(stream_time) {
            let until = state.next_deadline.next();
            engine.fire(state, until, Detail::Full, &mut effects);
            kept(&mut engine, state, &mut effects)?;
        }
        let mut properties = Properties::new();
        let borrowed = borrow(event, &rules, &mut properties);
        let applied = engine.apply(state, &borrowed, position, stream_time, Detail::Full, &mut effects);
        kept(&mut engine, state, &mut effects)?;
        if applied != Applied::Duplicate {
            stream_time = stream_time.max(event.at - config.arrives_within);
        }
    }
    Ok(())
}

/// Deadlines decided of a silent customer before we believe that nothing comes. More than the engine looks at, as they are
/// those of all cohorts.
const SILENT_DEADLINES: usize = 500;

fn kept(engine: &mut Engine, state: &CustomerState, effects: &mut Vec<Effect>) -> Result<(), String> {
    for effect in effects.drain(..) {
        let (mut silent, mut later) = (state.clone(), Vec::new());
        for _ in 0..SILENT_DEADLINES {
            if silent.next_deadline == Instant::MAX || later.iter().any(|next: &Effect| next.cohort == effect.cohort) {
                break;
            }
            let until = silent.next_deadline.next();
            engine.fire(&mut silent, until, Detail::None, &mut later);
        }
        let came = later.iter().find(|next| next.cohort == effect.cohort).map(|next| next.at);
        if came != effect.next_change_at {
            return Err(format!("{effect:?} was promised to change next at its time, and changes at {came:?}"));
        }
    }
    Ok(())
}

/// The same case with everything that may happen to a lane: customers flushed, packed and evicted, restarts that lose
/// everything not flushed and replay the log from there, and decisions at extra instants.
///
/// Also returns what the states come to in bytes, which must not depend on any of that; but for deadlines, which may be
/// too early, and the position and instant of the last look at them.
pub(crate) fn run_with_mishaps(case: &Case, seed: u64) -> Result<(Outcome, Vec<Vec<u8>>), String> {
    let mut random = Random::new(seed);
    let mut run = Run::new(case)?;
    loop {
        match random.below(10) {
            0 => run.flush(1 + random.below(3)),
            1 => run.flush(usize::MAX),
            2 => run.restart(),
            3 => run.decide_again(&mut random)?,
            4 => run.evict(),
            5 | 6 => run.shard.pack(usize::MAX),
            _ => {}
        }
        if !run.step(run.detail()) {
            break;
        }
    }
    Ok(run.end())
}

/// As `run_with_mishaps`, but customers are decided under new parameters only when they are met, or after a while.
pub(crate) fn run_lazily(case: &Case, seed: u64) -> Result<(Outcome, Vec<Vec<u8>>), String> {
    let mut random = Random::new(seed);
    let mut run = Run::new(case)?;
    run.is_lazy = true;
    loop {
        match random.below(8) {
            0 => run.flush(1 + random.below(3)),
            1 => run.restart(),
            2 => run.evict(),
            3 | 4 => run.sweep(1 + random.below(2)),
            5 => run.shard.pack(usize::MAX),
            _ => {}
        }
        if !run.step(run.detail()) {
            break;
        }
    }
    Ok(run.end())
}

/// The case by its own rules up to a log position, and by `edited` from there on, as a lane takes them up: facts that were
/// not kept are gathered from the log before it.
pub(crate) fn run_edited(case: &Case, at: usize, edited: &str) -> Result<Outcome, String> {
    let mut run = Run::new(case)?;
    while run.position < at && run.step(Detail::None) {}
    run.edit(edited)?;
    while run.step(Detail::None) {}
    Ok(run.end().0)
}

/// As `run`, with the bytes of the states.
pub(crate) fn run_with_states(case: &Case) -> Result<(Outcome, Vec<Vec<u8>>), String> {
    let mut run = Run::new(case)?;
    while run.step(run.detail()) {}
    Ok(run.end())
}

/// As `run`, with the states by customer.
pub(crate) fn run_to_states(case: &Case) -> Result<(Outcome, BTreeMap<String, CustomerState>), String> {
    let mut run = Run::new(case)?;
    while run.step(Detail::None) {}
    run.finish(Detail::None);
    let read = |(customer, stored): (String, Vec<u8>)| (customer, decode_state(&stored, &run.rules).unwrap());
    Ok((run.outcome, run.stored.into_iter().map(read).collect()))
}

/// The customers after a case, each as just read, and an engine with the thresholds and parameters then in force.
pub(crate) fn run_to_engine(case: &Case) -> Result<(Engine, BTreeMap<String, CustomerState>), String> {
    let mut run = Run::new(case)?;
    while run.step(Detail::None) {}
    run.finish(Detail::None);
    let mut engine = engine(&run.rules, &case.config);
    engine.set_thresholds(Arc::clone(run.shard.engine().thresholds()));
    engine.set_parameters(run.shard.engine().parameters().copied().map(Arc::new), run.inputs_applied_at);
    let read = |(customer, bytes): (String, Vec<u8>)| {
        let mut state = decode_state(&bytes, &run.rules).unwrap();
        state.set_customer(&customer);
        (customer, state)
    };
    Ok((engine, run.stored.into_iter().map(read).collect()))
}

/// The changes of a lane whose batches end where `ends` says; there customers are flushed, evicted, and lost in
/// restarts.
pub(crate) fn run_in_batches(
    case: &Case,
    mut ends: impl FnMut() -> Option<BatchEnd>,
) -> Result<ChangesByCustomer, String> {
    let mut run = Run::new(case)?;
    run.changes_by_customer = Some(BTreeMap::new());
    run.shard.begin(0);
    while run.step_within_a_batch(Detail::Full) {
        match ends() {
            None => continue,
            Some(BatchEnd::Plain) => {}
            Some(BatchEnd::Flush(most)) => run.flush(most),
            Some(BatchEnd::Evict) => run.evict(),
            Some(BatchEnd::Restart) => run.restart(),
        }
        run.shard.begin(as_i64(run.position));
    }
    run.finish(Detail::Full);
    Ok(run.changes_by_customer.unwrap_or_default())
}

/// The changes of each customer, in full, each with its log position.
pub(crate) type ChangesByCustomer = BTreeMap<String, Vec<(usize, Emitted)>>;

#[derive(Debug, PartialEq)]
pub(crate) enum Emitted {
    Change(Effect),
    Risk(RiskEffect),
}

/// What happens between two batches.
pub(crate) enum BatchEnd {
    Plain,
    Flush(usize),
    Evict,
    Restart,
}

/// One partition being run, with what a changelog would hold of it.
struct Run<'c> {
    case: &'c Case,
    rules: Arc<RuleSet>,
    shard: Shard,
    position: usize,
    outcome: Outcome,
    /// Is what is promised of the next change written down?
    ahead: bool,
    emitted: Vec<CustomerEffect>,
    /// Kept where someone asks for it.
    changes_by_customer: Option<ChangesByCustomer>,
    /// Customers as last flushed, by id.
    stored: BTreeMap<String, Vec<u8>>,
    /// Stream time where thresholds or parameters were last applied: earlier decisions were under others.
    inputs_applied_at: Instant,
    /// Are customers decided under new parameters only at their next event or sweep?
    is_lazy: bool,
    /// Those who were left.
    lagging: Vec<String>,
    /// Stream time before each position, and how each event fared: what META and recorded inputs hold.
    stream_times: Vec<Instant>,
}

impl<'c> Run<'c> {
    fn new(case: &'c Case) -> Result<Self, String> {
        let rules = load(case)?;
        let shard = shard(&rules, &case.config, Instant::MIN);
        Ok(Self {
            case,
            rules,
            shard,
            position: 0,
            outcome: Outcome::default(),
            ahead: false,
            emitted: Vec::new(),
            changes_by_customer: None,
            stored: BTreeMap::new(),
            inputs_applied_at: Instant::MIN,
            is_lazy: false,
            lagging: Vec::new(),
            stream_times: Vec::new(),
        })
    }

    /// The detail needed to see every change: changes of risk are emitted in full or not at all.
    fn detail(&self) -> Detail {
        if self.rules.churn.is_some() { Detail::Full } else { Detail::None }
    }

    /// One log position as a batch of its own. False at the end of the log.
    fn step(&mut self, detail: Detail) -> bool {
        self.shard.begin(as_i64(self.position));
        self.step_within_a_batch(detail)
    }

    /// One log position: the advances before it, then its event.
    fn step_within_a_batch(&mut self, detail: Detail) -> bool {
        let position = self.position;
        self.stream_times.push(self.shard.stream_time());
        self.inputs(position, detail);
        if position == self.case.events.len() {
            return false;
        }
        let event = &self.case.events[position];
        let handling = match self.case.until {
            Some(until) if event.at > until => Handling::NotRead,
            _ => self.take_in(event, position, detail),
        };
        self.outcome.handled.push(handling);
        self.flush_effects(position);
        self.position += 1;
        true
    }

    /// The advances before an event, and the thresholds and parameters applied before it. All is flushed before and
    /// after those.
    fn inputs(&mut self, position: usize, detail: Detail) {
        let mut after = Instant::MIN;
        for thresholds_applied in
            self.case.thresholds.iter().filter(|thresholds_applied| thresholds_applied.position == position)
        {
            self.advances(position, (after, thresholds_applied.stream_time), detail);
            after = after.max(thresholds_applied.stream_time.next());
            self.apply_thresholds(thresholds_applied, position, detail);
        }
        for parameters_applied in
            self.case.parameters.iter().filter(|parameters_applied| parameters_applied.position == position)
        {
            self.advances(position, (after, parameters_applied.stream_time), detail);
            after = after.max(parameters_applied.stream_time.next());
            self.apply_parameters(parameters_applied, position, detail);
        }
        self.advances(position, (after, Instant::MAX), detail);
    }

    /// Those from one stream time through another.
    fn advances(&mut self, position: usize, (from, through): (Instant, Instant), detail: Detail) {
        let between = |at: Instant| from <= at && at <= through;
        for advance in self.case.advances.iter().filter(|a| a.position == position && between(a.stream_time)) {
            self.shard.advance(advance.stream_time);
            self.fire(position, detail); // the event at this position is still to come
        }
    }

    fn apply_thresholds(&mut self, thresholds_applied: &ThresholdsApplied, position: usize, detail: Detail) {
        self.sweep(usize::MAX);
        self.inputs_applied_at = self.shard.stream_time();
        self.flush(usize::MAX);
        let standing = |(value, hash)| Standing { value, hash };
        let of = |rank: &Rank| {
            thresholds_applied.ranks.iter().find(|(words, _)| *words == rank.words).map(|(_, at)| standing(*at))
        };
        let old = Arc::clone(self.shard.engine().thresholds());
        self.shard.set_thresholds(self.rules.ranks.iter().map(of).collect());
        let customers: Vec<String> = self.stored.keys().cloned().collect();
        for customer in customers {
            self.fetch(&customer);
            let slot = self.shard.find(&customer).expect("fetched just now");
            self.shard.reevaluate_ranks(slot, &old, as_i64(position), detail, &mut self.emitted);
        }
        self.flush(usize::MAX);
    }

    fn apply_parameters(&mut self, parameters_applied: &ParametersApplied, position: usize, detail: Detail) {
        self.sweep(usize::MAX);
        self.inputs_applied_at = self.shard.stream_time();
        self.flush(usize::MAX);
        self.shard.set_parameters(Some(Arc::new(parameters_applied.parameters)), self.inputs_applied_at);
        if self.is_lazy {
            self.lagging = self.stored.keys().cloned().collect();
            return;
        }
        let customers: Vec<String> = self.stored.keys().cloned().collect();
        for customer in customers {
            self.fetch(&customer);
            let slot = self.shard.find(&customer).expect("fetched just now");
            self.shard.apply_parameters(slot, as_i64(position), detail, &mut self.emitted);
        }
        self.flush(usize::MAX);
    }

    /// Decides some of the customers who are not decided under the new parameters yet, and flushes them at once.
    fn sweep(&mut self, most: usize) {
        for _ in 0..most {
            let Some(customer) = self.lagging.pop() else { return };
            self.fetch(&customer);
            let slot = self.shard.find(&customer).expect("fetched just now");
            self.shard.apply_parameters(slot, as_i64(self.position), self.detail(), &mut self.emitted);
            if self.shard.take_if_dirty(slot) {
                self.store(slot);
            }
            self.flush_effects(self.position);
        }
    }

    /// `as_of`: the position of the next event.
    fn fire(&mut self, as_of: usize, detail: Detail) {
        let until = self.shard.stream_time();
        self.wake(until);
        self.shard.fire_due(as_i64(as_of), detail, &mut self.emitted);
    }

    /// Stored customers with a deadline before `until` come back into memory, as the index would bring them.
    fn wake(&mut self, until: Instant) {
        for (customer, bytes) in &self.stored {
            if self.shard.find(customer).is_none() {
                let state = decode_state(bytes, &self.rules).unwrap();
                if state.next_deadline < until {
                    self.shard.insert(customer, state, Instant::MAX);
                }
            }
        }
    }

    fn take_in(&mut self, event: &LogEvent, position: usize, detail: Detail) -> Handling {
        match self.shard.refuses(event.at) {
            Some(DeadLetterReason::TooLate) => return Handling::TooLate,
            Some(_) => return Handling::BadTime,
            None => {}
        }
        self.fetch(&event.customer);
        let slot = self.shard.find_or_new(&event.customer);
        let mut properties = Properties::new();
        let borrowed = borrow(event, &self.rules, &mut properties);
        if !self.shard.apply(slot, &borrowed, as_i64(position), detail, &mut self.emitted) {
            return Handling::Duplicate;
        }
        self.fire(position + 1, detail);
        Handling::Applied
    }

    fn fetch(&mut self, customer: &str) {
        if self.shard.find(customer).is_none()
            && let Some(bytes) = self.stored.get(customer)
        {
            let state = decode_state(bytes, &self.rules).unwrap();
            self.shard.insert(customer, state, Instant::MAX);
        }
    }

    /// All changes at one position, in the documented order of `replay`.
    fn flush_effects(&mut self, position: usize) {
        let mut emitted: Vec<(String, CustomerEffect)> =
            self.emitted.drain(..).map(|emitted| (self.shard.customer(emitted.slot).to_owned(), emitted)).collect();
        emitted.sort_by(|(a, x), (b, y)| (x.effect.at, a, x.effect.sequence).cmp(&(y.effect.at, b, y.effect.sequence)));
        for (customer, CustomerEffect { effect, .. }) in emitted {
            if let Some(changes_by_customer) = &mut self.changes_by_customer {
                changes_by_customer
                    .entry(customer.clone())
                    .or_default()
                    .push((position, Emitted::Change(effect.clone())));
            }
            let cohort = self.rules.cohort(effect.cohort);
            self.outcome.changes.push(Decided {
                customer,
                cohort: cohort.name.clone(),
                change: effect.change,
                occurred_at: effect.at,
                reason: effect.reason,
                cause: effect.cause.map(|cause| usize::try_from(cause.position).unwrap()),
                entered_at: effect.entered_at,
                times_entered: effect.times_entered,
                sequence: effect.sequence,
                position,
                shadow: cohort.shadow,
                next_change_at: effect.next_change_at.filter(|_| self.ahead),
            });
        }
        let risks = self.shard.take_risks().into_iter();
        let mut risks: Vec<(String, RiskEffect)> =
            risks.map(|(slot, effect)| (self.shard.customer(slot).to_owned(), effect)).collect();
        risks.sort_by(|(a, x), (b, y)| (x.at, a, x.sequence).cmp(&(y.at, b, y.sequence)));
        for (customer, effect) in risks {
            if let Some(changes_by_customer) = &mut self.changes_by_customer {
                changes_by_customer
                    .entry(customer.clone())
                    .or_default()
                    .push((position, Emitted::Risk(effect.clone())));
            }
            self.outcome.risks.push(Rated {
                customer,
                level: level_name(&self.rules, effect.level).to_owned(),
                previous: level_name(&self.rules, effect.previous).to_owned(),
                occurred_at: effect.at,
                reason: effect.reason,
                cause: effect.cause.map(|cause| usize::try_from(cause.position).unwrap()),
                sequence: effect.sequence,
                position,
                next_level_at: effect.next_level_at,
                probability: effect.probability,
                expected: effect.expected,
                alive: effect.alive,
                value: effect.value,
            });
        }
    }

    /// Other rules from the present position on.
    fn edit(&mut self, edited: &str) -> Result<(), String> {
        let new = rules::load("edited.toml", edited).map_err(|errors| format!("{errors:?}"))?;
        let new = Arc::new(new);
        let (position, stream_time) = (self.position, self.shard.stream_time());
        let mut engine = engine(&new, &self.case.config);
        let migration = Migration::between(Arc::clone(&self.rules), Arc::clone(&new));
        // All of the log is there that was ever read.
        let observed = migration.observed(engine.observed(), None, stream_time);
        assert_eq!(&observed, engine.observed());
        let mut gathered = BTreeMap::new();
        for (place, event) in self.case.events[..position].iter().enumerate() {
            if self.outcome.handled[place] == Handling::Applied && migration.needs_log() {
                let state = gathered.entry(event.customer.clone()).or_insert_with(|| CustomerState::new(&new));
                let mut properties = Properties::new();
                let event = borrow(event, &new, &mut properties);
                let advanced = self.case.advances.iter().filter(|advance| advance.position == place);
                let stream_time = advanced.map(|a| a.stream_time).fold(self.stream_times[place], Instant::max);
                assert!(engine.gather(state, &event, stream_time, migration.wanted()));
            }
        }
        self.flush(usize::MAX);
        for (customer, stored) in &mut self.stored {
            let old = decode_state(stored, &self.rules).unwrap();
            let (mut decided, gathered) = (Vec::new(), gathered.remove(customer));
            let (mut state, left) = migration.migrate(
                customer,
                old,
                gathered,
                LogCoverage::Whole,
                stream_time,
                &mut engine,
                Detail::None,
                &mut decided,
            );
            state.as_of = as_i64(position);
            let effects = left.into_iter().map(|effect| (&self.rules, effect));
            for (rules, effect) in effects.chain(decided.into_iter().map(|effect| (&new, effect))) {
                self.outcome.changes.push(Decided {
                    customer: customer.clone(),
                    cohort: rules.cohort(effect.cohort).name.clone(),
                    change: effect.change,
                    occurred_at: effect.at,
                    reason: effect.reason,
                    cause: None,
                    entered_at: effect.entered_at,
                    times_entered: effect.times_entered,
                    sequence: effect.sequence,
                    next_change_at: None,
                    shadow: rules.cohort(effect.cohort).shadow,
                    position,
                });
            }
            *stored = bytes(&state);
        }
        self.rules = new;
        self.shard = shard(&self.rules, &self.case.config, stream_time);
        Ok(())
    }

    /// Flushes the longest dirty customers.
    fn flush(&mut self, most: usize) {
        for _ in 0..most {
            let Some(slot) = self.shard.take_dirty(i64::MAX) else { return };
            self.store(slot);
        }
    }

    fn store(&mut self, slot: Slot) {
        let mut bytes = Vec::new();
        self.shard.encode(slot, &mut bytes);
        self.stored.insert(self.shard.customer(slot).to_owned(), bytes);
    }

    /// Puts clean customers out of memory.
    fn evict(&mut self) {
        for slot in self.shard.sweep(2_000) {
            if self.shard.is_clean(slot) && self.stored.contains_key(self.shard.customer(slot)) {
                self.shard.remove(slot);
            }
        }
    }

    /// Memory is lost. Stored states are loaded, and the log is replayed from the oldest change that was not stored.
    fn restart(&mut self) {
        let replay_from = self.shard.oldest_dirty().map_or(self.position, |mark| usize::try_from(mark).unwrap());
        let before = self.shard.stream_time();
        let stream_time = self.stream_times.get(replay_from).copied().unwrap_or(before);
        let thresholds = Arc::clone(self.shard.engine().thresholds());
        let (parameters, since) = (self.shard.engine().parameters().copied().map(Arc::new), self.inputs_applied_at);
        self.shard = shard(&self.rules, &self.case.config, stream_time);
        self.shard.set_thresholds(thresholds);
        self.shard.set_parameters(parameters, since);
        let end = self.position;
        for position in replay_from..end {
            self.shard.begin(as_i64(position));
            self.advances(position, (Instant::MIN, Instant::MAX), Detail::None);
            let event = &self.case.events[position];
            if matches!(self.outcome.handled[position], Handling::Applied | Handling::Duplicate) {
                self.fetch(&event.customer);
                let slot = self.shard.find_or_new(&event.customer);
                if self.shard.as_of(slot) > as_i64(position) {
                    if self.outcome.handled[position] == Handling::Applied {
                        self.shard.advance(event.at - self.case.config.arrives_within);
                    }
                } else {
                    let mut properties = Properties::new();
                    let borrowed = borrow(event, &self.rules, &mut properties);
                    self.shard.apply(slot, &borrowed, as_i64(position), Detail::None, &mut self.emitted);
                }
                self.fire(position + 1, Detail::None);
            }
            self.emitted.clear();
        }
        assert_eq!(self.shard.stream_time(), before, "stream time is a function of the log");
    }

    fn decide_again(&mut self, random: &mut Random) -> Result<(), String> {
        // At an instant that has passed the customer's own clock and all other inputs, and no deadline lies before.
        let Some(event) = self.case.events.get(self.position.saturating_sub(1)) else { return Ok(()) };
        self.fetch(&event.customer);
        let Some(slot) = self.shard.find(&event.customer) else { return Ok(()) };
        let (mut state, stream_time) = (self.shard.state(slot).into_owned(), self.shard.stream_time());
        let latest = state.next_deadline.0.saturating_sub(1).min(stream_time.0);
        let earliest = state.clock.max(self.inputs_applied_at);
        if earliest.0 >= latest {
            return Ok(());
        }
        let span = usize::try_from(latest.saturating_sub(earliest.0).min(1_000_000_000)).unwrap();
        let at = Instant(earliest.0 + 1 + as_i64(random.below(span)));
        let before = state.clone();
        let mut effects = Vec::new();
        let mut engine = engine(&self.rules, &self.case.config);
        engine.set_thresholds(Arc::clone(self.shard.engine().thresholds()));
        engine.set_parameters(self.shard.engine().parameters().copied().map(Arc::new), self.inputs_applied_at);
        engine.decide_again(&mut state, at, &mut effects);
        // An instant before the last one decided may find the deadline decided there once more, and a place as it was.
        state.next_deadline = before.next_deadline;
        state.ranked_values.clone_from(&before.ranked_values);
        if effects.is_empty() && state == before {
            return Ok(());
        }
        Err(format!("deciding {} again at {} changes {effects:?}\n{before:?}\n{state:?}", event.customer, at.0))
    }

    /// Decides what `until` still asks for, and flushes everyone.
    fn finish(&mut self, detail: Detail) {
        self.sweep(usize::MAX);
        let position = self.case.events.len();
        if let Some(until) = self.case.until {
            self.wake(until.next());
            self.shard.fire_before(until.next(), as_i64(position), detail, &mut self.emitted);
        }
        self.flush_effects(position);
        self.flush(usize::MAX);
    }

    fn end(self) -> (Outcome, Vec<Vec<u8>>) {
        let detail = self.detail();
        self.end_with(detail)
    }

    fn end_with(mut self, detail: Detail) -> (Outcome, Vec<Vec<u8>>) {
        self.finish(detail);
        let rules = &self.rules;
        let settled = |stored: Vec<u8>| {
            let mut state = decode_state(&stored, rules).unwrap();
            assert_eq!(bytes(&state), stored, "what is read is what was written");
            (state.as_of, state.next_deadline, state.deadlines) = (0, Instant::MAX, Deadlines::default());
            bytes(&state)
        };
        (self.outcome, self.stored.into_values().map(settled).collect())
    }
}

fn load(case: &Case) -> Result<Arc<RuleSet>, String> {
    let document = rules::read("rules.toml", &case.rules);
    let compiled = document.and_then(|document| {
        rules::compile_within(case.config.capacities, "rules.toml", &case.rules, &document).map(Arc::new)
    });
    compiled.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn engine(rules: &Arc<RuleSet>, config: &Config) -> Engine {
    Engine::new(Arc::clone(rules), config.max_lateness, config.dedupe_ids)
        .observing(Observed { from: config.observed_from, ..Observed::ALWAYS })
}

fn shard(rules: &Arc<RuleSet>, config: &Config, stream_time: Instant) -> Shard {
    let Config { arrives_within, max_lateness, earliest, .. } = *config;
    Shard::new(engine(rules, config), Timing { arrives_within, max_lateness, earliest }, stream_time)
}

fn bytes(state: &CustomerState) -> Vec<u8> {
    let mut out = Vec::new();
    encode_state(state, &mut out);
    assert_eq!(as_of(&out).unwrap(), state.as_of);
    out
}

fn borrow<'e>(event: &'e LogEvent, rules: &RuleSet, properties: &'e mut Properties<'e>) -> CustomerEvent<'e> {
    for (name, value) in &event.properties {
        let Some(property) = rules.vocabulary.property(name) else { continue };
        match value {
            OwnedValue::List(values) => {
                properties.extend(values.iter().filter_map(|value| Some((property.in_a_list(), value.known()?))));
            }
            value => properties.extend(value.known().map(|value| (property, value))),
        }
    }
    CustomerEvent {
        customer: &event.customer,
        name: &event.name,
        name_id: rules.vocabulary.name(&event.name),
        at: event.at,
        id: event.id.as_deref(),
        source: event.source.as_deref(),
        record_hash: event.record_hash,
        unusable_values: 0,
        properties,
    }
}

fn as_i64(position: usize) -> i64 {
    i64::try_from(position).unwrap()
}
