//! Reads several partitions of one topic and follows new records: outside the group, committed records only.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::assigned;
use super::brokers::Brokers;
use super::client::{Bounded, Watch};
use super::config;
use super::failure::{Cause, Failure};
use super::native::{self, Content, Queue, Unclosed};
use super::record::Record;
use crate::settings::Kafka;

/// A client that follows the partitions that it is given.
pub struct Follower {
    queue: Queue,
    client: Bounded<Unclosed<Watch>>,
    brokers: Brokers,
}

/// The result of a poll.
pub enum FollowerEvent<'a> {
    /// Nothing within the timeout.
    Nothing,
    Record(Record<'a>),
    /// All records committed in this partition so far were delivered: those before this offset.
    End {
        partition: i32,
        offset: i64,
    },
    /// The next offset does not exist in the partition.
    OutOfRange {
        partition: i32,
        reason: String,
    },
    /// `Retry`: keep polling. `Fatal`: this client cannot be used any more.
    Failed(Failure),
}

impl Follower {
    /// Does not connect. `fetch_bytes` as for [`Consumer::subscribe`](super::Consumer::subscribe).
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, fetch_bytes: usize, brokers: &Brokers) -> Result<Self, Failure> {
        let (queue, client) =
            assigned::create(&config::follower(settings, fetch_bytes), "creating the follower", brokers)?;
        Ok(Self { queue, client, brokers: brokers.clone() })
    }

    /// Follows only these partitions from now on; each from an offset, or from the first one kept.
    ///
    /// # Errors
    /// `Retry`.
    pub fn follow(&mut self, topic: &str, places: &[(i32, Option<i64>)]) -> Result<(), Failure> {
        let failed = |error| Failure::Retry(Cause::of(&error, &format!("starting to follow {topic}")));
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (partition, from) in places {
            let from = from.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, *partition, from).map_err(failed)?;
        }
        self.client.assign(&list).map_err(failed)
    }

    /// The next event, waiting at most `timeout` for it.
    pub fn poll(&self, timeout: Duration) -> FollowerEvent<'_> {
        let mut wait = timeout;
        while let Some(event) = self.queue.poll(wait) {
            wait = Duration::ZERO;
            match event.content() {
                Content::Record(fetched) => {
                    let record = Record::new(fetched.partition(), fetched);
                    self.brokers.answered();
                    return FollowerEvent::Record(record);
                }
                Content::Error(error) if error.fatal => {
                    let (code, text) = self.client.client().fatal_error().unwrap_or((error.code, error.text));
                    return FollowerEvent::Failed(Failure::Fatal(Cause::new(code, "following", &text)));
                }
                Content::Error(native::Error {
                    code: Code::PartitionEOF, place: Some((partition, offset)), ..
                }) => {
                    self.brokers.answered();
                    return FollowerEvent::End { partition, offset };
                }
                Content::Error(native::Error {
                    code: Code::AutoOffsetReset,
                    place: Some((partition, _)),
                    text,
                    ..
                }) => return FollowerEvent::OutOfRange { partition, reason: text },
                Content::Error(error) if !self.brokers.failed(error.code, &error.text) => {
                    return FollowerEvent::Failed(Cause::new(error.code, "following", &error.text).passing());
                }
                Content::Log { level, facility, line } => self.brokers.log(level, &facility, &line),
                Content::Error(_) | Content::Rebalance { .. } | Content::Statistics(_) | Content::Other => {}
            }
        }
        FollowerEvent::Nothing
    }

    /// Closes it on another thread, waiting at most `limit`; false if it is still closing then.
    #[must_use]
    pub fn close(self, limit: Duration) -> bool {
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(limit)
    }
}
