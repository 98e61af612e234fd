//! The engine over one log, and what it says as JSON Lines.

use std::io::{self, Write};

use serde::Serialize;

use super::summary::Tally;
use crate::cli::history::Ranks;
use crate::cli::output::Stopped;
use crate::engine::{Language, Said, Shard, Words};
use crate::event::{ChangeReason, CustomerEvent, DeadLetterReason, Instant, Span};

/// How far deadlines are decided at once at the end, so that what waits to be sorted and written stays small.
const STEP: Span = Span::DAY;

/// Decides events in the order given. All that one of them brings about is written before the next is looked at.
pub(in crate::cli) struct Deciding<W> {
    shard: Shard,
    ranks: Ranks,
    /// Of the next event in the log.
    position: i64,
    said: Vec<Said>,
    tally: Tally,
    words: Words,
    out: W,
}

/// A change on stdout: what others depend on, keys and their order too.
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

impl Deciding<io::Sink> {
    /// Decides without a word: for what is asked at the end only.
    pub(in crate::cli) fn silent(shard: Shard) -> Self {
        Self { words: Words::None, ..Self::new(shard, io::sink()) }
    }
}

impl<W: Write> Deciding<W> {
    pub(in crate::cli) fn new(shard: Shard, out: W) -> Self {
        let tally = Tally::new(shard.engine().rules().cohorts.len());
        let ranks = Ranks::new(&shard);
        Self { shard, ranks, position: 0, said: Vec::new(), tally, words: Words::Full, out }
    }

    pub(in crate::cli) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Decides the next event of the log.
    ///
    /// # Errors
    /// When results cannot be written.
    pub(in crate::cli) fn take(&mut self, event: &CustomerEvent<'_>) -> Result<(), Stopped> {
        let position = self.position;
        self.position += 1;
        self.ranks.refresh(&mut self.shard, position, self.words, &mut self.said);
        self.tally.read(event.at);
        if let Some(reason) = self.shard.refuses(event.at) {
            self.tally.dead_letter(reason);
            return self.write_said();
        }
        let slot = self.shard.find_or_new(event.customer);
        if self.shard.apply(slot, event, position, self.words, &mut self.said) {
            self.tally.applied(event.at);
        } else {
            self.tally.duplicates += 1;
        }
        self.write_said()
    }

    /// Counts a record that is no event.
    pub(super) fn refuse(&mut self, reason: DeadLetterReason) {
        self.tally.refuse(reason);
    }

    /// Decides every deadline up to and at `until`, and writes what is left. With the counts come the customers as they
    /// then are.
    ///
    /// # Errors
    /// When results cannot be written.
    pub(in crate::cli) fn finish(mut self, until: Instant) -> Result<(Tally, Shard), Stopped> {
        let last = self.position - 1;
        // Each deadline is decided at its own instant, so steps change neither what is said nor its order.
        let mut reached = self.shard.stream_time();
        while !self.shard.is_empty() && reached <= until {
            reached = (reached + STEP).min(until.next());
            let through = Instant(reached.0 - 1);
            self.ranks.run_to(through, &mut self.shard, last, self.words, &mut self.said);
            self.write_said()?;
        }
        self.out.flush()?;
        self.tally.customers = self.shard.len() as u64;
        self.tally.counts = self.shard.take_counts();
        Ok((self.tally, self.shard))
    }

    fn write_said(&mut self) -> Result<(), Stopped> {
        let (shard, rules) = (&self.shard, self.shard.engine().rules());
        // What comes of one decision stays in its order.
        self.said.sort_by(|a, b| {
            (a.effect.at.cmp(&b.effect.at))
                .then_with(|| shard.customer(a.slot).cmp(shard.customer(b.slot)))
                .then_with(|| a.effect.sequence.cmp(&b.effect.sequence))
        });
        for Said { slot, effect } in self.said.drain(..) {
            self.tally.changed(effect.cohort, effect.at, effect.change);
            if self.words == Words::None {
                continue;
            }
            let cohort = rules.cohort(effect.cohort);
            let line = Line {
                customer_id: shard.customer(slot),
                cohort: &cohort.name,
                change: effect.change.word(),
                at: effect.at.0,
                reason: word(effect.reason),
                why: &effect.sentence(rules, Language::English),
                shadow: cohort.shadow,
            };
            serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }
}

fn word(reason: ChangeReason) -> &'static str {
    match reason {
        ChangeReason::Event => "event",
        ChangeReason::Time => "time",
        ChangeReason::LateEvent => "late_event",
        ChangeReason::Excluded => "excluded",
        ChangeReason::Threshold => "threshold",
        ChangeReason::ModelChanged => "model_changed",
    }
}
