//! Runs the engine over one log, and writes its changes as JSON Lines.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

use super::summary::Tally;
use crate::cli::history::OtherInputs;
use crate::cli::output::Stopped;
use crate::engine::{
    ActivityHistory, CustomerEffect, Detail, Effect, Language, Parameters, RiskEffect, Shard, Slot, level_name,
};
use crate::event::{ChangeReason, CustomerEvent, DeadLetterReason, Instant, Span};
use crate::inquiry::Coverage;

/// The step in which deadlines are decided at the end, so that few changes wait to be sorted and written.
const STEP: Span = Span::DAY;

/// Decides events in the order given. All changes of one event are written before the next is processed.
pub(in crate::cli) struct Deciding<W> {
    shard: Shard,
    other_inputs: OtherInputs,
    /// Of the next event in the log.
    position: i64,
    effects: Vec<CustomerEffect>,
    tally: Tally,
    coverage: Coverage,
    detail: Detail,
    out: W,
}

/// A change on stdout: a public format, including keys and their order.
#[derive(Serialize)]
struct Line<'a> {
    customer_id: &'a str,
    cohort: &'a str,
    change: &'a str,
    at: i64,
    reason: &'a str,
    why: &'a str,
    /// Decided and counted, but not emitted by `run`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

/// A change of the level of risk on stdout.
#[derive(Serialize)]
struct RiskLine<'a> {
    customer_id: &'a str,
    risk: &'a str,
    previous: &'a str,
    probability: f64,
    at: i64,
    reason: &'a str,
    expected_purchases: f64,
    alive: Option<f64>,
    value_at_risk: Option<f64>,
    next_level_at: Option<i64>,
    provisional: bool,
    why: &'a str,
}

/// A change caused by a decision.
enum Entry {
    Change(Effect),
    Risk(RiskEffect),
}

impl Entry {
    /// The order among changes of the same customer at one log position: changes of cohorts come before those of risk.
    fn place(&self) -> (Instant, bool, u64) {
        match self {
            Self::Change(effect) => (effect.at, false, effect.sequence),
            Self::Risk(effect) => (effect.at, true, effect.sequence),
        }
    }
}

impl Deciding<io::Sink> {
    /// Decides without output: for results that are queried at the end.
    pub(in crate::cli) fn silent(shard: Shard) -> Self {
        Self { detail: Detail::None, ..Self::new(shard, io::sink()) }
    }
}

impl<W: Write> Deciding<W> {
    pub(in crate::cli) fn new(shard: Shard, out: W) -> Self {
        let tally = Tally::new(shard.engine().rules());
        let other_inputs = OtherInputs::new(&shard);
        let coverage = Coverage::new(shard.engine().rules());
        Self { shard, other_inputs, position: 0, effects: Vec::new(), tally, coverage, detail: Detail::Full, out }
    }

    /// Sets churn parameters instead of fitting them, before anything is decided.
    pub(super) fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>) {
        if let Some(parameters) = parameters {
            self.other_inputs.set_parameters(parameters, &mut self.shard);
        }
    }

    pub(in crate::cli) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Decides the next event of the log.
    ///
    /// # Errors
    /// When results cannot be written.
    pub(in crate::cli) fn apply(&mut self, event: &CustomerEvent<'_>) -> Result<(), Stopped> {
        let position = self.position;
        self.position += 1;
        self.other_inputs.refresh(&mut self.shard, position, self.detail, &mut self.effects);
        self.tally.read(event.at);
        if let Some(reason) = self.shard.refuses(event.at) {
            self.tally.dead_letter(reason);
            return self.write_effects();
        }
        self.coverage.observe(event, position.unsigned_abs());
        let slot = self.shard.find_or_new(event.customer);
        if self.shard.apply(slot, event, position, self.detail, &mut self.effects) {
            self.tally.applied(event.at);
        } else {
            self.tally.duplicates += 1;
        }
        self.write_effects()
    }

    /// Counts a record that is not an event.
    pub(super) fn refuse(&mut self, reason: DeadLetterReason, detail: &str) {
        self.tally.refuse(reason, detail);
    }

    /// Decides every deadline up to and including `until`, and writes the rest. Returns the counts and the customers as
    /// of then.
    ///
    /// # Errors
    /// When results cannot be written.
    pub(in crate::cli) fn finish(mut self, until: Instant) -> Result<(Tally, Shard), Stopped> {
        let last = self.position - 1;
        // Each deadline is decided at its own instant, so steps change neither the output nor its order.
        let mut reached = self.shard.stream_time();
        while !self.shard.is_empty() && reached <= until {
            reached = (reached + STEP).min(until.next());
            let through = Instant(reached.0 - 1);
            self.other_inputs.run_to(through, &mut self.shard, last, self.detail, &mut self.effects);
            self.write_effects()?;
        }
        self.out.flush()?;
        self.tally.customers = self.shard.len() as u64;
        self.tally.came = self.active_customers();
        self.tally.events_looked_at = self.coverage.events();
        self.tally.not_found = self.coverage.not_found();
        self.tally.refitted = self.other_inputs.refitted().cloned();
        self.tally.counts = self.shard.take_counts();
        self.tally
            .too_few
            .extend(self.other_inputs.ranks().too_few(&self.shard).map(|(rank, of)| (rank.to_owned(), of)));
        Ok((self.tally, self.shard))
    }

    /// Customers with a churn risk.
    fn active_customers(&self) -> u64 {
        let rules = self.shard.engine().rules();
        let came = |slot: &Slot| ActivityHistory::of(rules, &self.shard.state(*slot)).is_some();
        if rules.churn.is_some() { self.shard.residents().filter(came).count() as u64 } else { 0 }
    }

    fn write_effects(&mut self) -> Result<(), Stopped> {
        let risks = self.shard.take_risks().into_iter().map(|(slot, effect)| (slot, Entry::Risk(effect)));
        let mut entries: Vec<(Slot, Entry)> =
            self.effects.drain(..).map(|change| (change.slot, Entry::Change(change.effect))).chain(risks).collect();
        let shard = &self.shard;
        // The changes of one decision stay in order.
        entries.sort_by(|(slot_a, a), (slot_b, b)| {
            let (a, b) = (a.place(), b.place());
            (a.0.cmp(&b.0)).then_with(|| shard.customer(*slot_a).cmp(shard.customer(*slot_b))).then_with(|| a.cmp(&b))
        });
        for (slot, entry) in entries {
            match entry {
                Entry::Change(effect) => self.write_change(slot, &effect)?,
                Entry::Risk(effect) => self.write_risk(slot, &effect)?,
            }
        }
        Ok(())
    }

    fn write_change(&mut self, slot: Slot, effect: &Effect) -> Result<(), Stopped> {
        self.tally.changed(effect.cohort, effect.at, effect.change);
        if self.detail == Detail::None {
            return Ok(());
        }
        let rules = self.shard.engine().rules();
        let cohort = rules.cohort(effect.cohort);
        let line = Line {
            customer_id: self.shard.customer(slot),
            cohort: &cohort.name,
            change: effect.change.word(),
            at: effect.at.0,
            reason: word(effect.reason),
            why: &effect.sentence(rules, Language::English),
            shadow: cohort.shadow,
        };
        serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn write_risk(&mut self, slot: Slot, effect: &RiskEffect) -> Result<(), Stopped> {
        self.tally.level_changed(effect);
        if self.detail == Detail::None {
            return Ok(());
        }
        let rules = self.shard.engine().rules();
        let line = RiskLine {
            customer_id: self.shard.customer(slot),
            risk: level_name(rules, effect.level),
            previous: level_name(rules, effect.previous),
            probability: effect.probability,
            at: effect.at.0,
            reason: word(effect.reason),
            expected_purchases: effect.expected,
            alive: effect.alive,
            value_at_risk: effect.value_at_risk(),
            next_level_at: effect.next_level_at.map(|at| at.0),
            provisional: effect.provisional,
            why: &effect.sentence(rules, Language::English),
        };
        serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

fn word(reason: ChangeReason) -> &'static str {
    match reason {
        ChangeReason::Event => "event",
        ChangeReason::Time => "time",
        ChangeReason::LateEvent => "late_event",
        ChangeReason::Excluded => "excluded",
        ChangeReason::Threshold => "threshold",
        ChangeReason::DefinitionChanged => "definition_changed",
        ChangeReason::ModelChanged => "model_changed",
    }
}
