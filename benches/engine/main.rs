//! The engine alone on one core: decode, decide by the default cohorts, state in RocksDB; no broker.
//!
//! The lane's loop without Kafka: batches of 10,000 records, missing states read at once, changed customers written
//! after a million events or when memory is needed. It mirrors `lane::partition`, which cannot be had without its
//! consumer; outputs are decided, with their words, and not encoded. The second half of each run is measured, when
//! what is kept has its steady size.
//!
//!     cargo bench --bench engine                            # COHORTD_BENCH_EVENTS=200000 for a quick look
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Moment};

use cohortd::codec::{Framing, Lookup, Schemas, recycle};
use cohortd::engine::{CustomerState, Engine, Said, Shard, Slot, Timing, Words};
use cohortd::event::{Instant, Properties, Span};
use cohortd::rules::{self, RuleSet};
use cohortd::store::layout::ordered;
use cohortd::store::{Batch, Database, SharedMemory, decode_state, encode_state};

use support::knob;
use support::shop::{SCHEMA_ID, Shop, Traffic};
use support::table::{Table, Target};

/// As the settings' defaults.
const BATCH: usize = 10_000;
const FLUSH_AFTER: i64 = 1_000_000;
const MEMORY: usize = 1 << 30;
const IDS_MAX: usize = 64;
/// As in the lane.
const LOOK_AHEAD: usize = 32;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// What a run took, in its second half.
#[derive(Default)]
struct Cost {
    events: u64,
    reading: Duration,
    decoding: Duration,
    taking: Duration,
    writing: Duration,
    /// CPU of the thread itself, and of RocksDB's threads beside it.
    cpu: Duration,
    background: Duration,
    states_read: u64,
    states_written: u64,
    changes: u64,
    /// While records are decoded and applied: all, and those of events that changed no cohort.
    allocations: u64,
    allocations_quiet: u64,
    decoding_allocations: u64,
}

/// One partition without its lane.
struct Bench {
    rules: Arc<RuleSet>,
    schemas: Schemas,
    shard: Shard,
    database: Database,
    position: i64,
    /// Everything in the timer index before this was looked at.
    scanned_to: Instant,
    properties: Properties<'static>,
    said: Vec<Said>,
    /// Of the batch's records, where their customers were in memory before it.
    slots: Vec<Option<Slot>>,
    cost: Cost,
}

/// Keys and records of one batch, in two buffers.
#[derive(Default)]
struct Records {
    keys: Vec<u8>,
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Records {
    fn fill(&mut self, shop: &mut Shop) {
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
    fn new(folder: &std::path::Path) -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
        let rules = Arc::new(rules::load(file, &std::fs::read_to_string(file).unwrap()).unwrap());
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
        Self {
            schemas: Schemas::built_in().with_files(&schemas_dir).unwrap(),
            shard: Shard::new(Engine::new(Arc::clone(&rules), timing.max_lateness, IDS_MAX), timing, Instant::MIN),
            rules,
            database: Database::open(&folder.join("state"), &memory).unwrap(),
            position: 0,
            scanned_to: Instant::MIN,
            properties: Properties::new(),
            said: Vec::new(),
            slots: Vec::new(),
            cost: Cost::default(),
        }
    }

    fn batch(&mut self, records: &Records) {
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
                self.slots[place..].iter().take(LOOK_AHEAD).flatten().for_each(|slot| self.shard.warm(*slot));
            }
            let mut properties = recycle(std::mem::take(&mut self.properties));
            let (schema, datum) = Framing::Tagged.split(record).unwrap();
            let Lookup::Ready(reader) = self.schemas.lookup(schema) else { panic!("the schema is known") };
            let event = reader.decode(datum, &self.rules.vocabulary, &mut properties).unwrap();
            assert_eq!(event.customer, key);
            assert_eq!(self.shard.refuses(event.at), None);
            let slot = self.slots[place].unwrap_or_else(|| self.shard.find_or_new(event.customer));
            assert!(self.shard.apply(slot, &event, self.position, Words::Full, &mut self.said));
            self.position += 1;
            self.cost.changes += self.said.len() as u64;
            if self.said.is_empty() {
                self.cost.allocations_quiet += allocations() - before;
            }
            self.said.clear();
            self.properties = recycle(properties);
        }
    }

    /// Deadlines of customers that are only stored, then everything that is to be written.
    fn write(&mut self) {
        let mut batch = Batch::default();
        let stream_time = self.shard.stream_time();
        for (due, customer) in self.database.due(&ordered(self.scanned_to.0), stream_time, usize::MAX).unwrap() {
            self.passed(due, &customer, &mut batch);
        }
        self.scanned_to = stream_time;
        self.shard.fire_due(self.position, Words::Full, &mut self.said);
        self.cost.changes += self.said.len() as u64;
        self.said.clear();
        while let Some(slot) = self.shard.take_dirty(self.position - FLUSH_AFTER) {
            self.flush(slot, &mut batch);
        }
        let budget = MEMORY / 100 * 30;
        let over = self.shard.bytes().saturating_sub(budget);
        let victims = if over > 0 { self.shard.sweep(over + budget / 16) } else { Vec::new() };
        for slot in &victims {
            if self.shard.take_if_dirty(*slot) {
                self.flush(*slot, &mut batch);
            }
        }
        self.database.write(&batch).unwrap();
        victims.into_iter().for_each(|slot| self.shard.remove(slot));
    }

    fn passed(&mut self, due: Instant, customer: &str, batch: &mut Batch) {
        if let Some(slot) = self.shard.find(customer) {
            if self.shard.indexed_at(slot) == due && self.shard.is_clean(slot) {
                self.flush(slot, batch);
            }
            return;
        }
        let Some(stored) = self.database.customer(customer).unwrap() else { return };
        if stored.indexed_at().unwrap() == due {
            let state = decode_state(stored.state(), &self.rules).unwrap();
            self.shard.insert(customer, state, due);
        } else {
            batch.delete_timer(due, customer);
        }
    }

    fn flush(&mut self, slot: Slot, batch: &mut Batch) {
        let (state, customer): (&CustomerState, &str) = (self.shard.state(slot), self.shard.customer(slot));
        let mut bytes = Vec::with_capacity(384);
        encode_state(state, &mut bytes);
        let (old, deadline) = (self.shard.indexed_at(slot), state.next_deadline);
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
    fn decode(&mut self, records: &Records) {
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

/// CPU time of this thread, and of all others of the process.
fn cpu() -> (Duration, Duration) {
    let of = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    };
    let own = of(std::path::Path::new("/proc/thread-self/schedstat"));
    let tasks = std::fs::read_dir("/proc/self/task").map(Iterator::collect).unwrap_or_else(|_| Vec::new());
    let all: Duration = tasks.into_iter().map(|task| of(&task.unwrap().path().join("schedstat"))).sum();
    (own, all.saturating_sub(own))
}

fn run(customers: u64, events: u64, traffic: Traffic) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(folder.path());
    let mut shop = Shop::new(customers, events, traffic);
    let mut records = Records::default();
    loop {
        records.fill(&mut shop);
        if records.ends.is_empty() {
            return bench.cost;
        }
        let half = bench.position.cast_unsigned() >= events / 2;
        if !half {
            bench.cost = Cost::default();
        }
        let before = cpu();
        bench.batch(&records);
        let after = cpu();
        bench.cost.cpu += after.0.saturating_sub(before.0);
        bench.cost.background += after.1.saturating_sub(before.1);
        if half {
            bench.decode(&records);
        }
    }
}

fn main() {
    let events = knob("COHORTD_BENCH_EVENTS", 5_000_000);
    let million = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000);
    let mut table = Table::default();
    let runs = [(million / 10, Traffic::Visits), (million, Traffic::Visits), (million, Traffic::Scattered)];
    for (customers, traffic) in runs {
        let cost = run(customers, events, traffic);
        let per = |amount: u64| amount as f64 / cost.events as f64;
        let wall = cost.reading + cost.taking + cost.writing;
        // The clock that splits the time also runs while others have the processor.
        let busy = cost.cpu.as_secs_f64() / wall.as_secs_f64();
        let nanos = |part: Duration| part.as_secs_f64() * busy * 1e9 / cost.events as f64;
        let target = if traffic == Traffic::Visits { Target::AtLeast(400_000.0) } else { Target::None };
        let name = format!("{} K customers, {traffic:?}:", customers / 1_000).to_lowercase();
        let all = cost.cpu + cost.background;
        table.add(format!("{name} events/s/core"), target, cost.events as f64 / all.as_secs_f64(), "");
        let decoding = nanos(cost.decoding);
        table.add("  decode, ns/event", Target::None, decoding, "");
        table.add("  apply, ns/event", Target::None, nanos(cost.taking) - decoding, "");
        table.add("  read states, ns/event", Target::None, nanos(cost.reading), "");
        table.add("  timers, write states, ns/event", Target::None, nanos(cost.writing), "");
        table.add(
            "  RocksDB's own threads, ns/event",
            Target::None,
            cost.background.as_secs_f64() * 1e9 / cost.events as f64,
            "",
        );
        table.add("  states read per event", Target::None, per(cost.states_read), "");
        table.add("  states written per event", Target::None, per(cost.states_written), "");
        table.add("  changes per event", Target::None, per(cost.changes), "");
        table.add("  allocations per event, decoding", Target::AtMost(0.0), per(cost.decoding_allocations), "");
        table.add("  allocations per event without change", Target::AtMost(0.0), per(cost.allocations_quiet), "");
        table.add("  allocations per event, all", Target::None, per(cost.allocations), "");
    }
    table.print("engine alone");
}
