//! One partition without its lane: records are decoded and applied, states loaded and flushed, deadlines come due. What
//! `residents` does for the lane, it does here.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use cohortd::churn::{GammaGamma, MbgNbd};
use cohortd::codec::{Framing, Lookup, Schemas, recycle};
use cohortd::engine::{Detail, Engine, Model, Parameters, Shard, Slot, Standing, Timing};
use cohortd::event::{Instant, Number, Properties, Span};
use cohortd::residents::Residents;
use cohortd::rules::RuleSet;
use cohortd::store::{Database, SharedMemory};

use super::allocations;
use super::support::shop::{SCHEMA_ID, Shop};

/// As the settings' defaults.
pub(crate) const BATCH: usize = 10_000;
const FLUSH_AFTER: i64 = 1_000_000;
/// `memory.limit`, of which customers have 30 %.
pub(crate) const MEMORY: usize = 1 << 30;
pub(crate) const IDS_MAX: usize = 64;

/// Of the model of churn, where rules ask for it: as fitted to a shop.
pub(crate) const PARAMETERS: Parameters = Parameters {
    version: 1,
    model: Model::Purchases {
        transactions: MbgNbd { r: 0.525, alpha_days: 43.28, a: 0.891, b: 1.614 },
        amounts: Some(GammaGamma { p: 6.25, q: 3.744, v: 15.44 }),
    },
    recalibration: None,
    provisional: false,
};

/// Where ranks begin: about a tenth of those who buy spend as much.
const THRESHOLD: Standing = Standing { value: Number(500 * Number::ONE), hash: 0 };

/// What a run took, in its second half.
#[derive(Default)]
pub(crate) struct Cost {
    pub(crate) events: u64,
    pub(crate) reading: Duration,
    pub(crate) decoding: Duration,
    pub(crate) taking: Duration,
    pub(crate) writing: Duration,
    /// CPU of the thread itself, and of RocksDB's threads beside it.
    pub(crate) cpu: Duration,
    pub(crate) background: Duration,
    pub(crate) states_read: u64,
    pub(crate) states_written: u64,
    /// Timers that came up early and were set again.
    pub(crate) rearmed: u64,
    pub(crate) changes: u64,
    /// Changes of levels of churn risk.
    pub(crate) risks: u64,
    /// While records are decoded and applied and deadlines decided: all, and without the deadlines, those of events
    /// that changed no cohort.
    pub(crate) allocations: u64,
    pub(crate) allocations_quiet: u64,
    pub(crate) decoding_allocations: u64,
}

/// One partition without its lane.
pub(crate) struct Bench {
    pub(crate) rules: Arc<RuleSet>,
    schemas: Schemas,
    pub(crate) residents: Residents,
    pub(crate) position: i64,
    properties: Properties<'static>,
    /// Of the batch's records, where their customers were in memory before it.
    slots: Vec<Option<Slot>>,
    customer_bytes: usize,
    pub(crate) cost: Cost,
}

/// Keys and records of one batch, in two buffers.
#[derive(Default)]
pub(crate) struct Records {
    keys: Vec<u8>,
    bytes: Vec<u8>,
    pub(crate) ends: Vec<(usize, usize)>,
}

impl Records {
    pub(crate) fn fill(&mut self, shop: &mut Shop) {
        let (mut key, mut record) = (Vec::new(), Vec::new());
        self.keys.clear();
        self.bytes.clear();
        self.ends.clear();
        while self.ends.len() < BATCH && shop.next(&mut key, &mut record) {
            self.keys.extend_from_slice(&key);
            self.bytes.extend_from_slice(&record);
            self.ends.push((self.keys.len(), self.bytes.len()));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let starts = std::iter::once((0, 0)).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(from, to)| (std::str::from_utf8(&self.keys[from.0..to.0]).unwrap(), &self.bytes[from.1..to.1]))
    }
}

impl Bench {
    pub(crate) fn new(folder: &Path, rules: Arc<RuleSet>) -> Self {
        Self::with_memory(MEMORY, folder, rules)
    }

    /// With so much memory in place of the default limit.
    pub(crate) fn with_memory(memory: usize, folder: &Path, rules: Arc<RuleSet>) -> Self {
        let schemas_dir = folder.join("schemas");
        std::fs::create_dir_all(&schemas_dir).unwrap();
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/customer-event.avsc");
        std::fs::copy(schema, schemas_dir.join(format!("{SCHEMA_ID}.avsc"))).unwrap();
        let timing = Timing {
            arrives_within: Span::MINUTE,
            max_lateness: Span(4 * Span::DAY.0),
            earliest: Instant(631_152_000_000),
        };
        let customer_bytes = memory / 100 * 30;
        let memory = SharedMemory::new(customer_bytes, memory / 100 * 15);
        let mut shard = Shard::new(Engine::new(Arc::clone(&rules), timing.max_lateness, IDS_MAX), timing, Instant::MIN);
        shard.set_thresholds(rules.ranks.iter().map(|_| Some(THRESHOLD)).collect());
        shard.set_parameters(rules.churn.is_some().then(|| Arc::new(PARAMETERS)), Instant::MIN);
        let database = Database::open(&folder.join("state"), &memory).unwrap();
        Self {
            schemas: Schemas::built_in().with_files(&schemas_dir).unwrap(),
            residents: Residents::new(shard, database).unwrap(),
            rules,
            position: 0,
            properties: Properties::new(),
            slots: Vec::new(),
            customer_bytes,
            cost: Cost::default(),
        }
    }

    pub(crate) fn batch(&mut self, records: &Records) {
        self.residents.begin(self.position);
        let started = Moment::now();
        self.read(records);
        self.cost.reading += started.elapsed();

        let (started, before) = (Moment::now(), allocations());
        self.take(records);
        self.cost.taking += started.elapsed();
        self.cost.allocations += allocations() - before;

        let started = Moment::now();
        self.write();
        self.cost.writing += started.elapsed();
        self.cost.events += records.ends.len() as u64;
    }

    fn read(&mut self, records: &Records) {
        self.slots.clear();
        let keys: Vec<Option<&str>> = records.iter().map(|(key, _)| Some(key)).collect();
        let missing = self.residents.find_all(&keys, &mut self.slots);
        self.cost.states_read += self.residents.load(missing).unwrap() as u64;
    }

    fn take(&mut self, records: &Records) {
        for (place, (key, record)) in records.iter().enumerate() {
            let before = allocations();
            self.residents.shard().prefetch_ahead(|ahead| self.slots.get(place + ahead).copied().flatten());
            let mut properties = recycle(std::mem::take(&mut self.properties));
            let (schema, datum) = Framing::Tagged.split(record).unwrap();
            let Lookup::Ready(reader) = self.schemas.lookup(schema) else { panic!("the schema is known") };
            let event = reader.decode(datum, &self.rules.vocabulary, &mut properties).unwrap();
            assert_eq!(event.customer, key);
            assert_eq!(self.residents.shard().refuses(event.at), None);
            let slot = self.slots[place].unwrap_or_else(|| self.residents.find_or_new(event.customer));
            assert!(self.residents.apply_event(slot, &event, self.position, Detail::Full));
            self.position += 1;
            self.properties = recycle(properties);
            let allocated = allocations() - before;
            if self.decide() == 0 {
                self.cost.allocations_quiet += allocated;
            }
        }
    }

    /// Decides the deadlines before stream time. Returns how many changes of cohorts there were since the last call.
    pub(crate) fn decide(&mut self) -> u64 {
        let until = self.residents.shard().stream_time();
        let before = self.cost.changes;
        loop {
            let decided = self.residents.decide_some(until, BATCH, self.position, Detail::Full).unwrap();
            self.cost.risks += self.residents.take_risks().len() as u64;
            if self.residents.has_effects() {
                let effects = self.residents.take_effects();
                self.cost.changes += effects.len() as u64;
                self.residents.reuse_effects(effects);
            }
            if decided.more_from.is_none() {
                return self.cost.changes - before;
            }
        }
    }

    /// Flushes customers who have been dirty for long or must make room, and writes the batch.
    pub(crate) fn write(&mut self) {
        while self.residents.flush_next(self.position - FLUSH_AFTER).is_some() {
            self.cost.states_written += 1;
        }
        let victims = self.residents.make_room(self.customer_bytes);
        for slot in &victims {
            self.cost.states_written += u64::from(self.residents.flush_one(*slot).is_some());
        }
        self.residents.write().unwrap();
        self.cost.rearmed += self.residents.committed(&victims).rearmed;
    }

    /// Flushes everybody who is dirty, and writes them.
    pub(crate) fn flush_all(&mut self) {
        while self.residents.flush_next(i64::MAX).is_some() {
            self.cost.states_written += 1;
        }
        self.residents.write().unwrap();
        self.residents.committed(&[]);
    }

    /// The same records decoded once more, and nothing else.
    pub(crate) fn decode(&mut self, records: &Records) {
        let (started, before) = (Moment::now(), allocations());
        for (_, record) in records.iter() {
            let mut properties = recycle(std::mem::take(&mut self.properties));
            let (schema, datum) = Framing::Tagged.split(record).unwrap();
            let Lookup::Ready(reader) = self.schemas.lookup(schema) else { panic!("the schema is known") };
            std::hint::black_box(reader.decode(datum, &self.rules.vocabulary, &mut properties).unwrap());
            self.properties = recycle(properties);
        }
        self.cost.decoding += started.elapsed();
        self.cost.decoding_allocations += allocations() - before;
    }
}
