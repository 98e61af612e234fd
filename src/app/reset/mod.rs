//! The way on when the input is not the log any more that the state was made from, or its offsets are not the group's:
//! either every customer stays as they are and reading goes on elsewhere, or everything is decided anew.
//!
//! Both are done as the only member of the group, so that no lane works meanwhile, and in transactions that carry offsets,
//! so that a broker refuses them once that is no longer so. Keeping the state is one transaction over all partitions. A
//! rebuild first makes the state unusable, in one transaction, and says so until the last one: whatever ends it in between,
//! the daemon refuses to start, and the same command goes on.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Moment};

use super::failure::Failure;
use crate::kafka::{
    self, Admin, Brokers, Committed, Consumer, Outcome, Outgoing, Polled, Producer, Read, Reader, Sizes, Watermarks,
};
use crate::lane::OffsetMark;
use crate::lane::identity::{self, ANEW};
use crate::settings::{Kafka, Loaded, Settings};
use crate::store::layout::changelog;
use crate::store::{Meta, Recorded, decode_meta, encode_meta, encode_parts, has_parts};
pub use plan::From;
use plan::{Present, Step};

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(5);
/// How long brokers may be away, or a transaction open, before the command gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// On top of a session, for the coordinator to notice and to hand the partitions out.
const SESSION_MARGIN: Duration = Duration::from_secs(20);
/// How long leaving the group may take.
const LEAVE_FOR: Duration = Duration::from_secs(2);
/// Records of one transaction of a rebuild.
const ERASE_RECORDS: usize = 10_000;
/// Bytes that wait to be written or were read ahead.
const QUEUE_BYTES: usize = 32 << 20;
const RECORD_BYTES_MAX: usize = 8 << 20;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Every customer stays as they are.
    Keep(From),
    /// Everything is decided anew from the input, from `kafka.start` on.
    Rebuild,
}

/// A plan, and what it takes to carry it out.
pub struct Reset<'a> {
    settings: &'a Settings,
    admin: Admin,
    brokers: Brokers,
    consumer: Consumer,
    watermarks: Watermarks,
    reader: Reader,
    present: Present,
    way: Way,
    parts: Vec<Part>,
}

/// A record of a compacted topic; without a value a tombstone.
struct Write {
    partition: i32,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// One partition of the changelog.
struct Part {
    partition: i32,
    kept: Kept,
    step: Step,
}

/// What the changelog holds of a partition.
#[derive(Default)]
struct Kept {
    /// Has META parts in records of their own?
    has_parts: bool,
    meta: Option<Meta>,
    /// The keys of recorded inputs.
    recorded: BTreeSet<Vec<u8>>,
    customers: u64,
}

impl<'a> Reset<'a> {
    /// Looks at everything and changes nothing. `alone`: waits until no process is a member of the group, and becomes its
    /// only one. `say` is told what takes long.
    ///
    /// # Errors
    /// What stands against it; brokers that do not answer.
    pub fn plan(loaded: &'a Loaded, way: Way, alone: Alone, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        let brokers = Brokers::default();
        let kafka = Kafka { instance_id: String::new(), ..settings.kafka.clone() };
        let admin = Admin::new(&kafka, &brokers)?;
        let present = present(loaded, &admin)?;
        let mut reset = Self {
            settings,
            admin,
            consumer: Consumer::outside(&kafka, &settings.topics.input, QUEUE_BYTES / 4, &brokers)?,
            watermarks: Watermarks::new(&kafka, &brokers)?,
            reader: Reader::new(&kafka, QUEUE_BYTES, &brokers)?,
            brokers,
            present,
            way,
            parts: Vec::new(),
        };
        match reset.look(alone, say) {
            Ok(()) => Ok(reset),
            Err(failure) => {
                reset.leave();
                Err(failure)
            }
        }
    }

    fn look(&mut self, alone: Alone, say: &dyn Fn(&str)) -> Result<(), Failure> {
        if alone == Alone::Required {
            self.join(say)?;
        }
        match self.way {
            Way::Keep(from) => self.parts = self.plan_to_keep(from, say)?,
            Way::Rebuild => self.check_rebuild()?,
        }
        Ok(())
    }

    /// Leaves the group, so that the processes need not wait for the end of its session.
    pub fn leave(&self) {
        if self.consumer.membership().is_some() && !self.consumer.leave(LEAVE_FOR) {
            tracing::debug!("The group was not left in time.");
        }
    }

    /// For people: what is to be done, a line each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let topics = &self.settings.topics;
        let customers: u64 = self.parts.iter().map(|part| part.kept.customers).sum();
        match self.way {
            Way::Keep(_) => {
                let part = |part: &Part| {
                    let name = format!("{}[{}]", topics.input, part.partition);
                    match &part.kept.meta {
                        Some(meta) => plan::words(&name, meta, &part.step),
                        None => format!("{name}: nothing was read; it begins where kafka.start says"),
                    }
                };
                let all = format!("all {customers} customers stay as they are; nothing is said of what changes here");
                self.parts.iter().map(part).chain([all]).collect()
            }
            Way::Rebuild => vec![
                format!(
                    "{}, {} and {}: everything in them is deleted, with tombstones",
                    topics.changelog, topics.members, topics.summaries
                ),
                format!(
                    "{}: read again from kafka.start on, by the newest rules; what was published before is published again, \
                     with the same event ids where the same is decided",
                    topics.input
                ),
            ],
        }
    }

    /// Is there anything to do?
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.way == Way::Rebuild || self.parts.iter().any(|part| part.step != Step::Nothing)
    }

    /// Does it. Only after `plan` with `Alone::Required`.
    ///
    /// # Errors
    /// Brokers that refuse, or do not answer: the same command goes on from where this one ended.
    pub fn carry_out(&mut self, say: &dyn Fn(&str)) -> Result<(), Failure> {
        // Its own transactional id: what an earlier try left open is ended.
        let kafka = Kafka { instance_id: "reset".to_owned(), ..self.settings.kafka.clone() };
        let mut producer = Producer::new(&kafka, QUEUE_BYTES, Sizes::of_records(RECORD_BYTES_MAX), &self.brokers)?;
        patient(|| producer.init(ASK))?;
        match self.way {
            Way::Keep(_) => self.keep(&mut producer),
            Way::Rebuild => self.rebuild(&mut producer, say),
        }
    }

    fn partitions(&self) -> std::ops::Range<i32> {
        0..self.present.partitions.cast_signed()
    }

    /// Becomes the only member of the group.
    fn join(&self, say: &dyn Fn(&str)) -> Result<(), Failure> {
        let group = &self.settings.kafka.group_id;
        let limit = self.settings.kafka.session() + SESSION_MARGIN;
        let others = || Failure::Running(format!("group {group} has active members; stop every process of it first"));
        let mut told = false;
        let started = Moment::now();
        loop {
            let members = patient(|| self.admin.members(group, ASK))?;
            if members == 0 {
                break;
            }
            if started.elapsed() > limit {
                return Err(others());
            }
            if !std::mem::replace(&mut told, true) {
                say(&format!(
                    "members of group {group}: {members}; a process that was stopped counts until its session ends, so this \
                     waits for up to {} s",
                    limit.as_secs()
                ));
            }
            std::thread::sleep(PAUSE);
        }
        self.consumer.join()?;
        let mut ours = BTreeSet::new();
        let started = Moment::now();
        while !self.partitions().all(|partition| ours.contains(&partition)) {
            if started.elapsed() > limit {
                return Err(others());
            }
            match self.consumer.poll(PAUSE) {
                Polled::Assigned(partitions) => {
                    self.consumer.ack_assign()?;
                    ours.extend(partitions);
                }
                Polled::Revoked { partitions, .. } => {
                    self.consumer.ack_revoke(&partitions)?;
                    ours.retain(|partition| !partitions.contains(partition));
                }
                Polled::Failed(kafka::Failure::Fatal(cause)) => return Err(Failure::Running(cause.text)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Stays a member while other things take long.
    fn attend(&self) -> Result<(), Failure> {
        match self.consumer.poll(Duration::ZERO) {
            Polled::Revoked { .. } | Polled::Assigned(_) => Err(Failure::Running(format!(
                "another process has joined group {}; stop it, then try again",
                self.settings.kafka.group_id
            ))),
            Polled::Failed(kafka::Failure::Fatal(cause)) => Err(Failure::Running(cause.text)),
            _ => Ok(()),
        }
    }

    fn plan_to_keep(&mut self, from: From, say: &dyn Fn(&str)) -> Result<Vec<Part>, Failure> {
        let topics = &self.settings.topics;
        let mut parts = Vec::new();
        for partition in self.partitions() {
            say(&format!("reading {}[{partition}]", topics.changelog));
            let kept = self.read(&topics.changelog, partition)?;
            let committed = self.committed(partition)?;
            let name = format!("{}[{partition}]", topics.input);
            let Some(meta) = &kept.meta else {
                if committed.offset.is_some() && !begins_anew(&committed) {
                    return Err(Failure::Configuration(format!(
                        "{name}: {} holds no state for it that could be kept; use --rebuild",
                        topics.changelog
                    )));
                }
                parts.push(Part { partition, kept, step: Step::Nothing });
                continue;
            };
            if meta.partitions != self.present.partitions {
                let text = identity::repartitioned(&topics.input, self.present.partitions, meta.partitions);
                return Err(Failure::Configuration(text));
            }
            let held = patient(|| self.watermarks.range(&topics.input, partition, ASK))?;
            let at = match from {
                From::At(at) => patient(|| self.watermarks.at_time(&topics.input, partition, at.0, ASK))?,
                From::Stored | From::Earliest | From::Latest => 0,
            };
            let stands = committed.offset.is_none_or(|offset| {
                let mark = OffsetMark::read(&committed.metadata);
                offset == meta.next_offset && mark.is_some_and(|mark| mark.sequence == meta.sequence)
            });
            let step = plan::step(meta, &held, &self.present, (from, at), stands)
                .map_err(|problem| Failure::Configuration(format!("{name}: {problem}")))?;
            parts.push(Part { partition, kept, step });
        }
        Ok(parts)
    }

    /// Reads a partition of the changelog to its end.
    fn read(&mut self, topic: &str, partition: i32) -> Result<Kept, Failure> {
        let mut kept = Kept::default();
        let mut customers = BTreeMap::new();
        self.each(topic, partition, |key, value| {
            match key.first() {
                Some(&changelog::META) => {
                    let meta = value.map(decode_meta).transpose();
                    let corrupt = |error| Failure::Running(format!("{topic}[{partition}]: {error}"));
                    kept.meta = meta.map_err(corrupt)?;
                    kept.has_parts = value.is_some_and(has_parts);
                }
                Some(&changelog::INPUT) if value.is_some() => drop(kept.recorded.insert(key.to_vec())),
                Some(&changelog::INPUT) => drop(kept.recorded.remove(key)),
                Some(&changelog::CUSTOMER) => drop(customers.insert(hash(key), value.is_some())),
                _ => {}
            }
            Ok(())
        })?;
        kept.customers = customers.values().filter(|is_there| **is_there).count() as u64;
        Ok(kept)
    }

    /// Hands every committed record of a partition, as it ends now, to `take`.
    fn each(
        &mut self,
        topic: &str,
        partition: i32,
        mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let range = patient(|| self.watermarks.range(topic, partition, ASK))?;
        patient(|| self.reader.start(topic, partition, range.start, range.end))?;
        let (mut heard, mut count) = (Moment::now(), 0_usize);
        loop {
            match self.reader.poll(Duration::from_millis(100)) {
                Read::Record(record) => {
                    heard = Moment::now();
                    count += 1;
                    take(record.key().unwrap_or_default(), record.payload())?;
                }
                Read::Done => return Ok(()),
                Read::OutOfRange { reason, .. } => return Err(Failure::Running(reason)),
                Read::Failed(kafka::Failure::Retry(_)) | Read::Nothing | Read::Waiting { .. } => {
                    if heard.elapsed() > PATIENCE {
                        return Err(Failure::Running(format!(
                            "{topic}[{partition}] cannot be read to its end: no broker answers, or a transaction is open \
                             (kafka-transactions.sh find-hanging --topic {topic} --partition {partition})"
                        )));
                    }
                }
                Read::Failed(failure) => return Err(failure.into()),
            }
            if count.is_multiple_of(ERASE_RECORDS) {
                self.attend()?;
            }
        }
    }

    fn committed(&self, partition: i32) -> Result<Committed, Failure> {
        let mut found = patient(|| self.consumer.committed(&[partition], ASK))?;
        found.pop().ok_or_else(|| Failure::Running("the group's offsets are not to be had".to_owned()))
    }

    /// Everything in one transaction.
    fn keep(&self, producer: &mut Producer) -> Result<(), Failure> {
        let mut records = Vec::new();
        let mut offsets = Vec::new();
        let writer = OffsetMark::draw_writer();
        for Part { partition, kept, step } in &self.parts {
            let Some(meta) = &kept.meta else { continue };
            let write = |key: Vec<u8>, value| Write { partition: *partition, key, value };
            let meta = match step {
                Step::Nothing => continue,
                Step::Offset => meta.clone(),
                Step::Rest { from, .. } => {
                    // What is left of the log may not say how far stream time had come.
                    let advance = Recorded::Advance(meta.stream_time);
                    records.push(write(advance.key(meta.next_offset), Some(advance.value())));
                    plan::shortened(meta, *from, &self.present)
                }
                Step::To { to, .. } => {
                    // Their positions are those of the records before.
                    records.extend(kept.recorded.iter().map(|key| write(key.clone(), None)));
                    plan::moved(meta, *to, &self.present)
                }
            };
            if *step != Step::Offset {
                let mut bytes = Vec::new();
                encode_meta(&meta, &mut bytes);
                records.push(write(vec![changelog::META], Some(bytes)));
                // They are as they were, and there already unless an earlier release wrote.
                if !kept.has_parts {
                    records.extend(encode_parts(&meta).into_iter().map(|(key, value)| write(key, Some(value))));
                }
            }
            offsets.push((*partition, meta.next_offset, OffsetMark::new(meta.sequence, writer).text()));
        }
        self.transact(producer, &self.settings.topics.changelog, &records, &offsets)
    }

    fn transact(
        &self,
        producer: &mut Producer,
        topic: &str,
        records: &[Write],
        offsets: &[(i32, i64, String)],
    ) -> Result<(), Failure> {
        self.attend()?;
        let membership = self
            .consumer
            .membership()
            .ok_or_else(|| Failure::Running("the group has dropped this command; try again".to_owned()))?;
        producer.begin()?;
        for Write { partition, key, value } in records {
            producer.send(&Outgoing {
                topic,
                partition: *partition,
                key: Some(key),
                payload: value.as_deref(),
                headers: &[],
                timestamp: None,
            })?;
        }
        producer.drain()?;
        let input = self.settings.topics.input.as_str();
        let offsets: Vec<(&str, i32, i64, &str)> =
            offsets.iter().map(|(partition, offset, mark)| (input, *partition, *offset, mark.as_str())).collect();
        producer.send_offsets(&offsets, &membership)?;
        match producer.commit() {
            Outcome::Committed => Ok(()),
            Outcome::Indeterminate(cause) | Outcome::Fenced(cause) => {
                Err(Failure::Running(format!("whether it was done is not known; run the same command again ({cause})")))
            }
        }
    }

    /// Has the input as many partitions as everything that is written, or more?
    fn check_rebuild(&self) -> Result<(), Failure> {
        let partitions = self.present.partitions.cast_signed();
        for name in self.outputs() {
            let found = patient(|| self.admin.identity(name, ASK))?;
            if let Some((_, there)) = found.filter(|(_, there)| *there > partitions) {
                return Err(Failure::Configuration(format!(
                    "topic {name} has {there} partitions and the input {partitions}, and a topic cannot be given fewer; begin \
                     anew with {ANEW}"
                )));
            }
        }
        Ok(())
    }

    fn outputs(&self) -> [&str; 7] {
        let topics = &self.settings.topics;
        [
            &topics.changelog,
            &topics.members,
            &topics.summaries,
            &topics.changes,
            &topics.risks,
            &topics.forecasts,
            &topics.dead_letters,
        ]
    }

    fn rebuild(&mut self, producer: &mut Producer, say: &dyn Fn(&str)) -> Result<(), Failure> {
        let settings = self.settings;
        let topics = &settings.topics;
        let writer = OffsetMark::draw_writer();
        let mut offsets = Vec::new();
        for partition in self.partitions() {
            offsets.push((partition, patient(|| self.watermarks.range(&topics.input, partition, ASK))?.start));
        }
        let marked = |mark: &str| -> Vec<(i32, i64, String)> {
            offsets.iter().map(|(partition, offset)| (*partition, *offset, mark.to_owned())).collect()
        };
        let begun = marked(OffsetMark::REBUILD);
        let count = |found: Option<(Option<String>, i32)>| found.map_or(0, |(_, partitions)| partitions);
        let written = count(patient(|| self.admin.identity(&topics.changelog, ASK))?);
        let metas: Vec<_> =
            (0..written).map(|partition| Write { partition, key: vec![changelog::META], value: None }).collect();
        self.transact(producer, &topics.changelog, &metas, &begun)?;
        for topic in [&topics.changelog, &topics.members, &topics.summaries] {
            let there = count(patient(|| self.admin.identity(topic, ASK))?);
            for partition in 0..there {
                say(&format!("deleting what is in {topic}[{partition}]"));
                self.erase(producer, topic, partition, &begun)?;
            }
        }
        let partitions = self.present.partitions.cast_signed();
        for name in self.outputs() {
            let found = patient(|| self.admin.identity(name, ASK))?;
            if found.is_some_and(|(_, there)| there < partitions) {
                say(&format!("giving {name} {partitions} partitions"));
                patient(|| self.admin.enlarge(name, partitions, ASK))?;
            }
        }
        let done = marked(&OffsetMark::new(0, writer).text());
        self.transact(producer, &topics.changelog, &[], &done)
    }

    /// Deletes everything in a partition of a compacted topic.
    fn erase(
        &mut self,
        producer: &mut Producer,
        topic: &str,
        partition: i32,
        offsets: &[(i32, i64, String)],
    ) -> Result<(), Failure> {
        let mut alive = BTreeSet::new();
        self.each(topic, partition, |key, value| {
            if value.is_some() {
                alive.insert(key.to_vec());
            } else {
                alive.remove(key);
            }
            Ok(())
        })?;
        let keys: Vec<Vec<u8>> = alive.into_iter().collect();
        for keys in keys.chunks(ERASE_RECORDS) {
            let records: Vec<_> = keys.iter().map(|key| Write { partition, key: key.clone(), value: None }).collect();
            self.transact(producer, topic, &records, offsets)?;
        }
        Ok(())
    }
}

/// Must the command be the group's only member?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    Required,
    /// Enough to look.
    NotRequired,
}

fn begins_anew(committed: &Committed) -> bool {
    OffsetMark::read(&committed.metadata).is_some_and(OffsetMark::begins_anew)
}

/// Customers are counted by a hash of their ids: there may be many.
fn hash(key: &[u8]) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    BuildHasherDefault::<rustc_hash::FxHasher>::default().hash_one(key)
}

fn present(loaded: &Loaded, admin: &Admin) -> Result<Present, Failure> {
    let topic = &loaded.settings.topics.input;
    let cluster_id = patient(|| admin.cluster_id(ASK))?;
    let Some((id, partitions)) = patient(|| admin.identity(topic, ASK))? else {
        let problem = format!("there is no topic {topic} on this cluster");
        return Err(Failure::Configuration(loaded.refusal("topics.input", problem).to_string()));
    };
    Ok(Present {
        topic: topic.clone(),
        topic_id: id.unwrap_or_default(),
        cluster_id,
        partitions: u32::try_from(partitions).unwrap_or(0),
    })
}

/// Asks until there is an answer, for as long as brokers may be away.
fn patient<T>(mut ask: impl FnMut() -> Result<T, kafka::Failure>) -> Result<T, Failure> {
    let started = Moment::now();
    loop {
        match ask() {
            Err(kafka::Failure::Retry(_)) if started.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(failure) => return Err(failure.into()),
            Ok(found) => return Ok(found),
        }
    }
}
