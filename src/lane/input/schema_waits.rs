//! Partitions whose next record waits for its schema, and how long they may.
//!
//! All unknown ids among the next records are requested at once, so that a burst of them is waited for together. A
//! registry may get a schema late, so "not found" is asked again; but all ids of one burst together are waited for no
//! longer than `schemas.retry_for`. After that, one "not found" is enough, and the record goes to the dead letters. A
//! registry that does not answer is waited for without limit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::codec::{Framing, Lookup, SchemaKey, Schemas};
use crate::kafka::Record;
use crate::metrics::{LaneHealth, Wait, WaitCause};

/// A burst of unknown ids ends this long after its first one; later ids get a new wait. With the default `retry_for` a
/// partition waits for such ids at most a twentieth of the time.
const BURST_LASTS: Duration = Duration::from_mins(10);
/// However long `retry_for` is, a partition waits at most a quarter of the time.
const BURST_LASTS_TIMES: u32 = 4;
/// Ids of one burst that are requested whatever they are; after that only plausible ones.
const QUESTIONS_MAX: u32 = 2_000;
/// Records after a waiting one whose schemas are requested, per batch.
const LOOK_AHEAD_RECORDS: usize = 10_000;
/// Ids that a partition waits for at a time.
const LOOK_AHEAD_IDS: usize = 1_024;
/// Once the schema of the next record is known, how long the others are waited for: a seek costs more.
const SETTLE_WITHIN: Duration = Duration::from_millis(200);

/// Which partitions wait, and how long each has waited in its present burst.
#[derive(Default)]
pub(in crate::lane) struct SchemaWaits {
    waiting: BTreeMap<i32, Waiting>,
    bursts: BTreeMap<i32, Burst>,
}

/// A partition that waits.
struct Waiting {
    /// The schema of the next record.
    schema: SchemaKey,
    /// Schemas of records after it.
    others: Vec<SchemaKey>,
    /// Since when the next record can be decoded or rejected.
    settled: Option<Moment>,
    cause: Option<WaitCause>,
}

/// Unknown ids of one partition within some minutes.
struct Burst {
    began: Moment,
    patience: Patience,
    questions: u32,
}

/// Total time spent waiting for schemas that the registry does not have.
#[derive(Default)]
pub(in crate::lane) struct Patience {
    waited: Duration,
    /// When such a schema was last looked up.
    looked: Option<Moment>,
}

/// Why a record cannot be ingested yet.
pub(in crate::lane) struct Obstacle {
    pub(in crate::lane) cause: WaitCause,
    /// A sentence for operators.
    pub(in crate::lane) detail: String,
}

impl Obstacle {
    /// Why records of a schema that was known before cannot be decoded; none if they can. During a replay they must not
    /// be rejected, whatever the registry answers.
    pub(in crate::lane) fn to(schema: SchemaKey, schemas: &mut Schemas) -> Option<Self> {
        let (cause, detail) = match schemas.lookup(schema) {
            Lookup::Ready(_) => return None,
            Lookup::Pending => (WaitCause::Schema, format!("{schema} has been asked for")),
            Lookup::Missing { .. } | Lookup::NotFound { .. } => {
                let way_on = "register it again, or put it into schemas.dir";
                (WaitCause::Schema, format!("the schema registry does not know {schema} any more; {way_on}"))
            }
            Lookup::Unusable(reason) => (WaitCause::Schema, format!("{schema} is of no use any more: {reason}")),
            Lookup::NoAnswer { reason, .. } => (WaitCause::Registry, format!("{schema} is needed: {reason}")),
        };
        Some(Self { cause, detail })
    }
}

impl SchemaWaits {
    pub(super) fn is_waiting(&self, partition: i32) -> bool {
        self.waiting.contains_key(&partition)
    }

    /// Checks all waiting partitions, reports those that still wait, and returns those that can go on.
    pub(in crate::lane) fn release(&mut self, schemas: &mut Schemas, health: LaneHealth<'_>) -> Vec<i32> {
        let mut released = Vec::new();
        let mut all = std::mem::take(&mut self.waiting);
        all.retain(|number, waiting| {
            let burst = self.burst(*number, schemas);
            burst.patience.update(waiting.schema, schemas);
            if let Some(obstacle) = burst.patience.obstacle(waiting.schema, schemas) {
                waiting.declare(*number, obstacle, health);
                return true;
            }
            let settled = *waiting.settled.get_or_insert_with(Moment::now);
            waiting.others.retain(|schema| burst.patience.obstacle(*schema, schemas).is_some());
            if !waiting.others.is_empty() && settled.elapsed() < SETTLE_WITHIN {
                return true;
            }
            burst.patience.looked = None;
            waiting.end(*number, health);
            released.push(*number);
            false
        });
        self.waiting = all;
        released
    }

    /// A partition waits for something else now, or is no longer ours.
    pub(in crate::lane) fn forget(&mut self, partition: i32, health: LaneHealth<'_>) {
        if let Some(waiting) = self.waiting.remove(&partition) {
            waiting.end(partition, health);
        }
        if let Some(burst) = self.bursts.get_mut(&partition) {
            burst.patience.looked = None;
        }
    }

    /// Requests a schema; why records written with it cannot be ingested yet.
    fn ask(&mut self, number: i32, schema: SchemaKey, schemas: &mut Schemas) -> Option<Obstacle> {
        let burst = self.burst(number, schemas);
        if schemas.is_new(schema) {
            burst.questions += 1;
            if burst.questions > QUESTIONS_MAX {
                schemas.refuse_implausible(schema);
            }
        }
        burst.patience.obstacle(schema, schemas)
    }

    /// The present burst, or a new one.
    fn burst(&mut self, number: i32, schemas: &Schemas) -> &mut Burst {
        let lasts = BURST_LASTS.max(schemas.retry_for() * BURST_LASTS_TIMES);
        let new = || Burst { began: Moment::now(), patience: Patience::default(), questions: 0 };
        let burst = self.bursts.entry(number).or_insert_with(new);
        if burst.began.elapsed() >= lasts {
            *burst = new();
        }
        burst
    }
}

/// Admits the records of a batch whose schemas are known.
pub(in crate::lane) struct SchemaGate<'a> {
    waits: &'a mut SchemaWaits,
    schemas: &'a mut Schemas,
    framing: Framing,
    looked_ahead: usize,
}

impl<'a> SchemaGate<'a> {
    pub(in crate::lane) fn new(waits: &'a mut SchemaWaits, schemas: &'a mut Schemas, framing: Framing) -> Self {
        Self { waits, schemas, framing, looked_ahead: 0 }
    }

    /// Can this record be ingested now? If not, its partition waits from here on.
    pub(super) fn admits(&mut self, record: &Record<'_>) -> bool {
        let Some(schema) = self.schema_of(record) else { return true };
        // The common case.
        if let Lookup::Ready(_) = self.schemas.lookup_known(schema) {
            return true;
        }
        if self.waits.ask(record.partition(), schema, self.schemas).is_none() {
            return true;
        }
        let waiting = Waiting { schema, others: Vec::new(), settled: None, cause: None };
        self.waits.waiting.insert(record.partition(), waiting);
        false
    }

    /// Requests the schema of a record after a waiting one. True: the limit for one batch is reached.
    pub(super) fn looks_ahead(&mut self, record: &Record<'_>) -> bool {
        let number = record.partition();
        if !self.waits.is_waiting(number) {
            return false;
        }
        self.looked_ahead += 1;
        if let Some(schema) = self.schema_of(record)
            && self.waits.ask(number, schema, self.schemas).is_some()
            && let Some(waiting) = self.waits.waiting.get_mut(&number)
            && waiting.others.len() < LOOK_AHEAD_IDS
            && !waiting.others.contains(&schema)
        {
            waiting.others.push(schema);
        }
        self.looked_ahead >= LOOK_AHEAD_RECORDS
    }

    /// The schema of a record; none if the record is handled without one.
    fn schema_of(&self, record: &Record<'_>) -> Option<SchemaKey> {
        self.framing.split(record.payload()?).ok().map(|(schema, _)| schema)
    }
}

impl Waiting {
    fn declare(&mut self, number: i32, obstacle: Obstacle, health: LaneHealth<'_>) {
        let Obstacle { cause, mut detail } = obstacle;
        if self.cause != Some(cause) {
            self.end(number, health);
            self.cause = Some(cause);
        }
        if !self.others.is_empty() {
            detail.push_str(&format!(" (and {} more)", self.others.len()));
        }
        health.wait(Wait { cause, partition: Some(number), detail });
    }

    fn end(&self, number: i32, health: LaneHealth<'_>) {
        if let Some(cause) = self.cause {
            health.resume(cause, Some(number));
        }
    }
}

impl Patience {
    /// Adds the time since the last call if it was spent on a schema that the registry does not have. While the
    /// registry does not answer, the total is reset: once it is back it may not have loaded everything yet.
    pub(in crate::lane) fn update(&mut self, schema: SchemaKey, schemas: &mut Schemas) {
        let now = Moment::now();
        let looked = self.looked.replace(now);
        let answers = schemas.registry_answers();
        match schemas.lookup(schema) {
            Lookup::Missing { .. } if answers => {
                self.waited += looked.map_or(Duration::ZERO, |looked| now.duration_since(looked));
            }
            Lookup::NoAnswer { .. } => self.waited = Duration::ZERO,
            _ => {}
        }
    }

    /// Why records of a schema cannot be ingested yet; none once they can be decoded or rejected.
    pub(in crate::lane) fn obstacle(&self, schema: SchemaKey, schemas: &mut Schemas) -> Option<Obstacle> {
        let retry_for = schemas.retry_for();
        let (cause, detail) = match schemas.lookup(schema) {
            Lookup::Ready(_) | Lookup::NotFound { .. } | Lookup::Unusable(_) => return None,
            Lookup::Missing { .. } if self.waited >= retry_for => return None,
            Lookup::Missing { lacks, .. } => {
                let what = match lacks {
                    Some(lacks) => format!("{schema}: {lacks}"),
                    None => format!("the schema registry does not know {schema}"),
                };
                let then = "then such records go to the dead letters";
                (
                    WaitCause::Schema,
                    format!("{what}, and is asked again for up to {} s; {then}", retry_for.as_secs_f64()),
                )
            }
            Lookup::Pending => (WaitCause::Schema, format!("{schema} has been asked for")),
            Lookup::NoAnswer { reason, .. } => (WaitCause::Registry, format!("{schema} is needed: {reason}")),
        };
        Some(Obstacle { cause, detail })
    }
}
