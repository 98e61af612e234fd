//! What is known of the keys of a topic.

use super::field::customer_hash;
use super::record::{Payload, Record};
use super::sketch::{HashSample, hash};
use super::value::Value;

/// The most keys that are remembered.
const KEYS_MAX: usize = 8_192;

/// The keys of one topic.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) none: u64,
    pub(super) text: u64,
    pub(super) json: u64,
    pub(super) avro: u64,
    pub(super) unreadable: u64,
    /// Records in the partition that murmur2 chooses for their key, and in another one.
    pub(super) at_home: u64,
    pub(super) elsewhere: u64,
    pub(super) sample: HashSample,
}

impl Default for Keys {
    fn default() -> Self {
        let sample = HashSample::new(KEYS_MAX);
        Self { none: 0, text: 0, json: 0, avro: 0, unreadable: 0, at_home: 0, elsewhere: 0, sample }
    }
}

impl Keys {
    /// Counts the key of a record. Returns its hash, if it is a text.
    pub(super) fn add(&mut self, record: &Record<'_>) -> Option<u64> {
        let count = match record.key {
            Payload::Null => &mut self.none,
            Payload::Text(_) => &mut self.text,
            Payload::Json(_) => &mut self.json,
            Payload::Avro(..) => &mut self.avro,
            Payload::Unreadable(..) => &mut self.unreadable,
        };
        *count += 1;
        match record.at_home {
            Some(true) => self.at_home += 1,
            Some(false) => self.elsewhere += 1,
            None => {}
        }
        if matches!(record.key, Payload::Null) {
            return None;
        }
        let hash = hash(record.key.content());
        let Payload::Text(text) = record.key else {
            self.sample.add(hash);
            return None;
        };
        self.sample.add(customer_hash(&Value::Text(String::from_utf8_lossy(text)), hash));
        Some(hash)
    }

    /// Records with a key.
    pub(super) fn present(&self) -> u64 {
        self.text + self.json + self.avro + self.unreadable
    }

    /// Where the keys are; `None`: there is one partition, or no key.
    pub(super) fn partitioned(&self) -> Option<Partitioned> {
        match (self.at_home, self.elsewhere) {
            (0, 0) => None,
            (_, 0) => Some(Partitioned::Murmur2),
            // Another partitioner puts keys at home by chance.
            (home, elsewhere) if home <= 2 * elsewhere => Some(Partitioned::Otherwise),
            _ => Some(Partitioned::Mixed),
        }
    }
}

crate::event::named! {
    /// What chose the partitions of keys.
    Partitioned {
        /// Kafka's default partitioner.
        Murmur2 = "murmur2",
        Otherwise = "otherwise",
        /// Most are where murmur2 puts them, and some are not.
        Mixed = "mixed",
    }
}
