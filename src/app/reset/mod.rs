//! Continues when the input is no longer the log that the state was computed from, or the group's offsets do not match:
//! either the state of every customer is kept and reading continues elsewhere, or everything is recomputed.
//!
//! Both are done as the only member of the group, so that no lane runs meanwhile, and in transactions with offsets, so
//! that a broker rejects them once that is no longer so. Keeping the state is one transaction over all partitions. A
//! rebuild first invalidates the state, in one transaction, until its last one: if it is interrupted, the daemon
//! refuses to start, and the same command continues.

mod changelog;
mod keep;
mod only_member;
mod plan;
mod rebuild;
mod source;
mod transact;

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Moment};

use super::failure::Failure;
use super::rules_topic::RulesTopic;
use crate::kafka::{self, Admin, Brokers, Consumer, Producer, Reader, Sizes, Watermarks};
use crate::settings::{Kafka, Loaded, Settings};
use crate::store::Meta;
use only_member::{become_only_member, leave};
pub use plan::From;
use plan::{CurrentInput, Step};
pub use source::SourceReset;
use transact::{Write, transact};

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// How long brokers may be away, or a transaction open, before the command gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between retries.
const PAUSE: Duration = Duration::from_millis(200);
/// Records of one transaction of a rebuild.
const ERASE_RECORDS: usize = 10_000;
/// Bytes queued for writing or prefetched.
const QUEUE_BYTES: usize = 32 << 20;
const RECORD_BYTES_MAX: usize = 8 << 20;

/// The kind of reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetKind {
    /// The state of every customer is kept.
    Keep(From),
    /// Everything is recomputed from the input, from `kafka.start` on.
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
    current: CurrentInput,
    way: ResetKind,
    parts: Vec<Part>,
}

/// One partition of the changelog.
struct Part {
    partition: i32,
    kept: Kept,
    step: Step,
}

/// The contents of the changelog of a partition.
#[derive(Default)]
struct Kept {
    /// Does META have parts in records of their own?
    has_parts: bool,
    meta: Option<Meta>,
    /// The keys of recorded inputs.
    recorded: BTreeSet<Vec<u8>>,
    customers: u64,
}

impl<'a> Reset<'a> {
    /// Checks everything and changes nothing. `alone`: waits until no process is a member of the group, and becomes its
    /// only one. `say` gets progress messages.
    ///
    /// # Errors
    /// What prevents it; brokers that do not answer.
    pub fn plan(loaded: &'a Loaded, way: ResetKind, alone: Alone, say: &dyn Fn(&str)) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        let brokers = Brokers::default();
        let kafka = Kafka { instance_id: String::new(), ..settings.kafka.clone() };
        let admin = Admin::new(&kafka, &brokers)?;
        let current = current_input(loaded, &admin)?;
        refuse_another_group(loaded, &admin, &brokers)?;
        let mut reset = Self {
            settings,
            admin,
            consumer: Consumer::outside(&kafka, &settings.topics.input, QUEUE_BYTES / 4, &brokers)?,
            watermarks: Watermarks::new(&kafka, &brokers)?,
            reader: Reader::new(&kafka, QUEUE_BYTES, &brokers)?,
            brokers,
            current,
            way,
            parts: Vec::new(),
        };
        match reset.inspect(alone, say) {
            Ok(()) => Ok(reset),
            Err(failure) => {
                reset.leave();
                Err(failure)
            }
        }
    }

    fn inspect(&mut self, alone: Alone, say: &dyn Fn(&str)) -> Result<(), Failure> {
        if alone == Alone::Required {
            become_only_member(&self.consumer, &self.admin, &self.settings.kafka, self.partitions(), say)?;
        }
        match self.way {
            ResetKind::Keep(from) => self.parts = self.plan_to_keep(from, say)?,
            ResetKind::Rebuild => self.check_rebuild()?,
        }
        Ok(())
    }

    /// Leaves the group, so that the processes need not wait for the session timeout.
    pub fn leave(&self) {
        leave(&self.consumer);
    }

    /// The plan as text, one line each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let topics = &self.settings.topics;
        let customers: u64 = self.parts.iter().map(|part| part.kept.customers).sum();
        match self.way {
            ResetKind::Keep(_) => {
                let part = |part: &Part| {
                    let name = format!("{}[{}]", topics.input, part.partition);
                    match &part.kept.meta {
                        Some(meta) => plan::words(&name, meta, &part.step),
                        None => format!("{name}: nothing was read yet; reading starts as kafka.start says"),
                    }
                };
                let all = format!("the state of all {customers} customers is kept; no changes are published");
                self.parts.iter().map(part).chain([all]).collect()
            }
            ResetKind::Rebuild => vec![
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
        self.way == ResetKind::Rebuild || self.parts.iter().any(|part| part.step != Step::Nothing)
    }

    /// Does it. Only after `plan` with `Alone::Required`.
    ///
    /// # Errors
    /// Brokers reject a request, or do not answer: the same command continues where this one ended.
    pub fn carry_out(&mut self, say: &dyn Fn(&str)) -> Result<(), Failure> {
        // A transactional id of its own: what an earlier run left open is ended.
        let kafka = Kafka { instance_id: "reset".to_owned(), ..self.settings.kafka.clone() };
        let mut producer = Producer::new(&kafka, QUEUE_BYTES, Sizes::of_records(RECORD_BYTES_MAX), &self.brokers)?;
        patient(|| producer.init(ASK))?;
        match self.way {
            ResetKind::Keep(_) => self.keep(&mut producer),
            ResetKind::Rebuild => self.rebuild(&mut producer, say),
        }
    }

    fn partitions(&self) -> std::ops::Range<i32> {
        0..self.current.partitions.cast_signed()
    }

    fn transact(
        &self,
        producer: &mut Producer,
        topic: &str,
        records: &[Write],
        offsets: &[(i32, i64, String)],
    ) -> Result<(), Failure> {
        let input = self.settings.topics.input.as_str();
        let offsets: Vec<_> =
            offsets.iter().map(|(partition, offset, mark)| (input, *partition, *offset, mark.as_str())).collect();
        transact(&self.consumer, producer, topic, records, &offsets)
    }
}

/// Must the command be the group's only member?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    Required,
    /// Enough to look.
    NotRequired,
}

/// The state in the topics of another group is not this one's to delete.
fn refuse_another_group(loaded: &Loaded, admin: &Admin, brokers: &Brokers) -> Result<(), Failure> {
    if patient(|| admin.identity(&loaded.settings.topics.rules, ASK))?.is_none() {
        return Ok(());
    }
    let mut topic = RulesTopic::new(&loaded.settings, brokers)?;
    patient(|| topic.read(&mut |_| {}))?;
    match topic.foreign() {
        Some(problem) => Err(Failure::Configuration(loaded.refusal("topics.rules", problem).to_string())),
        None => Ok(()),
    }
}

fn current_input(loaded: &Loaded, admin: &Admin) -> Result<CurrentInput, Failure> {
    let topic = &loaded.settings.topics.input;
    let cluster_id = patient(|| admin.cluster_id(ASK))?;
    let Some((id, partitions)) = patient(|| admin.identity(topic, ASK))? else {
        let problem = format!("there is no topic {topic} on this cluster");
        return Err(Failure::Configuration(loaded.refusal("topics.input", problem).to_string()));
    };
    Ok(CurrentInput {
        topic: topic.clone(),
        topic_id: id.unwrap_or_default(),
        cluster_id,
        partitions: u32::try_from(partitions).unwrap_or(0),
    })
}

/// Retries until there is an answer, for as long as brokers may be away.
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
