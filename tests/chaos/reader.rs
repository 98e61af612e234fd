//! Reads on in several topics from where it stopped, as somebody who believes only what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::ends::range;

const ASK: Duration = Duration::from_secs(10);
/// A transaction whose producer died ends within its time-out.
const STABLE_WITHIN: Duration = Duration::from_secs(40);
const READ_WITHIN: Duration = Duration::from_secs(120);

/// A record as a reader sees it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: BTreeMap<String, String>,
}

impl Seen {
    /// Key and value, as a hash.
    pub(super) fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.key, &self.payload).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// One topic, and how far each of its partitions was read.
pub(super) struct Reader {
    bootstrap: String,
    topic: String,
    next: Vec<i64>,
}

impl Reader {
    pub(super) fn new(bootstrap: &str, topic: &str, partitions: i32) -> Self {
        let next = vec![0; usize::try_from(partitions).unwrap()];
        Self { bootstrap: bootstrap.to_owned(), topic: topic.to_owned(), next }
    }

    /// Everything that is new, each partition in its order. Waits until no transaction is open.
    ///
    /// # Errors
    /// A transaction that stays open; a topic that cannot be read.
    pub(super) fn read(&mut self) -> Result<Vec<Seen>, String> {
        let consumer = self.client("read_committed");
        let all = self.client("read_uncommitted");
        self.wait_until_stable(&consumer, &all)?;
        let mut list = TopicPartitionList::new();
        for (partition, next) in (0..).zip(&self.next) {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(*next)).unwrap();
        }
        consumer.assign(&list).unwrap();
        // A partition to which more is written ends more than once.
        let (mut seen, mut ended) = (Vec::new(), BTreeSet::new());
        let deadline = Instant::now() + READ_WITHIN;
        while ended.len() < self.next.len() {
            if Instant::now() > deadline {
                return Err(format!("{} cannot be read to its end", self.topic));
            }
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    self.next[usize::try_from(message.partition()).unwrap()] = message.offset() + 1;
                    seen.push(taken(&message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(seen)
    }

    fn wait_until_stable(&self, committed: &BaseConsumer, all: &BaseConsumer) -> Result<(), String> {
        let deadline = Instant::now() + STABLE_WITHIN;
        for partition in 0..i32::try_from(self.next.len()).unwrap() {
            loop {
                let end = range(all, &self.topic, partition, ASK).map(|(_, end)| end);
                let stable = range(committed, &self.topic, partition, ASK).map(|(_, end)| end);
                match (end, stable) {
                    (Ok(end), Ok(stable)) if end == stable => break,
                    found if Instant::now() > deadline => {
                        return Err(format!(
                            "a transaction is open in {}/{partition} for {STABLE_WITHIN:?}: end and stable end {found:?}",
                            self.topic
                        ));
                    }
                    _ => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        }
        Ok(())
    }

    fn client(&self, isolation: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("isolation.level", isolation)
            .set("log_level", "0")
            .create()
            .unwrap()
    }
}

fn taken(message: &rdkafka::message::BorrowedMessage<'_>) -> Seen {
    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Seen {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
