//! The activity days of the customers of some files: no cohort is decided, but snapshots are taken on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::budget::Budget;
use super::event_buffer::EventBuffer;
use super::files::Files;
use super::input::{Counts, Input};
use super::other_inputs::OtherInputs;
use super::refits::Refitted;
use super::{sample, shard};
use crate::app::Failure;
use crate::churn::fit::Refused;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::engine::{Detail, Fit, LabeledSnapshot, Sample, Shard, Snapshot};
use crate::event::{Instant, Span};
use crate::rules::{ChurnModel, ChurnRule, Document, RuleSet, compile};
use crate::settings::Loaded;

/// A usage fit uses this many snapshots, a week apart, whose horizon has ended.
const WATCHED: i64 = 4;
const WEEK: Span = Span(7 * Span::DAY.0);

/// Files, read and waiting to be sorted.
pub(in crate::cli) struct ActivityScan {
    shard: Shard,
    held: EventBuffer,
    counts: Counts,
    /// The last event, or the requested end.
    pub(in crate::cli) until: Instant,
}

/// The snapshots to take on the way.
#[derive(Default)]
pub(in crate::cli) struct SnapshotTimes {
    at: BTreeSet<Instant>,
    /// From one instant to another.
    watched: BTreeSet<(Instant, Instant)>,
}

/// The snapshots.
pub(in crate::cli) struct Seen {
    /// With every event up to the end.
    pub(in crate::cli) shard: Shard,
    samples: BTreeMap<Instant, Sample>,
    watched: BTreeMap<(Instant, Instant), Vec<LabeledSnapshot>>,
}

/// Only the churn rules: no cohort is decided.
///
/// # Errors
/// None that the whole document does not have.
pub(in crate::cli) fn rules_of_churn(
    file: &str,
    document: &Document,
    churn: ChurnRule,
) -> Result<Arc<RuleSet>, Failure> {
    let wrong = |errors: Vec<crate::rules::RuleError>| {
        Failure::Configuration(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    };
    compile(file, "", &document.of_churn_alone(churn)).map(Arc::new).map_err(wrong)
}

impl ActivityScan {
    /// Reads all files as one log. Events later than `until` are left out.
    ///
    /// # Errors
    /// A file that cannot be read to its end; files without an event.
    pub(in crate::cli) fn read(
        settings: &Loaded,
        rules: &Arc<RuleSet>,
        files: &Files,
        until: Option<Instant>,
    ) -> Result<Self, Stopped> {
        let mut input = Input::new(files, until);
        let (mut held, mut last) = (EventBuffer::within(Budget::of(settings.settings.memory)), None);
        let reading = Progress::of_reading(input.bytes());
        input.read_all(&rules.vocabulary, &reading, |event| {
            last = last.max(Some(event.at));
            held.push(event)
        })?;
        let Some(last) = last else {
            let until = until.map(|until| format!(" up to {until}")).unwrap_or_default();
            return Err(Failure::Running(format!("the files hold no event{until}")).into());
        };
        let shard = shard(&settings.settings, rules);
        Ok(Self { shard, held, counts: input.counts(), until: until.unwrap_or(last) })
    }

    pub(in crate::cli) fn counts(&self) -> Counts {
        self.counts
    }

    /// Applies all events by time, and takes each snapshot before the first later event.
    ///
    /// # Errors
    /// None but those of reading what is held.
    pub(in crate::cli) fn run(self, snapshot_times: &SnapshotTimes) -> Result<Seen, Stopped> {
        let mut seen = Seen { shard: self.shard, samples: BTreeMap::new(), watched: BTreeMap::new() };
        let edges = snapshot_times.watched.iter().flat_map(|(from, until)| [*from, *until]);
        let instants: BTreeSet<Instant> = snapshot_times.at.iter().copied().chain(edges).collect();
        let mut ahead = instants.into_iter().peekable();
        let (mut position, mut effects) = (0, Vec::new());
        let progress = Progress::of_deciding(self.held.len());
        self.held.for_each_by_time(&progress, |event| {
            while let Some(at) = ahead.next_if(|at| *at < event.at) {
                seen.take_snapshot(at, snapshot_times);
            }
            if seen.shard.refuses(event.at).is_none() {
                let slot = seen.shard.find_or_new(event.customer);
                seen.shard.apply(slot, event, position, Detail::None, &mut effects);
                position += 1;
            }
            Ok(())
        })?;
        ahead.for_each(|at| seen.take_snapshot(at, snapshot_times));
        progress.finish();
        Ok(seen)
    }
}

impl ActivityScan {
    /// Applies all events by time, and trains on each Monday on the way, as `run` and `replay` do. All customers are as
    /// of the end, under the parameters then in force.
    ///
    /// # Errors
    /// None but those of reading what is held.
    pub(in crate::cli) fn train_on_mondays(self) -> Result<(Shard, Refitted), Stopped> {
        let Self { mut shard, held, until, .. } = self;
        let mut other_inputs = OtherInputs::new(&shard);
        let (mut position, mut effects) = (0, Vec::new());
        let progress = Progress::of_deciding(held.len());
        held.for_each_by_time(&progress, |event| {
            other_inputs.refresh(&mut shard, position, Detail::None, &mut effects);
            if shard.refuses(event.at).is_none() {
                let slot = shard.find_or_new(event.customer);
                shard.apply(slot, event, position, Detail::None, &mut effects);
            }
            position += 1;
            effects.clear();
            Ok(())
        })?;
        progress.finish();
        other_inputs.run_to(until, &mut shard, position, Detail::None, &mut effects);
        Ok((shard, other_inputs.refitted().cloned().unwrap_or_default()))
    }
}

impl SnapshotTimes {
    /// Adds the snapshots that a fit at an instant needs.
    pub(in crate::cli) fn and_fit(mut self, rules: &RuleSet, at: Instant) -> Self {
        self.at.insert(at);
        self.watched.extend(watched_for(rules, at));
        self
    }

    /// Adds the outcomes of all customers from one instant to another.
    pub(in crate::cli) fn and_watch(mut self, from: Instant, until: Instant) -> Self {
        self.watched.insert((from, until));
        self
    }
}

/// The snapshots with outcomes that a fit at an instant uses, the oldest first.
fn watched_for(rules: &RuleSet, at: Instant) -> Vec<(Instant, Instant)> {
    let churn = rules.churn.as_ref().filter(|churn| churn.model == ChurnModel::Usage);
    let ago = |horizon: Span, weeks: i64| {
        let until = at - Span(WEEK.0 * weeks);
        (until - horizon, until)
    };
    churn.map(|churn| (0..WATCHED).rev().map(|weeks| ago(churn.horizon, weeks)).collect()).unwrap_or_default()
}

impl Seen {
    fn take_snapshot(&mut self, at: Instant, snapshot_times: &SnapshotTimes) {
        let (calendar, now) = (self.shard.engine().rules().calendar(), sample(&self.shard, at));
        for (from, until) in snapshot_times.watched.iter().filter(|(_, until)| *until == at) {
            if let Some(before) = self.samples.get(from) {
                self.watched.insert((*from, *until), before.labeled(&now, until.since(*from), &calendar));
            }
        }
        self.samples.insert(at, now);
    }

    pub(in crate::cli) fn sample(&self, at: Instant) -> Option<&Sample> {
        self.samples.get(&at)
    }

    pub(in crate::cli) fn snapshots(&self, at: Instant) -> Vec<Snapshot> {
        let calendar = self.shard.engine().rules().calendar();
        self.sample(at).iter().flat_map(|sample| &sample.rows).map(|row| row.snapshot(&calendar)).collect()
    }

    pub(in crate::cli) fn watched(&self, from: Instant, until: Instant) -> &[LabeledSnapshot] {
        self.watched.get(&(from, until)).map_or(&[], Vec::as_slice)
    }

    /// Fits at an instant, to nothing later.
    ///
    /// # Errors
    /// There is nothing to fit to, or the model does not fit.
    pub(in crate::cli) fn fit(&self, at: Instant) -> Result<Fit, Refused> {
        let rules = self.shard.engine().rules();
        let Some(churn) = &rules.churn else { return Err(Refused::NothingSeen) };
        let now = self.snapshots(at);
        let watched: Vec<LabeledSnapshot> =
            watched_for(rules, at).into_iter().flat_map(|(from, until)| self.watched(from, until)).copied().collect();
        Fit::new(churn, &now, &watched, churn.horizon, None)
    }
}
