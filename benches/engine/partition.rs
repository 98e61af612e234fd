//! One partition without its lane: records are decoded and applied, states written and read, deadlines come due.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use cohortd::churn::{GammaGamma, MbgNbd};
use cohortd::codec::{Framing, Lookup, Schemas, recycle};
use cohortd::engine::{CustomerEffect, Detail, Engine, Model, Parameters, Shard, Slot, Timing};
use cohortd::event::{Instant, Properties, Span};
use cohortd::rules::RuleSet;
use cohortd::store::layout::ordered;
use cohortd::store::{Batch, Database, SharedMemory, decode_state, next_deadline};

use super::allocations;
use super::support::shop::{SCHEMA_ID, Shop};

/// As the settings' defaults.
pub(crate) const BATCH: usize = 10_000;
const FLUSH_AFTER: i64 = 1_000_000;
const MEMORY: usize = 1 << 30;
pub(crate) const IDS_MAX: usize = 64;
/// As in the lane.
const LOOK_AHEAD: usize = 32;

/// Of the model of churn, where rules ask for it: as fitted to a shop.
const PARAMETERS: Parameters = Parameters {
    version: 1,
    model: Model::Purchases {
        transactions: MbgNbd { r: 0.525, alpha_days: 43.28, a: 0.891, b: 1.614 },
        amounts: Some(GammaGamma { p: 6.25, q: 3.744, v: 15.44 }),
    },
    recalibration: None,
    provisional: false,
};

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
    /// While records are decoded and applied: all, and those of events that changed no cohort.
    pub(crate) allocations: u64,
    pub(crate) allocations_quiet: u64,
    pub(crate) decoding_allocations: u64,
}

/// One partition without its lane.
pub(crate) struct Bench {
    pub(crate) rules: Arc<RuleSet>,
    schemas: Schemas,
    pub(crate) shard: Shard,
    pub(crate) database: Database,
    pub(crate) position: i64,
    /// Everything in the timer index before this was looked at.
    scanned_to: Instant,
    properties: Properties<'static>,
    pub(crate) effects: Vec<CustomerEffect>,
    /// Of the batch's records, where their customers were in memory before it.
    slots: Vec<Option<Slot>>,
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

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let starts = std::iter::once((0, 0)).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(from, to)| (std::str::from_utf8(&self.keys[from.0..to.0]).unwrap(), &self.bytes[from.1..to.1]))
    }
}

impl Bench {
    pub(crate) fn new(folder: &Path, rules: Arc<RuleSet>) -> Self {
        let schemas_dir = folder.join("schemas");
        std::fs::create_dir_all(&schemas_dir).unwrap();
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/customer-event.avsc");
        std::fs::copy(schema, schemas_dir.join(format!("{SCHEMA_ID}.avsc"))).unwrap();
        let timing = Timing {
            arrives_within: Span::MINUTE,
            max_lateness: Span(4 * Span::DAY.0),
            earliest: Instant(631_152_000_000),
        };
        let memory = SharedMemory::new(MEMORY / 100 * 30, MEMORY / 100 * 15);
        let mut shard = Shard::new(Engine::new(Arc::clone(&rules), timing.max_lateness, IDS_MAX), timing, Instant::MIN);
        shard.set_parameters(rules.churn.is_some().then(|| Arc::new(PARAMETERS)), Instant::MIN);
        Self {
            schemas: Schemas::built_in().with_files(&schemas_dir).unwrap(),
            shard,
            rules,
            database: Database::open(&folder.join("state"), &memory).unwrap(),
            position: 0,
            scanned_to: Instant::MIN,
            properties: Properties::new(),
            effects: Vec::new(),
            slots: Vec::new(),
            cost: Cost::default(),
        }
    }

    pub(crate) fn batch(&mut self, records: &Records) {
        self.shard.begin(self.position);
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
        let mut missing: Vec<&str> = Vec::new();
        self.slots.clear();
        for (key, _) in records.iter() {
            let slot = self.shard.find(key);
            if slot.is_none() {
                missing.push(key);
            }
            self.slots.push(slot);
        }
        missing.sort_unstable();
        missing.dedup();
        let found = self.database.customers(&missing).unwrap();
        for (customer, stored) in missing.into_iter().zip(found) {
            if let Some(stored) = stored {
                let state = decode_state(stored.state(), &self.rules).unwrap();
                self.shard.insert(customer, state, stored.indexed_at().unwrap());
                self.cost.states_read += 1;
            }
        }
    }

    fn take(&mut self, records: &Records) {
        for (place, (key, record)) in records.iter().enumerate() {
            let before = allocations();
            if place.is_multiple_of(LOOK_AHEAD) {
                self.slots[place..].iter().take(LOOK_AHEAD).flatten().for_each(|slot| self.shard.prefetch(*slot));
            }
            let mut properties = recycle(std::mem::take(&mut self.properties));
            let (schema, datum) = Framing::Tagged.split(record).unwrap();
            let Lookup::Ready(reader) = self.schemas.lookup(schema) else { panic!("the schema is known") };
            let event = reader.decode(datum, &self.rules.vocabulary, &mut properties).unwrap();
            assert_eq!(event.customer, key);
            assert_eq!(self.shard.refuses(event.at), None);
            let slot = self.slots[place].unwrap_or_else(|| self.shard.find_or_new(event.customer));
            assert!(self.shard.apply(slot, &event, self.position, Detail::Full, &mut self.effects));
            self.position += 1;
            self.cost.changes += self.effects.len() as u64;
            if self.effects.is_empty() {
                self.cost.allocations_quiet += allocations() - before;
            }
            self.effects.clear();
            self.properties = recycle(properties);
        }
    }

    /// Deadlines of customers that are only stored, then everything that is to be written.
    pub(crate) fn write(&mut self) {
        let mut batch = Batch::default();
        let stream_time = self.shard.stream_time();
        for (due, customer) in self.database.due(&ordered(self.scanned_to.0), stream_time, usize::MAX).unwrap() {
            self.passed(due, &customer, &mut batch);
        }
        self.scanned_to = stream_time;
        self.shard.fire_due(self.position, Detail::Full, &mut self.effects);
        self.cost.changes += self.effects.len() as u64;
        self.effects.clear();
        self.cost.risks += self.shard.take_risks().len() as u64;
        while let Some(slot) = self.shard.take_dirty(self.position - FLUSH_AFTER) {
            self.flush(slot, &mut batch);
        }
        let victims = self.shard.make_room(MEMORY / 100 * 30);
        for slot in &victims {
            if self.shard.take_if_dirty(*slot) {
                self.flush(*slot, &mut batch);
            }
        }
        self.database.write(&batch).unwrap();
        victims.into_iter().for_each(|slot| self.shard.remove(slot));
    }

    /// As the lane does with an entry of the index that stream time has passed.
    fn passed(&mut self, due: Instant, customer: &str, batch: &mut Batch) {
        if let Some(slot) = self.shard.find(customer) {
            if self.shard.indexed_at(slot) == due && self.shard.is_clean(slot) {
                self.flush(slot, batch);
            }
            return;
        }
        let Some(stored) = self.database.customer(customer).unwrap() else { return };
        if stored.indexed_at().unwrap() != due {
            batch.delete_timer(due, customer);
            return;
        }
        let deadline = next_deadline(stored.state()).unwrap();
        if deadline < self.shard.stream_time() {
            let state = decode_state(stored.state(), &self.rules).unwrap();
            self.shard.insert(customer, state, due);
            return;
        }
        self.cost.rearmed += 1;
        batch.delete_timer(due, customer);
        batch.put_customer(customer, deadline, stored.state());
        if deadline < Instant::MAX {
            batch.put_timer(deadline, customer);
        }
    }

    /// Everything that is dirty.
    pub(crate) fn flush_all(&mut self) {
        let mut batch = Batch::default();
        while let Some(slot) = self.shard.take_dirty(i64::MAX) {
            self.flush(slot, &mut batch);
        }
        self.database.write(&batch).unwrap();
    }

    pub(crate) fn flush(&mut self, slot: Slot, batch: &mut Batch) {
        let customer = self.shard.customer(slot);
        let mut bytes = Vec::with_capacity(384);
        self.shard.encode(slot, &mut bytes);
        let (old, deadline) = (self.shard.indexed_at(slot), self.shard.next_deadline(slot));
        let serves = old >= self.shard.stream_time() && old <= deadline && old < Instant::MAX;
        let indexed_at = if serves { old } else { deadline };
        if !serves {
            if old < Instant::MAX {
                batch.delete_timer(old, customer);
            }
            if deadline < Instant::MAX {
                batch.put_timer(deadline, customer);
            }
        }
        batch.put_customer(customer, indexed_at, &bytes);
        self.shard.set_indexed_at(slot, indexed_at);
        self.cost.states_written += 1;
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
