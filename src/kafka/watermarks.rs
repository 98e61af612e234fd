//! Start and end offsets of partitions, including uncommitted records; and offsets and members of groups.

use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config;
use super::consumer::Committed;
use super::failure::{Cause, Failure, Kind};
use super::group_description::GroupView;
use super::leaders;
use super::native::{self, ask};
use crate::settings::Kafka;

/// A read_uncommitted client that requests offsets and describes groups, and reads no records. One serves a whole
/// process, from any thread; each call is one round trip, and blocks.
///
/// For a read_committed client the end is the last *stable* offset, which hides an open transaction: a restore that
/// stopped there could miss what the commit makes visible a moment later.
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

    /// The range from the first offset kept to the next one to be written, open transactions included. Blocks for at
    /// most `timeout`, twice that if it fails.
    ///
    /// # Errors
    /// `Retry`, or `Fatal` if there is no such topic or partition, or it may not be read.
    pub fn range(&self, topic: &str, partition: i32, timeout: Duration) -> Result<Range<i64>, Failure> {
        let what = format!("asking for the end of {topic}[{partition}]");
        let failed = |error| self.failed_at(topic, &[partition], Cause::of(&error, &what), timeout);
        let (low, high) = self.client.fetch_watermarks(topic, partition, timeout).map_err(failed)?;
        self.serve();
        self.brokers.answered();
        Ok(low..high)
    }

    /// The first offset whose record is not older than `millis` (since 1970), or the end. Blocks as
    /// [`range`](Self::range).
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn at_time(&self, topic: &str, partition: i32, millis: i64, timeout: Duration) -> Result<i64, Failure> {
        let what = format!("asking {topic}[{partition}] for a time");
        let failed = |error| self.failed_at(topic, &[partition], Cause::of(&error, &what), timeout);
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

    /// The end offsets of these partitions of a topic, open transactions included; those whose leader did not answer
    /// are missing. One request to each leader. Blocks for about `timeout`, twice that if a leader is not known.
    ///
    /// # Errors
    /// `Retry` if nothing was told in time.
    pub fn end_offsets(&self, topic: &str, partitions: &[i32], timeout: Duration) -> Result<Vec<(i32, i64)>, Failure> {
        let cause = |code, text: &str| Cause::new(code, &format!("asking for the ends of {topic}"), text);
        let answer = ask::end_offsets(self.native(), topic, partitions, timeout)
            .map_err(|(code, text)| self.failed_at(topic, partitions, cause(code, &text), timeout))?;
        let missing = answer.iter().find_map(|(_, end)| end.err());
        let failure = missing.map(|code| self.failed_at(topic, partitions, cause(code, ""), timeout));
        let end_offsets: Vec<(i32, i64)> =
            answer.into_iter().filter_map(|(partition, end)| Some((partition, end.ok()?))).collect();
        match failure {
            Some(failure) if end_offsets.is_empty() => Err(failure),
            _ => self.served(Ok(end_offsets)),
        }
    }

    /// Describes a group, with what its members were assigned of `topic`. Blocks for about `timeout` at most.
    ///
    /// # Errors
    /// `Retry` while the coordinator does not answer, or does not know how to.
    pub fn group(&self, group: &str, topic: &str, timeout: Duration) -> Result<GroupView, Failure> {
        let described = ask::group(self.native(), group, topic, timeout);
        self.served(described.map_err(|(code, text)| Cause::new(code, &format!("describing group {group}"), &text)))
    }

    /// What a group has committed in partitions of `topic`. Blocks for about `timeout` at most.
    ///
    /// # Errors
    /// `Retry` while the coordinator does not answer.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: &[i32],
        timeout: Duration,
    ) -> Result<Vec<Committed>, Failure> {
        let answer = ask::committed(self.native(), group, topic, partitions, timeout);
        self.served(
            answer.map_err(|(code, text)| Cause::new(code, &format!("reading offsets of group {group}"), &text)),
        )
    }

    fn native(&self) -> &native::Client<Watch> {
        self.client.client()
    }

    /// Handles the outcome of a call: its log lines, and whether a broker answered.
    fn served<T>(&self, outcome: Result<T, Cause>) -> Result<T, Failure> {
        let answer = outcome.map_err(|cause| self.failed(cause))?;
        self.serve();
        self.brokers.answered();
        Ok(answer)
    }

    /// As `failed`, for a request to the leaders of these partitions, which are looked up again for the next one.
    fn failed_at(&self, topic: &str, partitions: &[i32], cause: Cause, timeout: Duration) -> Failure {
        self.failed(leaders::look_again(&self.client, topic, partitions, cause, timeout))
    }

    fn failed(&self, cause: Cause) -> Failure {
        self.serve();
        if matches!(cause.kind, Kind::Unreachable | Kind::TimedOut) {
            self.brokers.no_answer(&cause.text);
        }
        cause.passing()
    }

    /// Handles queued log lines and errors: nothing else polls this client.
    fn serve(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }
}
