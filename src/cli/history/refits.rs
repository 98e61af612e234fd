//! The churn model over one log: trained on past data each time stream time passes a Monday.

use std::sync::Arc;

use super::sample;
use crate::engine::{CustomerEffect, Detail, Parameters, Shard, TrainedModel, Trainer, week_begins, week_of};
use crate::event::Instant;

/// The state of training.
#[derive(Default)]
pub(in crate::cli) struct Refits {
    /// The last week of stream time. `None`: there were no events yet.
    week: Option<i64>,
    trainer: Option<Trainer>,
    refitted: Refitted,
}

/// The summary of all refits.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Refitted {
    /// How often parameters were changed.
    pub(in crate::cli) times: u64,
    /// The last parameters applied, and when.
    pub(in crate::cli) last: Option<(Instant, Arc<Parameters>)>,
}

impl Refitted {
    /// Adds those of another log.
    pub(in crate::cli) fn add(&mut self, other: Self) {
        self.times += other.times;
        let at = |last: &Option<(Instant, Arc<Parameters>)>| last.as_ref().map(|(at, _)| *at);
        if at(&other.last) > at(&self.last) {
            self.last = other.last;
        }
    }
}

impl Refits {
    pub(in crate::cli) fn refitted(&self) -> &Refitted {
        &self.refitted
    }

    /// The next Monday in stream time. `None`: there is nothing to fit, or no customer.
    pub(in crate::cli) fn next(&self, shard: &Shard) -> Option<Instant> {
        let wanted = shard.engine().rules().churn.is_some() && !shard.is_empty();
        wanted.then(|| week_begins(week_of(shard.stream_time()) + 1))
    }

    /// Applies new parameters at a log position if stream time has passed a Monday since the last time. Every deadline
    /// before stream time is decided.
    pub(in crate::cli) fn refresh(
        &mut self,
        shard: &mut Shard,
        position: i64,
        detail: Detail,
        effects: &mut Vec<CustomerEffect>,
    ) {
        let rules = Arc::clone(shard.engine().rules());
        let Some(churn) = &rules.churn else { return };
        if shard.is_empty() {
            return;
        }
        let now = shard.stream_time();
        let week = week_of(now);
        if self.week.replace(week).is_none_or(|before| before >= week) {
            return;
        }
        let trainer = self.trainer.get_or_insert_with(|| Trainer::new(churn));
        trainer.add(0, sample(shard, now));
        if let Some(trained) = trainer.train(churn, &rules.calendar()) {
            self.apply(&trained, shard, position, detail, effects);
        }
    }

    /// Applies parameters, if they differ, and re-evaluates all customers under them.
    fn apply(
        &mut self,
        trained: &TrainedModel,
        shard: &mut Shard,
        position: i64,
        detail: Detail,
        effects: &mut Vec<CustomerEffect>,
    ) {
        let (version, before) = match &self.refitted.last {
            Some((_, before)) => (before.version, Some(**before)),
            None => (0, None),
        };
        if before == Some(trained.parameters(version)) {
            return;
        }
        let parameters = Arc::new(trained.parameters(version + 1));
        self.refitted.times += 1;
        self.refitted.last = Some((shard.stream_time(), Arc::clone(&parameters)));
        shard.set_parameters(Some(parameters), shard.stream_time());
        for slot in shard.residents() {
            shard.apply_parameters(slot, position, detail, effects);
        }
    }
}
