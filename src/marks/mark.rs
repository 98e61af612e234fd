//! One mark, and its record.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Instant;

/// A partition of a source's topic. As text, `topic/partition`, it is the key of its mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl Place {
    /// `None`: it is the key of something else.
    #[must_use]
    pub fn read(key: &[u8]) -> Option<Self> {
        let (topic, partition) = std::str::from_utf8(key).ok()?.rsplit_once('/')?;
        Some(Self { topic: topic.to_owned(), partition: partition.parse().ok().filter(|number| *number >= 0)? })
    }
}

/// How far a partition has been gathered. Written as JSON; times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The consumer group of the processes that gather.
    pub group: String,
    /// The id of the topic; empty where brokers have none.
    pub topic_id: String,
    /// The next record to gather. The same as the committed offset, which can expire.
    pub next_offset: i64,
    /// Every event of this partition before this time has been written, but for those that came later than
    /// `time.arrives_within`.
    pub complete_to: i64,
    /// The time of the latest event read, written or not.
    pub read_to: i64,
    /// Are there records that are not written yet?
    pub has_backlog: bool,
    /// Was it once read to its end?
    pub caught_up: bool,
    /// Does its time follow the wall clock where nothing comes?
    pub live: bool,
    /// The wall clock when its latest record was read, or when it was begun. Marks of early releases have none.
    #[serde(default)]
    pub heard_at: i64,
}

/// A topic that is not waited for, because an operator said so. Written as JSON, beside the marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The consumer group of the processes that gather.
    pub group: String,
    /// When it was said, in milliseconds since 1970.
    pub since: i64,
}

/// Begins the keys of what is ignored; no topic's name has such a character.
const IGNORED: &str = "ignored:";

impl Ignored {
    /// The key of its record.
    #[must_use]
    pub fn key(topic: &str) -> String {
        format!("{IGNORED}{topic}")
    }

    /// The topic, if the key is one of something ignored.
    #[must_use]
    pub fn topic_of(key: &[u8]) -> Option<&str> {
        std::str::from_utf8(key).ok()?.strip_prefix(IGNORED)
    }

    /// The value of its record.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The value of a record. `None`: it is something else, or of a later release.
pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

impl Mark {
    /// Of a partition of which nothing was gathered.
    #[must_use]
    pub fn new(group: &str, topic_id: &str, next_offset: i64) -> Self {
        Self {
            group: group.to_owned(),
            topic_id: topic_id.to_owned(),
            next_offset,
            complete_to: Instant::MIN.0,
            read_to: Instant::MIN.0,
            has_backlog: true,
            caught_up: false,
            live: false,
            heard_at: 0,
        }
    }

    /// Does a later mark of the same partition say more than that time has passed?
    #[must_use]
    pub fn differs_from(&self, later: &Self) -> bool {
        (self.next_offset, self.has_backlog, self.caught_up, self.live)
            != (later.next_offset, later.has_backlog, later.caught_up, later.live)
    }

    /// The value of its record.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ignored, Mark, Place, read};

    #[test]
    fn a_mark_is_read_as_it_was_written_also_by_an_earlier_release() {
        let mark = Mark { complete_to: 1_800_000_000_000, has_backlog: false, ..Mark::new("shop", "Ab3_", 17) };
        assert_eq!(read(&mark.bytes()), Some(mark.clone()));
        let text = String::from_utf8(mark.bytes()).unwrap().replacen('{', "{\"new\":1,", 1);
        assert_eq!(read(text.as_bytes()), Some(mark.clone()));
        let text = String::from_utf8(mark.bytes()).unwrap().replace(",\"heard_at\":0", "");
        assert_eq!(read(text.as_bytes()), Some(mark));
        assert_eq!(read::<Mark>(b"{}"), None);
        assert_eq!(read::<Mark>(&[0, 1, 2]), None);
    }

    #[test]
    fn what_is_ignored_has_keys_of_its_own() {
        let ignored = Ignored { group: "shop".to_owned(), since: 1 };
        assert_eq!(read(&ignored.bytes()), Some(ignored));
        for topic in ["shop.orders", "7"] {
            let key = Ignored::key(topic);
            assert_eq!((Ignored::topic_of(key.as_bytes()), Place::read(key.as_bytes())), (Some(topic), None));
        }
        assert_eq!(Ignored::topic_of(b"shop.orders/1"), None);
    }

    #[test]
    fn a_place_is_read_from_its_key() {
        let place = Place { topic: "shop.orders".to_owned(), partition: 12 };
        assert_eq!(Place::read(place.to_string().as_bytes()), Some(place));
        for foreign in [&b"shop"[..], b"shop/-1", b"shop/x", b"\xff/1"] {
            assert_eq!(Place::read(foreign), None);
        }
    }
}
