//! Where partitions begin and end, for a client that also sees what is not committed.

use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config;
use super::failure::{Cause, Failure, Kind};
use super::native::{self, ask};
use crate::settings::Kafka;

/// A read_uncommitted client that asks for offsets, and about the group, and reads nothing. One serves a whole process,
/// from any thread; each call is one round trip, and blocks.
///
/// A client that reads committed records is told the last *stable* offset as the end, which hides an open transaction:
/// a restore that stopped there could miss what the transaction's commit makes visible a moment later.
pub struct Watermarks {
    client: Bounded<BaseConsumer<Watch>>,
    brokers: Brokers,
}

impl Watermarks {
    /// Makes no connection.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, brokers: &Brokers) -> Result<Self, Failure> {
        let client = config::observer(settings)
            .create_with_context(Watch(brokers.clone()))
            .map_err(|error| Failure::Fatal(Cause::of(&error, "creating the client for offsets")))?;
        Ok(Self { client: Bounded::new(client), brokers: brokers.clone() })
    }

    /// From the first offset that is kept to the one the next record will get, open transactions included. Blocks for
    /// at most `timeout`.
    ///
    /// # Errors
    /// `Retry`, or `Fatal` if there is no such topic or partition, or it may not be read.
    pub fn range(&self, topic: &str, partition: i32, timeout: Duration) -> Result<Range<i64>, Failure> {
        let what = format!("asking for the end of {topic}[{partition}]");
        let (low, high) = self
            .client
            .fetch_watermarks(topic, partition, timeout)
            .map_err(|error| self.failed(Cause::of(&error, &what)))?;
        self.serve();
        self.brokers.answered();
        Ok(low..high)
    }

    /// The first offset whose record is not older than `millis` (since 1970), or the end. Blocks for at most `timeout`.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn at_time(&self, topic: &str, partition: i32, millis: i64, timeout: Duration) -> Result<i64, Failure> {
        let what = format!("asking {topic}[{partition}] for a time");
        let failed = |error| self.failed(Cause::of(&error, &what));
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(millis)).map_err(failed)?;
        let list = self.client.offsets_for_times(list, timeout).map_err(failed)?;
        for element in list.elements() {
            element.error().map_err(failed)?;
            if let Offset::Offset(offset) = element.offset() {
                return Ok(offset);
            }
        }
        Ok(self.range(topic, partition, timeout)?.end)
    }

    /// The ends of these partitions of a topic, open transactions included; those whose leader did not tell are left out.
    /// One request to each leader. Blocks for about `timeout` at most.
    ///
    /// # Errors
    /// `Retry` if nothing was told in time.
    pub fn ends(&self, topic: &str, partitions: &[i32], timeout: Duration) -> Result<Vec<(i32, i64)>, Failure> {
        let told = ask::ends(self.native(), topic, partitions, timeout).and_then(|told| match told.first() {
            // Not one of them: why, as far as it is known of the first.
            Some((_, Err(code))) if told.iter().all(|(_, end)| end.is_err()) => Err((*code, String::new())),
            _ => Ok(told.into_iter().filter_map(|(partition, end)| Some((partition, end.ok()?))).collect()),
        });
        self.served(told.map_err(|(code, text)| Cause::new(code, &format!("asking for the ends of {topic}"), &text)))
    }

    pub(super) fn native(&self) -> &native::Client<Watch> {
        self.client.client()
    }

    /// Takes what came of a call: its log lines, and whether a broker answered.
    pub(super) fn served<T>(&self, outcome: Result<T, Cause>) -> Result<T, Failure> {
        let told = outcome.map_err(|cause| self.failed(cause))?;
        self.serve();
        self.brokers.answered();
        Ok(told)
    }

    fn failed(&self, cause: Cause) -> Failure {
        self.serve();
        if matches!(cause.kind, Kind::Unreachable | Kind::TimedOut) {
            self.brokers.doubted(&cause.text);
        }
        cause.passing()
    }

    /// Takes log lines and errors that have piled up: nobody else polls this client.
    fn serve(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }
}
