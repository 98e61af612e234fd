//! Reads one partition from an offset up to another, outside the group: a changelog to be restored, or input to be read
//! again.

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, Instant as Moment};

use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::assigned;
use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config::{self, Isolation};
use super::failure::{Cause, Failure};
use super::leaders;
use super::native::{self, Content, Queue, Unclosed};
use super::record::Record;
use crate::settings::Kafka;

/// A client that reads what it is given.
pub struct Reader {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
    brokers: Brokers,
    /// The partition being read, and the offset at which it ends.
    partition: i32,
    to: i64,
    done: Cell<bool>,
}

/// The result of a poll.
pub enum Read<'a> {
    /// Nothing within the timeout.
    Nothing,
    Record(Record<'a>),
    /// All records committed before `to` have been delivered, and nothing before it can still become visible.
    Done,
    /// All stable records were delivered, up to this offset, which is before `to`: a transaction is open there. It ends
    /// within the `transaction.timeout.ms` of its producer (plus the check interval of the broker, 10 s); if it does
    /// not, it hangs and needs an operator. Returned once for each such offset; keep polling.
    Waiting {
        at: i64,
    },
    /// The offset to start from, or the next one, does not exist in the partition.
    OutOfRange {
        offset: i64,
        reason: String,
    },
    /// `Retry`: keep polling. `Fatal`: stop.
    Failed(Failure),
}

/// Records that were polled together, and why there are no more of them.
pub struct Round<'a> {
    pub records: Vec<Record<'a>>,
    /// `Nothing`: as many were polled as asked for, or no more have arrived.
    pub end: Read<'a>,
}

/// How long the first record of a round is waited for.
const ROUND_WAIT: Duration = Duration::from_millis(20);

/// How long `Reader::holds` waits for the next record.
const SILENT_MAX: Duration = Duration::from_secs(5);

impl Reader {
    /// Of committed records. Does not connect. `fetch_bytes` as for
    /// [`Consumer::subscribe`](super::Consumer::subscribe).
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        Self::isolated(settings, Isolation::Committed, fetch_bytes, brokers)
    }

    /// The same, of these records.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn isolated(
        settings: &Kafka,
        isolation: Isolation,
        fetch_bytes: usize,
        brokers: &Brokers,
    ) -> Result<Self, Failure> {
        let config = config::reader(settings, isolation, fetch_bytes);
        let (queue, client) = assigned::create(&config, "creating the reader", brokers)?;
        Ok(Self { queue, client, brokers: brokers.clone(), partition: -1, to: 0, done: Cell::new(true) })
    }

    /// Reads only `[from, to)` of a partition from now on.
    ///
    /// For a restore, `to` is the end offset from [`Watermarks`](super::Watermarks), requested *after* the committed
    /// offsets were read: then everything that a predecessor could commit is before it.
    ///
    /// # Errors
    /// `Retry`.
    pub fn start(&mut self, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), Failure> {
        let failed = |error| Failure::Retry(Cause::of(&error, &format!("starting to read {topic}[{partition}]")));
        self.partition = partition;
        self.to = to;
        self.done.set(from >= to);
        let mut list = TopicPartitionList::with_capacity(1);
        if from < to {
            list.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(failed)?;
        }
        self.client.assign(&list).map_err(failed)
    }

    /// The next event, waiting at most `timeout` for it. `Done` is returned again by every later call.
    pub fn poll(&self, timeout: Duration) -> Read<'_> {
        if self.done.get() {
            return Read::Done;
        }
        let mut wait = timeout;
        while let Some(event) = self.queue.poll(wait) {
            wait = Duration::ZERO;
            match event.content() {
                Content::Record(fetched) => {
                    let record = Record::new(fetched.partition(), fetched);
                    self.brokers.answered();
                    if record.offset() >= self.to {
                        self.done.set(true);
                        return Read::Done;
                    }
                    return Read::Record(record);
                }
                Content::Error(error) if error.fatal => {
                    let (code, text) = self.client.client().fatal_error().unwrap_or((error.code, error.text));
                    return Read::Failed(Failure::Fatal(Cause::new(code, "reading", &text)));
                }
                Content::Error(native::Error { code, place: Some((partition, _)), .. })
                    if partition != self.partition && matches!(code, Code::PartitionEOF | Code::AutoOffsetReset) => {}
                Content::Error(native::Error { code: Code::PartitionEOF, place: Some((_, at)), .. }) => {
                    self.brokers.answered();
                    if at >= self.to {
                        self.done.set(true);
                        return Read::Done;
                    }
                    return Read::Waiting { at };
                }
                Content::Error(native::Error {
                    code: Code::AutoOffsetReset, place: Some((_, offset)), text, ..
                }) => {
                    return Read::OutOfRange { offset, reason: text };
                }
                // librdkafka skips what it cannot read: a gap in the state, if the caller continued as well.
                Content::Error(error) if matches!(error.code, Code::BadMessage | Code::BadCompression) => {
                    let cause = Cause::new(error.code, "reading a damaged record", &error.text);
                    return Read::Failed(Failure::Fatal(cause));
                }
                Content::Error(error) if !self.brokers.failed(error.code, &error.text) => {
                    return Read::Failed(Failure::Retry(Cause::new(error.code, "reading", &error.text)));
                }
                Content::Log { level, facility, line } => self.brokers.log(level, &facility, &line),
                Content::Error(_) | Content::Rebalance { .. } | Content::Statistics(_) | Content::Other => {}
            }
        }
        Read::Nothing
    }

    /// Polls up to `max` records that are processed together.
    pub fn poll_round(&self, max: usize) -> Round<'_> {
        let mut records = Vec::new();
        while records.len() < max {
            let wait = if records.is_empty() { ROUND_WAIT } else { Duration::ZERO };
            match self.poll(wait) {
                Read::Record(record) => records.push(record),
                end => return Round { records, end },
            }
        }
        Round { records, end: Read::Nothing }
    }

    /// Is there a record in these offsets of a partition for which `is` says so? Reads them to their end, or to
    /// such a record. `between` is called between polls.
    ///
    /// # Errors
    /// `Retry` if nothing came for five seconds: a transaction is open there, no broker answers, or the partition ends
    /// before the range does. Ask for its end again, too.
    pub fn holds(
        &mut self,
        topic: &str,
        partition: i32,
        offsets: Range<i64>,
        is: impl Fn(&Record<'_>) -> bool,
        between: &dyn Fn(),
    ) -> Result<bool, Failure> {
        self.start(topic, partition, offsets.start, offsets.end)?;
        let mut heard = Moment::now();
        loop {
            between();
            match self.poll(ROUND_WAIT) {
                Read::Record(record) if is(&record) => return Ok(true),
                Read::Record(_) => heard = Moment::now(),
                Read::Done => return Ok(false),
                Read::Failed(Failure::Fatal(cause)) => return Err(Failure::Fatal(cause)),
                Read::Nothing | Read::Waiting { .. } | Read::OutOfRange { .. } | Read::Failed(_) => {}
            }
            if heard.elapsed() > SILENT_MAX {
                let what = format!("reading {topic}[{partition}] up to {}", offsets.end);
                return Err(Failure::Retry(Cause::new(Code::OperationTimedOut, &what, "nothing comes")));
            }
        }
    }

    /// The last stable offset of a partition: everything before it is committed or aborted. Blocks for at most
    /// `timeout`, twice that if it fails; the current read is not disturbed.
    ///
    /// # Errors
    /// `Retry`, or `Fatal` if there is no such partition, or it may not be read.
    pub fn stable_end(&self, topic: &str, partition: i32, timeout: Duration) -> Result<i64, Failure> {
        let what = format!("asking for the stable end of {topic}[{partition}]");
        let (_, end) = self.client.fetch_watermarks(topic, partition, timeout).map_err(|error| {
            let cause = Cause::of(&error, &what);
            leaders::look_again(&self.client, topic, &[partition], cause, timeout).passing()
        })?;
        self.brokers.answered();
        Ok(end)
    }

    /// Closes it on another thread without waiting.
    pub fn discard(self) {
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(Duration::ZERO);
    }

    /// Closes it on another thread, waiting at most `limit`; false if it is still closing then.
    #[must_use]
    pub fn close(self, limit: Duration) -> bool {
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(limit)
    }
}
