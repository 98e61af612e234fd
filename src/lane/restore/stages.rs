//! Restoring a partition, in stages: wait at the barrier for open transactions, read the tail of the changelog into the
//! database, then replay the input from the oldest unflushed change.

use std::path::PathBuf;
use std::time::{Duration, Instant as Moment};

use crate::codec::Schemas;
use crate::kafka::{Cause, Consumer, Failure, Reader, Watermarks};
use crate::lane::changelog_reader::ChangelogReader;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::partition::state::Partition;
use crate::lane::restore::changelog_stage::Changelog;
use crate::lane::restore::replay_stage::Replay;
use crate::lane::restore::wait::Hold;
use crate::metrics::{LaneHealth, RestoreMetrics, WaitCause};
use crate::settings;
use crate::store::{Database, SharedMemory};

/// Between two log lines about the progress of a restore.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// A partition being restored. A lane works on one at a time, in steps with polls in between; one that waits lets the
/// others go first.
pub(in crate::lane) struct Restore {
    pub(in crate::lane) partition: i32,
    /// The last owner marked the partition as stopped.
    pub(super) was_stopped: bool,
    pub(super) path: PathBuf,
    pub(super) stage: Stage,
    pub(super) started: Moment,
    pub(super) wipes: u32,
    pub(super) records: u64,
    pub(super) metrics: RestoreMetrics,
    pub(super) last_logged: Moment,
    /// What it waits for.
    pub(super) hold: Hold,
    /// The lane's reader reads for this restore.
    pub(super) has_reader: bool,
    /// When it last received a record.
    pub(super) last_received: Moment,
}

pub(super) enum Stage {
    /// Waiting until no transaction with offsets of this partition is open.
    Barrier,
    Changelog(Box<Changelog>),
    Replay(Box<Replay>),
}

/// The outcome of a step.
pub(super) enum Step {
    /// Call again.
    Going,
    /// It waits: call again once it is due.
    Waiting,
    Done(Box<Partition>),
}

/// What a restore needs of the lane.
pub(super) struct RestoreTools<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) watermarks: &'a Watermarks,
    pub(super) reader: &'a mut Reader,
    pub(super) schemas: &'a mut Schemas,
    pub(super) changelog: ChangelogReader<'a>,
    pub(super) memory: &'a SharedMemory,
    pub(super) context: &'a Context,
    pub(super) start: settings::Start,
    /// Bytes of decoded customers that the partition may keep in memory.
    pub(super) budget: usize,
    pub(super) health: LaneHealth<'a>,
    /// The time-out of this group's transactions, after which a broker aborts them.
    pub(super) transaction_timeout: Duration,
}

impl Restore {
    pub(super) fn new(partition: i32, path: PathBuf, metrics: RestoreMetrics) -> Self {
        Self {
            metrics,
            partition,
            was_stopped: false,
            path,
            stage: Stage::Barrier,
            started: Moment::now(),
            wipes: 0,
            records: 0,
            last_logged: Moment::now(),
            hold: Hold::default(),
            has_reader: false,
            last_received: Moment::now(),
        }
    }

    /// Is a step due? Not while it waits.
    pub(in crate::lane) fn is_due(&self) -> bool {
        self.hold.is_over()
    }

    /// Works for about `budget`.
    pub(super) fn step(&mut self, tools: &mut RestoreTools<'_>, budget: Duration) -> Result<Step, LaneError> {
        let until = Moment::now() + budget;
        let stage = std::mem::replace(&mut self.stage, Stage::Barrier);
        match stage {
            Stage::Barrier => self.barrier(tools),
            Stage::Changelog(changelog) => self.read_changelog(changelog, tools, until),
            Stage::Replay(replay) => self.read_input(replay, tools, until),
        }
    }

    /// The database, once it is open.
    pub(in crate::lane) fn database(&self) -> Option<&Database> {
        match &self.stage {
            Stage::Barrier => None,
            Stage::Changelog(changelog) => Some(&changelog.database),
            Stage::Replay(replay) => Some(replay.partition.residents.database()),
        }
    }

    /// Goes on with `stage` after progress was made.
    pub(super) fn progress(&mut self, stage: Stage, remaining: i64, tools: &RestoreTools<'_>) -> Step {
        self.stage = stage;
        self.hold.end(self.partition, tools.health);
        self.metrics.set_remaining(remaining);
        if self.last_logged.elapsed() >= LOG_EVERY {
            self.last_logged = Moment::now();
            tracing::info!(partition = self.partition, remaining, done = self.records, "Restoring.");
        }
        Step::Going
    }

    /// Waits for `cause`, then goes on with `stage`.
    pub(super) fn wait(&mut self, stage: Stage, cause: WaitCause, detail: String, tools: &RestoreTools<'_>) -> Step {
        self.hold.wait(cause, self.partition, detail, tools.health);
        self.yield_reader(stage)
    }

    /// Waits without a reported cause, and leaves the lane's reader to others.
    pub(super) fn yield_reader(&mut self, stage: Stage) -> Step {
        (self.stage, self.has_reader) = (stage, false);
        Step::Waiting
    }

    /// Waits after a request to a broker failed, then goes on with `stage`.
    pub(super) fn wait_for_kafka(&mut self, stage: Stage, cause: Cause, tools: &RestoreTools<'_>) -> Step {
        self.wait(stage, WaitCause::Kafka, cause.text, tools)
    }

    /// Lets other restores go first for a moment.
    pub(super) fn pause(&mut self, stage: Stage) -> Step {
        self.hold.pause();
        self.yield_reader(stage)
    }

    /// Starts the lane's reader on `topic` from `from` to `to`, unless it reads already. `Some`: it cannot start now.
    pub(super) fn start_reader(
        &mut self,
        topic: &str,
        from: i64,
        to: i64,
        tools: &mut RestoreTools<'_>,
    ) -> Result<Option<Cause>, LaneError> {
        if self.has_reader {
            return Ok(None);
        }
        match tools.reader.start(topic, self.partition, from, to) {
            Ok(()) => {
                (self.has_reader, self.last_received) = (true, Moment::now());
                Ok(None)
            }
            Err(Failure::Retry(cause)) => Ok(Some(cause)),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) fn input_name(&self, tools: &RestoreTools<'_>) -> String {
        format!("{}[{}]", tools.context.topics.input, self.partition)
    }
}
