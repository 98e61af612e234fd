//! Partitions whose next record waits for its schemas, and how long they may.
//!
//! All unknown ids among the next records are requested at once, so that a burst of them is waited for together. A
//! registry may get a schema late, so "not found" is asked again; but all ids of one burst together are waited for no
//! longer than `schemas.retry_for`. After that, one "not found" is enough, and the record goes to the dead letters. A
//! registry that does not answer is waited for without limit.
//!
//! Partitions are named by their numbers, as their consumer gives them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use crate::codec::{Lookup, SchemaKey, Schemas};
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

/// The schemas that a record needs: none, one, or those of its key and its value.
pub(crate) type Needed = [Option<SchemaKey>; 2];

/// Which partitions wait, and how long each has waited in its present burst.
#[derive(Default)]
pub(crate) struct SchemaWaits {
    waiting: BTreeMap<i32, Waiting>,
    bursts: BTreeMap<i32, Burst>,
}

/// A partition that waits.
struct Waiting {
    /// The schemas of the next record.
    needed: Needed,
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
pub(crate) struct Patience {
    waited: Duration,
    /// When such a schema was last looked up.
    looked: Option<Moment>,
}

/// Why a record cannot be ingested yet.
pub(crate) struct Obstacle {
    pub(crate) cause: WaitCause,
    /// A sentence for operators.
    pub(crate) detail: String,
}

impl Obstacle {
    /// Why records of a schema that was known before cannot be decoded; none if they can. During a replay they must not
    /// be rejected, whatever the registry answers.
    pub(crate) fn to<T>(schema: SchemaKey, schemas: &mut Schemas<T>) -> Option<Self> {
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
    pub(crate) fn is_waiting(&self, partition: i32) -> bool {
        self.waiting.contains_key(&partition)
    }

    /// Checks all waiting partitions, reports those that still wait, and returns those that can go on.
    pub(crate) fn release<T>(&mut self, schemas: &mut Schemas<T>, health: LaneHealth<'_>) -> Vec<i32> {
        let mut released = Vec::new();
        let mut all = std::mem::take(&mut self.waiting);
        all.retain(|number, waiting| {
            let burst = self.burst(*number, schemas);
            burst.patience.update(waiting.needed.into_iter().flatten(), schemas);
            let mut needed = waiting.needed.into_iter().flatten();
            if let Some(obstacle) = needed.find_map(|schema| burst.patience.obstacle(schema, schemas)) {
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
    pub(crate) fn forget(&mut self, partition: i32, health: LaneHealth<'_>) {
        if let Some(waiting) = self.waiting.remove(&partition) {
            waiting.end(partition, health);
        }
        if let Some(burst) = self.bursts.get_mut(&partition) {
            burst.patience.looked = None;
        }
    }

    /// Requests what the next record of a partition needs. False: the partition waits for it from here on.
    fn admits<T>(&mut self, number: i32, needed: Needed, schemas: &mut Schemas<T>) -> bool {
        // All are requested, also if the first is missing.
        let missing =
            needed.into_iter().flatten().filter(|schema| self.ask(number, *schema, schemas).is_some()).count();
        if missing > 0 {
            self.waiting.insert(number, Waiting { needed, others: Vec::new(), settled: None, cause: None });
        }
        missing == 0
    }

    /// Requests what a record after the next one of a waiting partition needs.
    fn look_ahead<T>(&mut self, number: i32, needed: Needed, schemas: &mut Schemas<T>) {
        for schema in needed.into_iter().flatten() {
            if self.ask(number, schema, schemas).is_some()
                && let Some(waiting) = self.waiting.get_mut(&number)
                && waiting.others.len() < LOOK_AHEAD_IDS
                && !waiting.others.contains(&schema)
            {
                waiting.others.push(schema);
            }
        }
    }

    /// Requests a schema; why records written with it cannot be ingested yet.
    fn ask<T>(&mut self, number: i32, schema: SchemaKey, schemas: &mut Schemas<T>) -> Option<Obstacle> {
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
    fn burst<T>(&mut self, number: i32, schemas: &Schemas<T>) -> &mut Burst {
        let lasts = BURST_LASTS.max(schemas.retry_for() * BURST_LASTS_TIMES);
        let new = || Burst { began: Moment::now(), patience: Patience::default(), questions: 0 };
        let burst = self.bursts.entry(number).or_insert_with(new);
        if burst.began.elapsed() >= lasts {
            *burst = new();
        }
        burst
    }
}

/// Admits the records of a batch whose schemas are known. `F`: which schemas a record needs.
pub(crate) struct SchemaGate<'a, T, F> {
    waits: &'a mut SchemaWaits,
    schemas: &'a mut Schemas<T>,
    needed: F,
    looked_ahead: usize,
}

impl<'a, T, F: Fn(&Record<'_>) -> Needed> SchemaGate<'a, T, F> {
    /// `needed` returns no schema for a record that is handled without one.
    pub(crate) fn new(waits: &'a mut SchemaWaits, schemas: &'a mut Schemas<T>, needed: F) -> Self {
        Self { waits, schemas, needed, looked_ahead: 0 }
    }

    /// Can this record be ingested now? If not, its partition waits from here on.
    pub(crate) fn admits(&mut self, record: &Record<'_>) -> bool {
        let needed = (self.needed)(record);
        // The common case.
        let is_known = |schema: &SchemaKey| matches!(self.schemas.lookup_known(*schema), Lookup::Ready(_));
        needed.iter().flatten().all(is_known) || self.waits.admits(record.partition(), needed, self.schemas)
    }

    /// Requests the schema of a record after a waiting one. True: the limit for one batch is reached.
    pub(crate) fn looks_ahead(&mut self, record: &Record<'_>) -> bool {
        let number = record.partition();
        if !self.waits.is_waiting(number) {
            return false;
        }
        self.looked_ahead += 1;
        self.waits.look_ahead(number, (self.needed)(record), self.schemas);
        self.looked_ahead >= LOOK_AHEAD_RECORDS
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
    /// Adds the time since the last call if it was spent on schemas, `needed` by one record, of which the registry does
    /// not have one. While the registry does not answer, the total is reset: once it is back it may not have loaded
    /// everything yet.
    pub(crate) fn update<T>(&mut self, needed: impl IntoIterator<Item = SchemaKey>, schemas: &mut Schemas<T>) {
        let now = Moment::now();
        let looked = self.looked.replace(now);
        let answers = schemas.registry_answers();
        let (mut is_missing, mut is_unanswered) = (false, false);
        for schema in needed {
            match schemas.lookup(schema) {
                Lookup::Missing { .. } => is_missing = true,
                Lookup::NoAnswer { .. } => is_unanswered = true,
                Lookup::Ready(_) | Lookup::Pending | Lookup::NotFound { .. } | Lookup::Unusable(_) => {}
            }
        }
        if is_unanswered {
            self.waited = Duration::ZERO;
        } else if is_missing && answers {
            self.waited += looked.map_or(Duration::ZERO, |looked| now.duration_since(looked));
        }
    }

    /// Why records of a schema cannot be ingested yet; none once they can be decoded or rejected.
    pub(crate) fn obstacle<T>(&self, schema: SchemaKey, schemas: &mut Schemas<T>) -> Option<Obstacle> {
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::{Duration, Moment, Patience, SchemaKey, SchemaWaits, Schemas};
    use crate::codec::{Access, Registry, WriterSchema};
    use crate::metrics::{Health, Metrics};

    const IN_A_FILE: SchemaKey = SchemaKey::Id(17);
    const NOWHERE: SchemaKey = SchemaKey::Id(18);
    const LONG: Duration = Duration::from_hours(1);

    /// Schema 17 is in a file, and the registry at this address is asked for others.
    fn schemas(address: &str) -> Schemas<WriterSchema> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("17.avsc"), "\"string\"").unwrap();
        let registry = Registry::new(address, Access::default()).unwrap();
        Schemas::default().with_files(folder.path()).unwrap().with_registry(registry, LONG, None).unwrap()
    }

    /// The address of a registry without schemas.
    fn registry_without_schemas() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = BufReader::new(stream.try_clone().unwrap()).lines();
                request.map_while(Result::ok).find(String::is_empty);
                let text = r#"{"error_code": 40403, "message": "Schema not found"}"#;
                let head = format!("HTTP/1.1 404 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                stream.write_all((head + text).as_bytes()).ok();
            }
        });
        format!("http://{address}")
    }

    #[test]
    fn a_record_is_admitted_once_every_schema_that_it_needs_is_known() {
        // Nobody answers there.
        let mut schemas = schemas("http://127.0.0.1:1");
        let (metrics, mut waits) = (Metrics::new("0", "0"), SchemaWaits::default());
        let health = Health::new(1, 0, &metrics);
        for (number, needed) in [(0, [None, None]), (1, [Some(IN_A_FILE), None]), (2, [Some(IN_A_FILE); 2])] {
            assert!(waits.admits(number, needed, &mut schemas) && !waits.is_waiting(number), "{needed:?}");
        }
        for (number, needed) in
            [(3, [Some(NOWHERE), None]), (4, [Some(NOWHERE), Some(IN_A_FILE)]), (5, [Some(IN_A_FILE), Some(NOWHERE)])]
        {
            assert!(!waits.admits(number, needed, &mut schemas) && waits.is_waiting(number), "{needed:?}");
        }
        assert_eq!(waits.release(&mut schemas, health.lane(0)), [0; 0]);
        waits.forget(4, health.lane(0));
        assert!(!waits.is_waiting(4) && waits.is_waiting(5));
    }

    #[test]
    fn the_schemas_of_a_key_and_a_value_are_requested_together() {
        let mut schemas = schemas("http://127.0.0.1:1");
        let mut waits = SchemaWaits::default();
        let (key, value) = (SchemaKey::Id(1), SchemaKey::Id(2));
        assert!(!waits.admits(0, [Some(key), Some(value)], &mut schemas));
        assert!(!schemas.is_new(key) && !schemas.is_new(value));
        let later = [SchemaKey::Id(3), SchemaKey::Id(4)];
        waits.look_ahead(0, later.map(Some), &mut schemas);
        assert_eq!(waits.waiting[&0].others, later);
    }

    #[test]
    fn time_spent_on_the_schema_of_a_value_counts_whatever_that_of_the_key_is() {
        let mut schemas = schemas(&registry_without_schemas());
        let spent = |needed: &[SchemaKey], schemas: &mut Schemas<WriterSchema>| {
            let mut patience = Patience::default();
            patience.update(needed.iter().copied(), schemas);
            std::thread::sleep(Duration::from_millis(20));
            patience.update(needed.iter().copied(), schemas);
            patience.waited
        };
        let started = Moment::now();
        while spent(&[NOWHERE], &mut schemas).is_zero() {
            assert!(started.elapsed() < Duration::from_secs(20), "the registry answers");
        }
        for needed in [[IN_A_FILE, NOWHERE], [NOWHERE, IN_A_FILE]] {
            assert!(!spent(&needed, &mut schemas).is_zero(), "{needed:?}");
        }
        assert!(spent(&[IN_A_FILE], &mut schemas).is_zero());
    }
}
