//! The last stage: the input is replayed, and the partition starts to run.

use std::time::{Duration, Instant as Moment};

use crate::engine::Detail;
use crate::kafka::{Failure, Read, Round};
use crate::lane::error::LaneError;
use crate::lane::identity;
use crate::lane::input::ingest::Replayed;
use crate::lane::output::plan::Plan;
use crate::lane::restore::read_changelog::SILENT_MAX;
use crate::lane::restore::replay_stage::Replay;
use crate::lane::restore::stages::{Restore, RestoreTools, Stage, Step};
use crate::member::schema_waits::Obstacle;
use crate::metrics::WaitCause;

/// Records replayed at once: their customers' states are loaded together.
const REPLAY_RECORDS: usize = 10_000;

/// How long one request to a broker may take; the group is polled in between.
const ASK: Duration = Duration::from_secs(1);

impl Restore {
    pub(super) fn read_input(
        &mut self,
        mut stage: Box<Replay>,
        tools: &mut RestoreTools<'_>,
        until: Moment,
    ) -> Result<Step, LaneError> {
        let topic = &tools.context.topics.input;
        if let Some(Obstacle { cause, detail }) = stage.missing.and_then(|schema| Obstacle::to(schema, tools.schemas)) {
            let detail = format!("{detail}; it is needed to read again what was read before");
            return Ok(self.wait(Stage::Replay(stage), cause, detail, tools));
        }
        stage.missing = None;
        if let Some(cause) = self.start_reader(topic, stage.partition.next_offset, stage.to, tools)? {
            return Ok(self.wait_for_kafka(Stage::Replay(stage), cause, tools));
        }
        let (mut done, mut failed) = (false, None);
        while !done && failed.is_none() && Moment::now() < until {
            let Round { records, end } = tools.reader.poll_round(REPLAY_RECORDS);
            match end {
                Read::OutOfRange { offset, .. } => {
                    tracing::debug!(
                        partition = self.partition,
                        offset,
                        "Retention has deleted records that were to be read again."
                    );
                    let held = tools.watermarks.range(topic, self.partition, ASK);
                    let from = held.map_or(offset + 1, |held| held.start);
                    let line = identity::passed(&stage.partition.meta, from, self.partition, topic);
                    return Err(LaneError::Configuration(line));
                }
                Read::Failed(Failure::Retry(cause)) => failed = Some(cause),
                Read::Failed(failure) => return Err(failure.into()),
                Read::Done => done = true,
                Read::Record(_) | Read::Waiting { .. } | Read::Nothing => {}
            }
            if !records.is_empty() {
                self.last_received = Moment::now();
            }
            let taken = stage.replay_records(&records, tools.schemas, tools.context, tools.budget)?;
            self.records += records.len() as u64;
            tools.context.metrics.restore_records.inc_by(records.len() as u64);
            if let Replayed::SchemaMissing(schema) = taken {
                // It was requested just now, so it is not reported as a wait yet.
                stage.missing = Some(schema);
                self.hold.pause();
                return Ok(self.yield_reader(Stage::Replay(stage)));
            }
        }
        if done {
            return self.finish(*stage, tools);
        }
        if let Some(cause) = failed {
            return Ok(self.wait_for_kafka(Stage::Replay(stage), cause, tools));
        }
        if self.last_received.elapsed() > SILENT_MAX {
            let detail = format!("nothing comes of {topic}[{}], which is to be read again", self.partition);
            return Ok(self.wait(Stage::Replay(stage), WaitCause::Kafka, detail, tools));
        }
        let remaining = stage.to - stage.partition.next_offset;
        Ok(self.progress(Stage::Replay(stage), remaining, tools))
    }

    fn finish(&mut self, stage: Replay, tools: &RestoreTools<'_>) -> Result<Step, LaneError> {
        let Replay { mut partition, advanced, to, .. } = stage;
        self.hold.end(self.partition, tools.health);
        partition.next_offset = to;
        if let Some(advance) = partition.advance_between(advanced, to) {
            partition.advance(advance, Detail::None, tools.context, &mut Plan::default())?;
        }
        let (now, then) = (partition.stream_time(), partition.meta.stream_time);
        if now != then {
            // The local copy may be wrong. If it is not, the partition ends up waiting, and the others go on.
            let reason = format!(
                "reading {} again gave stream time {now} and not {then} as recorded: the log does not fit its state; if it \
                 stays so, stop all processes, and decide everything anew with `cohortd reset --rebuild --yes`",
                self.input_name(tools)
            );
            return self.wipe(partition.residents.into_database(), &reason, tools);
        }
        partition.restored(tools.context)?;
        tracing::info!(
            partition = self.partition,
            records = self.records,
            changes = partition.replayed.all,
            for_automation = partition.replayed.for_automation,
            seconds = self.started.elapsed().as_secs_f64(),
            offset = to,
            "Restored."
        );
        Ok(Step::Done(Box::new(partition)))
    }
}
