//! The second stage: reading the tail of the changelog into the database.

use std::time::{Duration, Instant as Moment};

use crate::kafka::{Failure, Read};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::restore::changelog_stage::{BUFFER_BYTES, Changelog};
use crate::lane::restore::stages::{Restore, RestoreTools, Stage, Step};
use crate::metrics::WaitCause;
use crate::store::Corrupt;

/// Bytes of memtables that a restored database may keep.
const FLUSH_ABOVE: u64 = 256 << 10;

/// A restore that has received nothing for this long lets the others go first.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(2);

impl Restore {
    /// Reads the changelog until `until`, or to its end.
    pub(super) fn read_changelog(
        &mut self,
        mut stage: Box<Changelog>,
        tools: &mut RestoreTools<'_>,
        until: Moment,
    ) -> Result<Step, LaneError> {
        let topic = &tools.context.topics.changelog;
        if let Some(at) = stage.blocked_at {
            if self.is_open(at, tools)? {
                return Ok(self.blocked(stage, at, tools));
            }
            stage.blocked_at = None;
        }
        if let Some(cause) = self.start_reader(topic, stage.next, stage.end, tools)? {
            return Ok(self.wait_for_kafka(Stage::Changelog(stage), cause, tools));
        }
        let done = loop {
            if Moment::now() >= until {
                break false;
            }
            match tools.reader.poll(Duration::from_millis(20)) {
                Read::Record(record) => {
                    self.last_received = Moment::now();
                    let key = record.key().unwrap_or_default();
                    let at = |error| unreadable(error, record.offset(), self.partition, tools.context);
                    stage.add(key, record.payload()).map_err(at)?;
                    stage.next = record.offset() + 1;
                    self.records += 1;
                    tools.context.metrics.restore_records.inc();
                    if stage.bytes >= BUFFER_BYTES {
                        stage.write()?;
                    }
                }
                Read::Done => break true,
                Read::Waiting { at } => {
                    // The wait may be long: the buffered customers are written first.
                    stage.write()?;
                    return Ok(self.blocked(stage, at, tools));
                }
                Read::OutOfRange { reason, .. } => {
                    let Changelog { database, .. } = *stage;
                    return self.wipe(database, &reason, tools);
                }
                Read::Failed(Failure::Retry(cause)) => {
                    stage.write()?;
                    return Ok(self.wait_for_kafka(Stage::Changelog(stage), cause, tools));
                }
                Read::Nothing if self.last_received.elapsed() > SILENT_MAX => {
                    stage.write()?;
                    let detail = format!("nothing comes of {topic}[{}], which is to be restored from", self.partition);
                    return Ok(self.wait(Stage::Changelog(stage), WaitCause::Kafka, detail, tools));
                }
                Read::Nothing => {}
                Read::Failed(failure) => return Err(failure.into()),
            }
        };
        if done {
            return self.end_changelog(stage, tools);
        }
        let remaining = stage.end - stage.next;
        Ok(self.progress(Stage::Changelog(stage), remaining, tools))
    }

    /// Is the transaction at an offset still open? Also while no broker answers.
    fn is_open(&self, at: i64, tools: &RestoreTools<'_>) -> Result<bool, LaneError> {
        let topic = &tools.context.topics.changelog;
        match tools.reader.stable_end(topic, self.partition, self.hold.ask()).map_err(Failure::at_work) {
            Ok(stable) => Ok(stable <= at),
            Err(Failure::Retry(_)) => Ok(true),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The changelog is read to its end: everything is written, and the replay can begin.
    fn end_changelog(&mut self, mut stage: Box<Changelog>, tools: &mut RestoreTools<'_>) -> Result<Step, LaneError> {
        stage.next = stage.end;
        stage.write()?;
        if stage.database.memtable_bytes() > FLUSH_ABOVE {
            // A quiet partition would keep them until its next write.
            stage.database.request_flush()?;
        }
        // Read from the database, together with its parts.
        stage.meta = stage.database.meta()?;
        self.begin_replay(stage, tools)
    }

    /// Waits for a transaction of another process that is open in the changelog before the end.
    fn blocked(&mut self, mut stage: Box<Changelog>, at: i64, tools: &RestoreTools<'_>) -> Step {
        stage.blocked_at = Some(at);
        let (topic, partition) = (&tools.context.topics.changelog, self.partition);
        let what = format!("a transaction of another process is open in {topic}[{partition}] at offset {at}");
        let remedy = format!(
            "look at it with kafka-transactions.sh find-hanging --topic {topic} --partition {partition}, and end it with \
             kafka-transactions.sh abort --topic {topic} --partition {partition} --start-offset {at}"
        );
        self.hold.wait_for_transaction(tools.transaction_timeout, partition, (&what, &remedy), tools.health);
        self.yield_reader(Stage::Changelog(stage))
    }
}

/// A record of the changelog cannot be decoded: discarding the local copy would not help.
fn unreadable(error: Corrupt, offset: i64, partition: i32, context: &Context) -> LaneError {
    let topic = &context.topics.changelog;
    LaneError::Later {
        cause: WaitCause::Damage,
        reason: format!(
            "{topic}[{partition}] cannot be read at offset {offset} ({error}); if no newer release wrote it, restore that topic"
        ),
    }
}
