//! Goes on with a source topic that does not hold what was to be gathered next: it was made anew, retention has dropped
//! records that were never read, or another program has set the group's offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::only_member::{become_only_member, leave};
use super::plan::From;
use super::transact::{Write, transact};
use super::{ASK, Alone, QUEUE_BYTES, patient};
use crate::app::Failure;
use crate::gather::kafka_of;
use crate::kafka::{Admin, Brokers, Consumer, Producer, Read, Reader, Sizes, Watermarks};
use crate::marks::{Mark, Place, Saying};
use crate::settings::{Kafka, Loaded, Settings};

/// How long a record is waited for at once.
const POLL: Duration = Duration::from_millis(50);

/// A plan, and what it takes to carry it out.
pub struct SourceReset<'a> {
    settings: &'a Settings,
    topic: String,
    consumer: Consumer,
    brokers: Brokers,
    /// The mark of each partition: as it is, if it has one, and as it will be.
    marks: BTreeMap<i32, (Option<Mark>, Mark)>,
}

impl<'a> SourceReset<'a> {
    /// Checks everything and changes nothing. `alone`: waits until no process gathers, and becomes the only member.
    ///
    /// # Errors
    /// What prevents it; brokers that do not answer.
    pub fn plan(
        loaded: &'a Loaded,
        topic: &str,
        from: From,
        alone: Alone,
        say: &dyn Fn(&str),
    ) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        if settings.gather.sources.is_none() {
            let problem = "is not set, so that no source is gathered; use the settings of `run`";
            return Err(Failure::Configuration(loaded.refusal("gather.sources", problem).to_string()));
        }
        let brokers = Brokers::default();
        let kafka = Kafka { instance_id: String::new(), ..kafka_of(&settings.kafka, 0) };
        let admin = Admin::new(&kafka, &brokers)?;
        let Some((id, partitions)) = patient(|| admin.identity(topic, ASK))? else {
            return Err(Failure::Running(format!("there is no topic {topic} on this cluster; create it first")));
        };
        let consumer = Consumer::outside(&kafka, topic, QUEUE_BYTES / 4, &brokers)?;
        if alone == Alone::Required {
            become_only_member(&consumer, &admin, &kafka, 0..partitions, say)?;
        }
        let watermarks = Watermarks::new(&kafka, &brokers)?;
        let known = read_marks(settings, &kafka, &brokers, &watermarks)?;
        let mut marks = BTreeMap::new();
        let id = id.unwrap_or_default();
        for partition in 0..partitions {
            let mark = known.get(&Place { topic: topic.to_owned(), partition });
            let held = patient(|| watermarks.range(topic, partition, ASK))?;
            let same = mark.filter(|mark| mark.topic_id == id || id.is_empty());
            let offset = match from {
                From::Latest => held.end,
                From::At(at) => patient(|| watermarks.at_time(topic, partition, at.0, ASK))?,
                From::Stored | From::Earliest => {
                    same.map_or(held.start, |mark| mark.next_offset.clamp(held.start, held.end))
                }
            };
            let fresh = Mark::new(&settings.kafka.group_id, &id, offset);
            let next = mark.map_or(fresh, |mark| Mark {
                topic_id: id.clone(),
                next_offset: offset,
                has_backlog: true,
                ..mark.clone()
            });
            marks.insert(partition, (mark.cloned(), next));
        }
        Ok(Self { settings, topic: topic.to_owned(), consumer, brokers, marks })
    }

    /// The plan as text, one line each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let line = |(partition, (mark, next)): (&i32, &(Option<Mark>, Mark))| {
            let place = format!("{}/{partition}", self.topic);
            match mark {
                None => format!("{place}: nothing was gathered yet; begins at offset {}", next.next_offset),
                Some(mark) if mark.topic_id != next.topic_id => {
                    format!("{place}: made anew; begins at offset {} of the new topic", next.next_offset)
                }
                Some(mark) => {
                    let lost = next.next_offset - mark.next_offset;
                    let lost = if lost > 0 { format!(" without {lost} records") } else { String::new() };
                    format!("{place}: gathered up to {}; goes on at {}{lost}", mark.next_offset, next.next_offset)
                }
            }
        };
        self.marks.iter().map(line).collect()
    }

    /// Does it, in one transaction. Only after `plan` with [`Alone::Required`].
    ///
    /// # Errors
    /// Brokers reject a request, or do not answer: the same command does it again.
    pub fn carry_out(&self) -> Result<(), Failure> {
        let kafka = Kafka { instance_id: "reset".to_owned(), ..kafka_of(&self.settings.kafka, 0) };
        let mut producer = Producer::new(&kafka, QUEUE_BYTES, Sizes::of_records(QUEUE_BYTES / 8), &self.brokers)?;
        patient(|| producer.init(ASK))?;
        let write = |(partition, (_, mark)): (&i32, &(Option<Mark>, Mark))| Write {
            partition: 0,
            key: Place { topic: self.topic.clone(), partition: *partition }.to_string().into_bytes(),
            value: Some(mark.bytes()),
        };
        let offset = |(partition, (_, mark)): (&i32, &(Option<Mark>, Mark))| {
            (self.topic.as_str(), *partition, mark.next_offset, "")
        };
        let records: Vec<Write> = self.marks.iter().map(write).collect();
        let offsets: Vec<_> = self.marks.iter().map(offset).collect();
        transact(&self.consumer, &mut producer, &self.settings.topics.marks, &records, &offsets)
    }

    /// Leaves the group, so that the processes need not wait for the session timeout.
    pub fn leave(&self) {
        leave(&self.consumer);
    }
}

/// All marks of the group.
fn read_marks(
    settings: &Settings,
    kafka: &Kafka,
    brokers: &Brokers,
    watermarks: &Watermarks,
) -> Result<BTreeMap<Place, Mark>, Failure> {
    let topic = &settings.topics.marks;
    let range = patient(|| watermarks.range(topic, 0, ASK))?;
    let mut reader = Reader::new(kafka, QUEUE_BYTES / 4, brokers)?;
    patient(|| reader.start(topic, 0, range.start, range.end))?;
    let mut marks = BTreeMap::new();
    patient(|| {
        loop {
            match reader.poll(POLL) {
                Read::Record(record) => match record.key().and_then(|key| Saying::read(key, record.payload())) {
                    Some(Saying::Mark(place, Some(mark))) if mark.group == settings.kafka.group_id => {
                        drop(marks.insert(place, mark));
                    }
                    Some(Saying::Mark(place, None)) => drop(marks.remove(&place)),
                    _ => {}
                },
                Read::Done => return Ok(()),
                Read::Failed(failure) => return Err(failure),
                Read::Nothing | Read::Waiting { .. } | Read::OutOfRange { .. } => {}
            }
        }
    })?;
    Ok(marks)
}
