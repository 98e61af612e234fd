//! From a database that holds the whole changelog to a partition that replays its input.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::wall_clock;
use crate::engine::{Engine, Observed, Shard};
use crate::event::Instant;
use crate::kafka::{Committed, Failure, Isolation};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::identity;
use crate::lane::output::offset_mark::OffsetMark;
use crate::lane::partition::state::Partition;
use crate::lane::restore::changelog_stage::Changelog;
use crate::lane::restore::replay_stage::Replay;
use crate::lane::restore::stages::{Restore, RestoreTools, Stage, Step};
use crate::lane::versions::rulebook::Version;
use crate::metrics::WaitCause;
use crate::settings;
use crate::store::{Database, LastSurveys, Log, Meta};

/// How long one request to a broker may take; the group is polled in between.
const ASK: Duration = Duration::from_secs(1);

/// How long an input may end before the state does until this is taken for real.
const SHORT_FOR: Duration = Duration::from_secs(15);

/// Records at the end of a changelog among which those of a transaction that was aborted are looked for: more than a few
/// of the largest transactions have.
const ABORTED_WITHIN: i64 = 300_000;

/// How long to wait for a version of the rules that another process has applied.
const RULES_WITHIN: Duration = Duration::from_secs(60);

impl Restore {
    pub(super) fn begin_replay(
        &mut self,
        stage: Box<Changelog>,
        tools: &mut RestoreTools<'_>,
    ) -> Result<Step, LaneError> {
        let context = tools.context;
        let mark = OffsetMark::read(&stage.committed.metadata);
        self.was_stopped = mark.is_some_and(|mark| mark.stopped);
        let (meta, rules) = match (&stage.meta, stage.committed.offset) {
            (Some(meta), _) => {
                let held = tools.watermarks.range(&context.topics.input, self.partition, self.hold.ask());
                let held = match held.map_err(Failure::at_work) {
                    Ok(held) => held,
                    Err(Failure::Retry(cause)) => {
                        return Ok(self.wait_for_kafka(Stage::Changelog(stage), cause, tools));
                    }
                    Err(failure) => return Err(failure.into()),
                };
                // A new leader may be behind for a moment; a recreated topic is noticed soon after.
                if held.end < meta.next_offset && self.hold.lasts(WaitCause::Kafka) < SHORT_FOR {
                    let detail = format!(
                        "{} ends at {} and was read up to {}",
                        self.input_name(tools),
                        held.end,
                        meta.next_offset
                    );
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Kafka, detail, tools));
                }
                let committed = match self.without_aborted(meta, &stage.committed, tools) {
                    Ok(committed) => committed,
                    Err(Failure::Retry(cause)) => {
                        return Ok(self.wait_for_kafka(Stage::Changelog(stage), cause, tools));
                    }
                    Err(failure) => return Err(failure.into()),
                };
                identity::check(meta, &committed, &held, &context.log()).map_err(LaneError::Configuration)?;
                let Some(rules) = self.rules_of(meta, context)? else {
                    let detail =
                        format!("the newest version of the rules has not come from {} yet", context.topics.rules);
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Rules, detail, tools));
                };
                (meta.clone(), rules)
            }
            (None, Some(_)) if !identity::begins_anew(&stage.committed) => {
                let line = identity::stateless(&stage.committed, &context.log());
                return Err(LaneError::Configuration(line));
            }
            (None, _) => match self.first_offset(tools).map_err(Failure::at_work) {
                Ok(offset) => {
                    let rules = newest_rules(context)?;
                    (empty_meta(offset, observed_from(tools.start), &rules, context), rules)
                }
                Err(Failure::Retry(cause)) => return Ok(self.wait_for_kafka(Stage::Changelog(stage), cause, tools)),
                Err(failure) => return Err(failure.into()),
            },
        };
        self.replay(stage.database, meta, rules, tools)
    }

    /// Replays the input from where META says, under the rules that decided it.
    fn replay(
        &mut self,
        database: Database,
        meta: Meta,
        rules: Arc<Version>,
        tools: &RestoreTools<'_>,
    ) -> Result<Step, LaneError> {
        let context = tools.context;
        let recorded = database.recorded()?;
        let engine = Engine::new(Arc::clone(&rules.rules), meta.timing.max_lateness, meta.ids_max as usize)
            .observing(meta.observed.clone());
        let shard = Shard::new(engine, meta.timing, meta.replay_stream_time).shifted(meta.log.shift);
        let names = rules.rules.cohorts.iter().map(|cohort| cohort.name.as_str());
        let metrics = context.metrics.partition(&context.topics.input, self.partition, names);
        let (from, to) = (meta.replay_from, meta.next_offset);
        let partition = Partition::new(self.partition, Arc::clone(&rules), shard, database, meta, recorded, metrics)?;
        self.has_reader = false;
        Ok(self.progress(
            Stage::Replay(Box::new(Replay { partition, advanced: from, to, missing: None })),
            to - from,
            tools,
        ))
    }

    /// The committed offset; none, as if it had expired, where it is of a transaction that brokers aborted: it is seen where
    /// a broker was killed meanwhile. If META of that transaction is not there at all, the changelog has lost it.
    fn without_aborted(
        &self,
        meta: &Meta,
        committed: &Committed,
        tools: &RestoreTools<'_>,
    ) -> Result<Committed, Failure> {
        let report_alive = || tools.health.report_alive();
        if let Some(sequence) = identity::ahead(meta, committed) {
            let from = |end: i64| end - ABORTED_WITHIN;
            let found = tools.changelog.has_meta(Isolation::All, self.partition, from, sequence, &report_alive);
            if found.map_err(Failure::at_work)? {
                tracing::warn!(
                    partition = self.partition,
                    committed = committed.offset,
                    state = meta.next_offset,
                    "The brokers kept the offset of a transaction whose records they aborted; it is decided again."
                );
                return Ok(Committed { offset: None, ..committed.clone() });
            }
        }
        Ok(committed.clone())
    }

    /// The rules that decided the state. `None`: another process has applied a version that this one has not read yet.
    fn rules_of(&self, meta: &Meta, context: &Context) -> Result<Option<Arc<Version>>, LaneError> {
        let needed = meta.migration.as_ref().map_or(meta.rules_version, |migration| migration.version);
        if needed > context.rulebook.newest() {
            if context.rulebook.is_behind() || self.hold.lasts(WaitCause::Rules) < RULES_WITHIN {
                return Ok(None);
            }
            return Err(LaneError::Configuration(format!(
                "partition {} is decided by version {needed} of the rules, and {} ends with {}; restore that topic, or stop \
                 all processes and decide everything anew by the newest rules with `cohortd reset --rebuild --yes`",
                self.partition,
                context.topics.rules,
                context.rulebook.newest()
            )));
        }
        match context.rulebook.for_state(meta.rules_version, &meta.rules)? {
            Some(rules) => Ok(Some(rules)),
            None => Err(LaneError::Configuration(format!(
                "the rules file is not the one that this state was decided by, and {} does not hold that one either; go on \
                 with the old file, by one start with --accept-rules, or stop all processes and decide everything anew by the \
                 newest rules with `cohortd reset --rebuild --yes` (fingerprint then {})",
                context.topics.rules, meta.rules
            ))),
        }
    }

    /// Where reading begins in a new partition.
    fn first_offset(&self, tools: &RestoreTools<'_>) -> Result<i64, Failure> {
        let topic = &tools.context.topics.input;
        match tools.start {
            settings::Start::Earliest => tools.watermarks.range(topic, self.partition, ASK).map(|range| range.start),
            settings::Start::Latest => tools.watermarks.range(topic, self.partition, ASK).map(|range| range.end),
            settings::Start::At(at) => tools.watermarks.at_time(topic, self.partition, at.0, ASK),
        }
    }
}

/// From when the log was observed: one that is not read from its beginning says nothing of what came before.
fn observed_from(start: settings::Start) -> Instant {
    match start {
        settings::Start::Earliest => Instant::MIN,
        settings::Start::Latest => wall_clock(),
        settings::Start::At(at) => at,
    }
}

/// Since when each fact is observed in a log that was observed from an instant.
fn observed_by(version: &Version, from: Instant) -> Observed {
    let mut observed = Observed { from, ..Observed::ALWAYS };
    for (fact, at) in version.rules.joined_facts(&version.joined) {
        observed.begins(version.rules.facts[usize::from(fact.0)].id, at);
    }
    observed
}

/// META of a partition of which nothing was read.
fn empty_meta(offset: i64, observed_from: Instant, rules: &Version, context: &Context) -> Meta {
    Meta {
        cluster_id: context.cluster_id.clone(),
        input: context.topics.input.clone(),
        partitions: context.partitions,
        rules: rules.rules.fingerprint.clone(),
        rules_version: rules.number,
        migration: None,
        began: offset,
        observed: observed_by(rules, observed_from),
        timing: context.timing,
        ids_max: context.ids_max,
        sequence: 0,
        next_offset: offset,
        replay_from: offset,
        replay_stream_time: Instant::MIN,
        stream_time: Instant::MIN,
        live: false,
        caught_up: false,
        written_at: wall_clock(),
        members: vec![0; rules.rules.cohorts.len()],
        thresholds: Vec::new(),
        applying_thresholds: None,
        customers: 0,
        surges: Vec::new(),
        model: None,
        last_surveys: LastSurveys::NEVER,
        log: Log { topic_id: context.input_id.clone(), ..Log::default() },
        overdue: None,
    }
}

fn newest_rules(context: &Context) -> Result<Arc<Version>, LaneError> {
    let found = context.rulebook.get(context.rulebook.newest())?;
    found.ok_or_else(|| LaneError::Stopped("there are no rules".to_owned()))
}
