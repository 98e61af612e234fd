//! The model of churn over one log: parameters fitted to the past each time stream time passes a Monday.

use std::collections::VecDeque;
use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::churn::{Evidence, Outcome, Recalibration, SNAPSHOTS_MAX};
use crate::engine::{Fit, Parameters, Said, Shard, Watched, Words};
use crate::event::{Instant, Span};
use crate::rules::Churn;

/// Between two fits, in stream time.
const WEEK: Span = Span(7 * Span::DAY.0);
/// 1970-01-05, the first Monday.
const MONDAY: Instant = Instant(4 * Span::DAY.0);
/// Snapshots that a fit of use looks at.
const WATCHED_MAX: usize = 4;
/// Snapshots that wait for their horizon to end, at most: weeks of which a longer horizon has more go without one.
const WAITING_MAX: usize = 64;

/// What was seen each Monday, what was learnt, and when.
#[derive(Default)]
pub(in crate::cli) struct Refits {
    /// Whole weeks of stream time since the first Monday. None: nothing was seen yet.
    week: Option<i64>,
    fit: Option<Fit>,
    waiting: VecDeque<Waiting>,
    /// Of the snapshots whose horizon has ended, the latest, the oldest first.
    outcomes: VecDeque<Vec<Outcome>>,
    watched: VecDeque<Vec<Watched>>,
    told: Refitted,
}

/// A snapshot whose horizon has not ended.
struct Waiting {
    snapshot: Snapshot,
    /// Of its rows, under the parameters of its time; empty where there were none.
    evidence: Vec<Evidence>,
}

/// What there is to say of it at the end.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Refitted {
    /// How often parameters were changed.
    pub(in crate::cli) times: u64,
    /// The parameters that were adopted last, and when.
    pub(in crate::cli) last: Option<(Instant, Arc<Parameters>)>,
}

impl Refitted {
    /// Takes in those of another log.
    pub(in crate::cli) fn add(&mut self, other: Self) {
        self.times += other.times;
        let at = |last: &Option<(Instant, Arc<Parameters>)>| last.as_ref().map(|(at, _)| *at);
        if at(&other.last) > at(&self.last) {
            self.last = other.last;
        }
    }
}

impl Refits {
    pub(in crate::cli) fn told(&self) -> &Refitted {
        &self.told
    }

    /// The next Monday in stream time. None: there is nothing to fit, or nobody.
    pub(in crate::cli) fn next(&self, shard: &Shard) -> Option<Instant> {
        let wanted = shard.engine().rules().churn.is_some() && !shard.is_empty();
        wanted.then(|| Instant(MONDAY.0 + (week_of(shard.stream_time()) + 1) * WEEK.0))
    }

    /// Takes new parameters up at a log position, if stream time has passed a Monday since the last time. Every deadline before
    /// stream time is decided.
    pub(in crate::cli) fn refresh(&mut self, shard: &mut Shard, position: i64, words: Words, said: &mut Vec<Said>) {
        let rules = Arc::clone(shard.engine().rules());
        let Some(churn) = &rules.churn else { return };
        if shard.is_empty() {
            return;
        }
        let now = shard.stream_time();
        self.mature(churn, shard, now);
        let week = week_of(now);
        if self.week.replace(week).is_none_or(|before| before >= week) {
            return;
        }
        let snapshot = Snapshot::of(shard, now);
        let watched: Vec<Watched> = self.watched.iter().flatten().copied().collect();
        let before = self.fit.take();
        self.fit = match (before, Fit::new(churn, &snapshot.sightings(), &watched, before.as_ref())) {
            (Some(before), Ok(new)) => Some(before.or_better(new)),
            (before, new) => new.ok().or(before),
        };
        let correction = Recalibration::learnt(self.outcomes.make_contiguous());
        if let Some(fit) = self.fit {
            self.adopt(&fit, correction, shard, position, words, said);
        }
        if self.waiting.len() < WAITING_MAX {
            let model = self.fit.map(|fit| fit.model());
            let evidence = model.map(|model| snapshot.evidence(&model, churn.horizon)).unwrap_or_default();
            self.waiting.push_back(Waiting { snapshot, evidence });
        }
    }

    /// Learns what became of those whose horizon has ended.
    fn mature(&mut self, churn: &Churn, shard: &Shard, now: Instant) {
        while let Some(Waiting { snapshot, evidence }) =
            self.waiting.pop_front_if(|waiting| waiting.snapshot.at + churn.horizon <= now)
        {
            let watched = snapshot.watched(shard, snapshot.at + churn.horizon);
            let outcomes = evidence.into_iter().zip(&watched);
            let outcomes: Vec<Outcome> =
                outcomes.map(|(evidence, watched)| Outcome { evidence, none: watched.none }).collect();
            if !outcomes.is_empty() {
                keep_latest(&mut self.outcomes, outcomes, SNAPSHOTS_MAX);
            }
            keep_latest(&mut self.watched, watched, WATCHED_MAX);
        }
    }

    /// Brings parameters into force, if they are others, and decides everyone under them.
    fn adopt(
        &mut self,
        fit: &Fit,
        correction: Option<Recalibration>,
        shard: &mut Shard,
        position: i64,
        words: Words,
        said: &mut Vec<Said>,
    ) {
        let (version, before) = match &self.told.last {
            Some((_, before)) => (before.version, Some(&**before)),
            None => (0, None),
        };
        if before == Some(&fit.parameters(version, correction)) {
            return;
        }
        let parameters = Arc::new(fit.parameters(version + 1, correction));
        self.told.times += 1;
        self.told.last = Some((shard.stream_time(), Arc::clone(&parameters)));
        shard.set_parameters(Some(parameters), shard.stream_time());
        for slot in shard.residents() {
            shard.catch_up(slot, position, words, said);
        }
    }
}

fn week_of(at: Instant) -> i64 {
    at.since(MONDAY).0.div_euclid(WEEK.0)
}

fn keep_latest<T>(kept: &mut VecDeque<T>, new: T, most: usize) {
    kept.push_back(new);
    if kept.len() > most {
        kept.pop_front();
    }
}
