//! The rules topic: every version of the rules, and of the sources, in order, for all processes.
//!
//! A record's key is the version's number in decimal, its value JSON; the key of a version of the sources begins with
//! `sources-`. Versions are numbered in the order of the topic.
//! Only one process at a time can add one: writers share a transactional id, so that a new writer fences the others,
//! reads to the end, and writes the next version.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use serde::{Deserialize, Serialize};

use crate::clock::wall_clock;
use crate::event::Instant;
use crate::kafka::{
    Brokers, Cause, Failure, Headers, Kind, Outcome, Outgoing, Producer, Read, Reader, Report, Sizes, Watermarks,
};
use crate::lane::identity::NEW_GROUP_NAMES;
use crate::rules::{JoinedEvents, TEXT_BYTES_MAX};
use crate::settings::{Kafka, Settings};

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(1);
/// How long reading to the end of the topic may take before the caller should do other work.
const READ_FOR: Duration = Duration::from_secs(20);
/// Attempts to write a version: each failed one was fenced by another process, or not answered.
const WRITE_TRIES: u32 = 5;
const QUEUE_BYTES: usize = 2 << 20;

/// One version as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) version: u64,
    pub(super) fingerprint: String,
    /// The consumer group of these rules. Empty: written by an earlier release.
    #[serde(default)]
    pub(super) group: String,
    /// The instance that wrote it, and the source of the text.
    pub(super) author: String,
    /// When, in ISO-8601.
    pub(super) at: String,
    /// Events whose sources joined later, each with the milliseconds since 1970 from which on it has been read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) joined: BTreeMap<String, i64>,
    pub(super) text: String,
}

impl Written {
    /// The events whose sources joined later.
    pub(super) fn joined_events(&self) -> JoinedEvents {
        self.joined.iter().map(|(name, at)| (name.clone(), Instant(*at))).collect()
    }
}

/// One version of the sources as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenSources {
    pub(super) version: u64,
    /// The consumer group of these sources.
    pub(super) group: String,
    /// The instance that wrote it, and the source of the text.
    pub(super) author: String,
    /// When, in ISO-8601.
    pub(super) at: String,
    pub(super) text: String,
}

impl WrittenSources {
    fn read(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

const SOURCES_KEY: &str = "sources-";

/// A version to be written.
enum Next {
    /// It is there, under this number.
    There(u64),
    Write {
        version: u64,
        key: String,
        payload: Vec<u8>,
    },
}

/// Why it is not known that a version was written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) failure: Failure,
    /// A commit was requested, and its outcome is unknown: the version may still appear.
    pub(super) was_sent: bool,
}

/// Reads and writes the topic.
pub(super) struct RulesTopic {
    name: String,
    kafka: Kafka,
    brokers: Brokers,
    reader: Reader,
    watermarks: Watermarks,
    /// The next offset to read.
    next: i64,
    /// The last one read.
    newest: Option<Written>,
    /// Every version of the sources.
    sources: Vec<WrittenSources>,
    /// Another group with rules in the topic.
    foreign: Option<String>,
}

impl RulesTopic {
    /// Does not connect.
    pub(super) fn new(settings: &Settings, brokers: &Brokers) -> Result<Self, Failure> {
        Ok(Self {
            name: settings.topics.rules.clone(),
            reader: Reader::new(&settings.kafka, QUEUE_BYTES, brokers)?,
            watermarks: Watermarks::new(&settings.kafka, brokers)?,
            kafka: settings.kafka.clone(),
            brokers: brokers.clone(),
            next: 0,
            newest: None,
            sources: Vec::new(),
            foreign: None,
        })
    }

    /// Number and fingerprint of the newest version read.
    pub(super) fn newest(&self) -> Option<(u64, &str)> {
        self.newest.as_ref().map(|newest| (newest.version, newest.fingerprint.as_str()))
    }

    /// Every version of the sources read, in order.
    pub(super) fn sources(&self) -> &[WrittenSources] {
        &self.sources
    }

    /// Why another group whose rules were read and skipped keeps this one from working with its topics.
    pub(super) fn foreign(&self) -> Option<String> {
        let Self { name, kafka: Kafka { group_id, .. }, .. } = self;
        self.foreign.as_ref().map(|group| {
            format!(
                "{name} holds the rules of group {group}, and each group has its own: this one is {group_id}. Name another topic, or \
                 the right group; a second group needs {NEW_GROUP_NAMES}"
            )
        })
    }

    /// Reads the versions added since the last call, up to the end.
    ///
    /// # Errors
    /// `Retry`: what was read so far is kept, and the next call continues. A topic is never taken for read while records of
    /// it are still to come.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(Written)) -> Result<(), Failure> {
        let range = self.watermarks.range(&self.name, 0, ASK)?;
        self.next = self.next.max(range.start);
        if self.next >= range.end {
            return Ok(());
        }
        self.reader.start(&self.name, 0, self.next, range.end)?;
        let started = Moment::now();
        let mut blocked_at = None;
        loop {
            match self.reader.poll(Duration::from_millis(50)) {
                Read::Record(record) => {
                    self.next = record.offset() + 1;
                    let Some(payload) = record.payload() else { continue };
                    if record.key().is_some_and(|key| key.starts_with(SOURCES_KEY.as_bytes())) {
                        match WrittenSources::read(payload) {
                            Ok(written) if written.group != self.kafka.group_id => self.foreign = Some(written.group),
                            // A record of a fenced process does not count.
                            Ok(written)
                                if self.sources.last().is_none_or(|newest| newest.version < written.version) =>
                            {
                                self.sources.push(written);
                            }
                            Ok(_) => {}
                            Err(error) => {
                                tracing::error!(topic = self.name, offset = record.offset(), %error, "This record is not a sources file.");
                            }
                        }
                        continue;
                    }
                    match serde_json::from_slice::<Written>(payload) {
                        Ok(written) if !written.group.is_empty() && written.group != self.kafka.group_id => {
                            self.foreign = Some(written.group);
                        }
                        // A record of a fenced process does not count.
                        Ok(written) if self.newest.as_ref().is_none_or(|newest| newest.version < written.version) => {
                            self.newest = Some(written.clone());
                            take(written);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::error!(topic = self.name, offset = record.offset(), %error, "This record is not a rules file.");
                        }
                    }
                }
                Read::Done => {
                    self.next = range.end;
                    return Ok(());
                }
                Read::OutOfRange { offset, .. } => self.next = offset.max(range.start),
                Read::Waiting { at } => blocked_at = Some(at),
                Read::Nothing | Read::Failed(Failure::Retry(_)) => {}
                Read::Failed(failure) => return Err(failure),
            }
            if started.elapsed() > READ_FOR {
                return Err(Failure::Retry(self.unread(range.end, blocked_at)));
            }
        }
    }

    /// Why the topic was not read to its end.
    fn unread(&self, end: i64, blocked_at: Option<i64>) -> Cause {
        let Self { name, next, .. } = self;
        let text = match blocked_at {
            Some(at) => format!(
                "a transaction is open in {name} at offset {at}, and {} records after it cannot be read: end it with \
                 kafka-transactions.sh abort --topic {name} --partition 0 --start-offset {at}",
                end - next
            ),
            None => format!("{name} was read to offset {next} and ends at {end}: nothing more comes"),
        };
        Cause { kind: Kind::TimedOut, text }
    }

    /// Adds a version, unless the newest one is equivalent. Versions that others wrote meanwhile are passed to `take`,
    /// and so is this one. Returns its number, and whether it is new.
    ///
    /// # Errors
    /// Once it was sent it may or may not be there: try again later.
    pub(super) fn write(
        &mut self,
        text: &str,
        fingerprint: &str,
        author: &str,
        take: &mut dyn FnMut(Written),
    ) -> Result<(u64, bool), Unwritten> {
        let next = |topic: &Self| {
            let version = match &topic.newest {
                Some(newest) if newest.fingerprint == fingerprint => return Next::There(newest.version),
                newest => newest.as_ref().map_or(1, |newest| newest.version + 1),
            };
            let written = Written {
                version,
                // Also for facts that are new: the log does not hold what came before.
                joined: topic.newest.as_ref().map(|newest| newest.joined.clone()).unwrap_or_default(),
                fingerprint: fingerprint.to_owned(),
                group: topic.kafka.group_id.clone(),
                author: author.to_owned(),
                at: wall_clock().to_string(),
                text: text.to_owned(),
            };
            let payload = serde_json::to_vec(&written).unwrap_or_default();
            Next::Write { version, key: version.to_string(), payload }
        };
        self.write_next(&next, take)
    }

    /// Adds the newest version once more, with events whose sources have joined, unless it says so already. What it says of
    /// an event stays. False: there is nothing to say.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(super) fn write_joined(
        &mut self,
        joined: &JoinedEvents,
        author: &str,
        take: &mut dyn FnMut(Written),
    ) -> Result<bool, Unwritten> {
        let next = |topic: &Self| {
            let Some(newest) = &topic.newest else { return Next::There(0) };
            let mut all: BTreeMap<String, i64> = joined.iter().map(|(name, at)| (name.clone(), at.0)).collect();
            all.extend(newest.joined.clone());
            if all == newest.joined {
                return Next::There(newest.version);
            }
            let version = newest.version + 1;
            let (author, at) = (author.to_owned(), wall_clock().to_string());
            let payload = serde_json::to_vec(&Written { version, author, at, joined: all, ..newest.clone() });
            Next::Write { version, key: version.to_string(), payload: payload.unwrap_or_default() }
        };
        if matches!(next(self), Next::There(_)) {
            return Ok(false);
        }
        self.write_next(&next, take).map(|(_, is_new)| is_new)
    }

    /// Adds a version of the sources, unless the newest one is the same; see [`write`](Self::write).
    ///
    /// # Errors
    /// As there.
    pub(super) fn write_sources(
        &mut self,
        text: &str,
        author: &str,
        take: &mut dyn FnMut(Written),
    ) -> Result<(u64, bool), Unwritten> {
        let next = |topic: &Self| {
            let version = match topic.sources.last() {
                Some(newest) if newest.text == text => return Next::There(newest.version),
                newest => newest.map_or(1, |newest| newest.version + 1),
            };
            let written = WrittenSources {
                version,
                group: topic.kafka.group_id.clone(),
                author: author.to_owned(),
                at: wall_clock().to_string(),
                text: text.to_owned(),
            };
            let payload = serde_json::to_vec(&written).unwrap_or_default();
            Next::Write { version, key: format!("{SOURCES_KEY}{version}"), payload }
        };
        self.write_next(&next, take)
    }

    /// Writes what `next` says, after everything that others have written was read.
    fn write_next(
        &mut self,
        next: &dyn Fn(&Self) -> Next,
        take: &mut dyn FnMut(Written),
    ) -> Result<(u64, bool), Unwritten> {
        // All processes of the group are this one writer.
        let kafka = Kafka { instance_id: "rules".to_owned(), ..self.kafka.clone() };
        let mut made = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let tried = self.try_write(&kafka, next, &mut made, take);
            let failure = match tried {
                Ok(Some(number)) => return Ok((number, made == Some(number))),
                Ok(None) => continue,
                Err(failure @ (Failure::Fatal(_) | Failure::Retry(_))) if tries >= WRITE_TRIES => failure,
                Err(Failure::Fatal(cause)) if cause.kind != Kind::Fenced => Failure::Fatal(cause),
                Err(failure) if tries >= WRITE_TRIES => Failure::Retry(failure.cause().clone()),
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(200));
                    continue;
                }
            };
            return Err(Unwritten { failure, was_sent: made.is_some() });
        }
    }

    /// `None`: it was sent; whether it was committed is seen by trying again.
    fn try_write(
        &mut self,
        kafka: &Kafka,
        next: &dyn Fn(&Self) -> Next,
        made: &mut Option<u64>,
        take: &mut dyn FnMut(Written),
    ) -> Result<Option<u64>, Failure> {
        let mut producer = Producer::new(kafka, QUEUE_BYTES, Sizes::of_records(2 * TEXT_BYTES_MAX), &self.brokers)?;
        producer.init(ASK * 5)?;
        self.read(take)?;
        let (version, key, payload) = match next(self) {
            Next::There(version) => return Ok(Some(version)),
            Next::Write { version, key, payload } => (version, key, payload),
        };
        producer.begin()?;
        producer.send(&Outgoing {
            topic: &self.name,
            partition: 0,
            key: Some(key.as_bytes()),
            payload: Some(&payload),
            headers: Headers::default(),
            timestamp: None,
            report: Report::Failure,
        })?;
        producer.drain()?;
        *made = Some(version);
        match producer.commit() {
            Outcome::Committed | Outcome::Indeterminate(_) | Outcome::Fenced(_) => Ok(None),
        }
    }
}
