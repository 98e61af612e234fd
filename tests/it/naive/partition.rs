//! The order of decisions over one partition's log.

use std::hash::Hasher;

use std::collections::BTreeMap;

use cohortd::event::{ChangeReason, Instant};
use cohortd::rules::ast::Rank;
use cohortd::rules::{Document, read};

use super::condition::Moment;
use super::customer::Customer;
use super::log::{
    Case, Config, Decided, Handling, LogEvent, Outcome, ParametersApplied, Rated, Threshold, ThresholdsApplied,
};
use super::machine::{Occasion, decide};
use super::rules::Rules;

/// Decides a case. `Err` where the rules are invalid, or use what this release does not support.
pub(crate) fn judge(case: &Case) -> Result<Outcome, String> {
    judge_at(case, &[], false)
}

/// The same, and for each change when the next one is if the customer stays silent.
pub(crate) fn judge_ahead(case: &Case) -> Result<Outcome, String> {
    judge_at(case, &[], true)
}

/// The same, deciding every customer at `extra` instants besides; that must change nothing.
pub(crate) fn judge_with(case: &Case, extra: &[Instant]) -> Result<Outcome, String> {
    judge_at(case, extra, false)
}

fn judge_at(case: &Case, extra: &[Instant], looks_ahead: bool) -> Result<Outcome, String> {
    let document = document(case)?;
    let rules = Rules { looks_ahead, ..rules(&document, case)? };
    let (partition, handled) = Partition::of(&rules, case, extra);
    let Outcome { mut changes, mut risks, .. } = partition.outcome;
    changes.sort_by(|a, b| {
        let key = |change: &Decided| (change.position, change.occurred_at);
        key(a).cmp(&key(b)).then_with(|| a.customer.cmp(&b.customer)).then_with(|| a.sequence.cmp(&b.sequence))
    });
    risks.sort_by(|a, b| {
        let key = |rated: &Rated| (rated.position, rated.occurred_at);
        key(a).cmp(&key(b)).then_with(|| a.customer.cmp(&b.customer)).then_with(|| a.sequence.cmp(&b.sequence))
    });
    Ok(Outcome { changes, risks, handled })
}

pub(super) fn document(case: &Case) -> Result<Document, String> {
    read("rules.toml", &case.rules)
        .map_err(|errors| errors.iter().map(|error| error.one_line()).collect::<Vec<_>>().join("\n"))
}

pub(super) fn rules<'a>(document: &'a Document, case: &Case) -> Result<Rules<'a>, String> {
    let Config { observed_from, capacities, .. } = case.config;
    Ok(Rules { observed_from, capacities, ..Rules::new(document)? })
}

pub(super) struct Partition<'a> {
    rules: &'a Rules<'a>,
    config: Config,
    extra: &'a [Instant],
    pub(super) stream_time: Instant,
    pub(super) customers: BTreeMap<&'a str, Customer<'a>>,
    /// The accepted events by which a duplicate is known.
    remembered: Vec<&'a LogEvent>,
    outcome: Outcome,
}

impl<'a> Partition<'a> {
    /// A partition after all of its log, and how each event fared.
    pub(super) fn of(rules: &'a Rules<'a>, case: &'a Case, extra: &'a [Instant]) -> (Self, Vec<Handling>) {
        let mut partition = Self {
            rules,
            config: case.config,
            extra,
            stream_time: Instant::MIN,
            customers: BTreeMap::new(),
            remembered: Vec::new(),
            outcome: Outcome::default(),
        };
        let mut handled = Vec::new();
        for (position, event) in case.events.iter().enumerate() {
            partition.advance(case, position);
            let later = case.until.is_some_and(|until| event.at > until);
            handled.push(if later { Handling::NotRead } else { partition.receive(position, event) });
        }
        let end = case.events.len();
        partition.advance(case, end);
        if let Some(until) = case.until {
            partition.decide_all(end, until);
        }
        (partition, handled)
    }

    /// Recorded advances take effect before the event at their position.
    fn advance(&mut self, case: &Case, position: usize) {
        let mut advances = case.advances.iter().filter(|advance| advance.position == position).peekable();
        for thresholds_applied in
            case.thresholds.iter().filter(|thresholds_applied| thresholds_applied.position == position)
        {
            while let Some(advance) = advances.next_if(|advance| advance.stream_time <= thresholds_applied.stream_time)
            {
                self.advance_to(advance.stream_time, position);
            }
            self.apply_thresholds(thresholds_applied, position);
        }
        for parameters_applied in
            case.parameters.iter().filter(|parameters_applied| parameters_applied.position == position)
        {
            while let Some(advance) = advances.next_if(|advance| advance.stream_time <= parameters_applied.stream_time)
            {
                self.advance_to(advance.stream_time, position);
            }
            self.apply_parameters(parameters_applied, position);
        }
        advances.for_each(|advance| self.advance_to(advance.stream_time, position));
    }

    fn advance_to(&mut self, stream_time: Instant, position: usize) {
        self.stream_time = self.stream_time.max(stream_time);
        self.decide_due(position);
    }

    /// Every deadline before stream time is decided under the old thresholds; then those whom the new ones concern are
    /// decided, each not before their own clock.
    fn apply_thresholds(&mut self, thresholds_applied: &ThresholdsApplied, position: usize) {
        let new: BTreeMap<String, Threshold> = thresholds_applied.ranks.iter().cloned().collect();
        let old = self.rules.thresholds.replace(new.clone());
        for customer in self.customers.values_mut() {
            let now = self.stream_time.max(customer.clock);
            let moment = Moment::new(self.rules, customer, now);
            let turns = |(rank, words): &(&'a Rank, String)| {
                moment.is_in(rank, old.get(words).copied()) != moment.is_in(rank, new.get(words).copied())
            };
            if self.rules.ranks.iter().any(turns) {
                let occasion = Occasion { position, now, reason: ChangeReason::Threshold, cause: None };
                decide(self.rules, customer, occasion, &mut self.outcome);
            }
        }
    }

    /// Every deadline before stream time is decided under the old parameters; then everyone who has come is decided
    /// under the new ones, each not before their own clock.
    fn apply_parameters(&mut self, parameters_applied: &ParametersApplied, position: usize) {
        self.rules.parameters.replace(Some(parameters_applied.parameters));
        for customer in self.customers.values_mut().filter(|_| self.rules.document.churn.is_some()) {
            customer.solved.take();
            let now = self.stream_time.max(customer.clock);
            if Moment::new(self.rules, customer, now).has_come() {
                let occasion = Occasion { position, now, reason: ChangeReason::ModelChanged, cause: None };
                decide(self.rules, customer, occasion, &mut self.outcome);
            }
        }
    }

    fn receive(&mut self, position: usize, event: &'a LogEvent) -> Handling {
        if event.at < self.config.earliest {
            return Handling::BadTime;
        }
        if event.at < self.stream_time - self.config.max_lateness {
            return Handling::TooLate;
        }
        if self.is_duplicate(event) {
            return Handling::Duplicate;
        }
        self.apply(position, event);
        self.remember(event);
        self.stream_time = self.stream_time.max(event.at - self.config.arrives_within);
        self.decide_due(position);
        Handling::Applied
    }

    fn apply(&mut self, position: usize, event: &'a LogEvent) {
        let cohorts = self.rules.cohorts.len();
        let customer = self.customers.entry(&event.customer).or_insert_with(|| Customer::new(&event.customer, cohorts));
        // Stream time's deadlines are decided already; what is left are those before the event.
        decide_until(self.rules, self.extra, customer, position, before(event.at), &mut self.outcome);
        customer.events.push(event);
        customer.oldest_arrivals.push(self.stream_time - self.config.max_lateness);
        customer.solved.take();
        customer.clock = customer.clock.max(event.at);
        let now = customer.clock;
        let reason = if now > event.at { ChangeReason::LateEvent } else { ChangeReason::Event };
        let occasion = Occasion { position, now, reason, cause: Some(position) };
        decide(self.rules, customer, occasion, &mut self.outcome);
    }

    /// A deadline is due once stream time is later than it.
    fn decide_due(&mut self, position: usize) {
        self.decide_all(position, before(self.stream_time));
    }

    fn decide_all(&mut self, position: usize, last: Instant) {
        for customer in self.customers.values_mut() {
            decide_until(self.rules, self.extra, customer, position, last, &mut self.outcome);
        }
    }

    fn is_duplicate(&mut self, event: &LogEvent) -> bool {
        // Forgotten once stream time is past the event's time by more than `max_lateness`.
        let oldest = self.stream_time - self.config.max_lateness;
        self.remembered.retain(|known| known.at >= oldest);
        self.remembered.iter().any(|known| identity(known) == identity(event))
    }

    /// Over `dedupe_ids` of one customer, the oldest by event time is pushed out first; of several, the one whose
    /// stored hash is the smallest: any order would do, as long as it does not depend on which came first.
    fn remember(&mut self, event: &'a LogEvent) {
        self.remembered.push(event);
        let mut of_customer: Vec<&LogEvent> =
            self.remembered.iter().copied().filter(|known| known.customer == event.customer).collect();
        if of_customer.len() > self.config.dedupe_ids {
            of_customer.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| stored_hash(a).cmp(&stored_hash(b))));
            self.remembered.retain(|known| !std::ptr::eq(*known, of_customer[0]));
        }
    }
}

fn before(instant: Instant) -> Instant {
    Instant(instant.0.saturating_sub(1))
}

/// The identity of an event: source, name and id, or without an id the source and the record as sent.
fn identity(event: &LogEvent) -> (&str, Option<&str>, Result<(&str, &str), u64>) {
    let own = event.id.as_deref().map(|id| (event.name.as_str(), id)).ok_or(event.record_hash);
    (&event.customer, event.source.as_deref(), own)
}

/// As the engine stores identities; only for telling which of several equally old ones goes first.
fn stored_hash(event: &LogEvent) -> u64 {
    let text = |text: &str| [text.as_bytes(), &[0xff]].concat();
    let source = event.source.as_deref();
    let mut bytes = u64::from(source.is_some()).to_le_bytes().to_vec();
    bytes.extend(source.map(text).unwrap_or_default());
    match event.id.as_deref() {
        Some(id) => bytes.extend([text(&event.name), text(id)].concat()),
        None => bytes.extend(event.record_hash.to_le_bytes()),
    }
    sip(&bytes)
}

/// By which customers' ids and keys' values are stored.
pub(super) fn sip(bytes: &[u8]) -> u64 {
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Decides one customer's deadlines up to `last`, one by one, each at its own instant; deciding one may set the next.
pub(super) fn decide_until(
    rules: &Rules<'_>,
    extra: &[Instant],
    customer: &mut Customer<'_>,
    position: usize,
    last: Instant,
    out: &mut Outcome,
) {
    while customer.decided > Instant::MIN
        && let Some(now) = rules.instants.next(rules, customer, extra, customer.decided, last)
    {
        decide(rules, customer, Occasion { position, now, reason: ChangeReason::Time, cause: None }, out);
    }
}
