//! The engine alone on one core: decode, decide by the six default cohorts, state in RocksDB; no broker.
//!
//! The lane's loop without Kafka: batches of 10,000 records, missing states read at once, changed customers written
//! after a million events or when memory is needed. Customers go between memory and RocksDB by the lane's own code,
//! `cohortd::residents`; outputs are decided, with their words, and not encoded. The second half of each run is measured,
//! when what is kept has its steady size.
//!
//! `growth` does the same with ten and a hundred times as many cohorts, `timers` lets the deadlines of customers come due
//! who are only stored, `ranks` looks through stored customers as for a new threshold, `risk` watches churn as well,
//! `survey` looks through all customers as a partition does once a day, and `mapping` maps records of a source.
//!
//!     cargo bench --bench engine                            # COHORTD_BENCH_EVENTS=200000 for a quick look
//!     COHORTD_BENCH_CASE=2 cargo bench --bench engine -- shop  # the second case alone, of 1 M customers
//!     cargo bench --bench engine -- growth                  # or `shop`, `timers`, `ranks`, `risk`, `survey`, `mapping`: that part alone
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

#[path = "../support/mod.rs"]
mod support;

mod growth;
mod mapping;
mod partition;
mod ranks;
mod risk;
mod survey;
mod timers;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cohortd::rules::{self, RuleSet};

use partition::{Bench, Cost, MEMORY, Records};
use support::knob;
use support::shop::{Shop, Traffic};
use support::table::{Table, Target};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes allocated and not freed.
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATED.fetch_add((size as u64).wrapping_sub(layout.size() as u64), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that everything but RocksDB has on the heap.
fn allocated() -> u64 {
    ALLOCATED.load(Ordering::Relaxed)
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

/// The default cohorts.
fn default_rules() -> RuleSet {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    rules::load(file, &std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Bytes of a customer.
struct Kept {
    /// As the engine counts them.
    in_memory: f64,
    /// All that is allocated for the customers in memory, what was freed to be used again included.
    allocated: f64,
    /// The encoded state alone.
    stored: f64,
    /// Of the database's files: state, key, timer and what is not compacted yet, compressed.
    on_disk: f64,
}

impl Kept {
    fn add_to(&self, table: &mut Table) {
        table.add("  bytes of a customer in memory", Target::None, self.in_memory, "");
        table.add("  the same, as allocated", Target::None, self.allocated, "");
        table.add("  bytes of a customer as stored", Target::AtMost(400.0), self.stored, "");
        table.add("  bytes of a customer on disk", Target::None, self.on_disk, "");
    }
}

/// Runs so many events through; what is kept of a customer comes with the cost.
fn run(rules: &Arc<RuleSet>, customers: u64, events: u64, traffic: Traffic) -> (Cost, Kept) {
    run_in(MEMORY, rules, customers, events, traffic)
}

/// The same with so much memory.
fn run_in(memory: usize, rules: &Arc<RuleSet>, customers: u64, events: u64, traffic: Traffic) -> (Cost, Kept) {
    let folder = tempfile::tempdir().unwrap();
    let before = allocated();
    let mut bench = Bench::with_memory(memory, folder.path(), Arc::clone(rules));
    let mut shop = Shop::new(customers, events, traffic);
    let mut records = Records::default();
    loop {
        records.fill(&mut shop);
        if records.ends.is_empty() {
            break;
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
    let shard = bench.residents.shard();
    let in_memory = shard.bytes() as f64 / shard.len() as f64;
    drop((shop, records));
    let allocated = (allocated() - before) as f64 / bench.residents.shard().len() as f64;
    bench.flush_all();
    let database = bench.residents.database();
    let (mut stored, mut bytes) = (0_u64, 0);
    database
        .for_each_customer("", |_, state| {
            (stored, bytes) = (stored + 1, bytes + state.len());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    database.flush().unwrap();
    let files: u64 = database.sizes().iter().map(|(_, bytes)| bytes).sum();
    let of_each = |bytes: f64| bytes / stored as f64;
    (bench.cost, Kept { in_memory, allocated, stored: of_each(bytes as f64), on_disk: of_each(files as f64) })
}

/// Is this part of the bench asked for? All are, unless one is named.
fn wanted(part: &str) -> bool {
    let mut named = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

fn main() {
    let mut table = Table::default();
    if wanted("shop") {
        shop(&mut table);
    }
    if wanted("growth") {
        growth::run(&mut table);
    }
    if wanted("timers") {
        timers::run(&mut table);
    }
    if wanted("ranks") {
        ranks::run(&mut table);
    }
    if wanted("risk") {
        risk::run(&mut table);
    }
    if wanted("survey") {
        survey::run(&mut table);
    }
    if wanted("mapping") {
        mapping::run(&mut table);
    }
    table.print("engine alone");
}

fn shop(table: &mut Table) {
    let rules = Arc::new(default_rules());
    let events = knob("COHORTD_BENCH_EVENTS", 5_000_000);
    let million = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000);
    let runs = [
        (MEMORY, million / 10, events, Traffic::Visits),
        (MEMORY, million, events, Traffic::Visits),
        (MEMORY, million, events, Traffic::Scattered),
        (4 * MEMORY, 10 * million, 4 * events, Traffic::Visits),
    ];
    let mut of_fewest = 0.0;
    let only = knob("COHORTD_BENCH_CASE", 0);
    for (number, (memory, customers, events, traffic)) in (1..).zip(runs) {
        if only != 0 && only != number {
            continue;
        }
        let (cost, kept) = run_in(memory, &rules, customers, events, traffic);
        let per = |amount: u64| amount as f64 / cost.events as f64;
        let wall = cost.reading + cost.taking + cost.writing;
        // The clock that splits the time also runs while others have the processor.
        let busy = cost.cpu.as_secs_f64() / wall.as_secs_f64();
        let nanos = |part: Duration| part.as_secs_f64() * busy * 1e9 / cost.events as f64;
        let target = match (traffic, customers / (million / 10)) {
            (Traffic::Visits, 1) => Target::AtLeast(800_000.0),
            (Traffic::Visits, 10) => Target::AtLeast(400_000.0),
            _ => Target::None,
        };
        let name = format!("{} K customers, {traffic:?}:", customers / 1_000).to_lowercase();
        let all = cost.cpu + cost.background;
        table.add(format!("{name} events/s/core"), target, cost.events as f64 / all.as_secs_f64(), "");
        let nanos_of_all = all.as_secs_f64() * 1e9 / cost.events as f64;
        if customers == million / 10 {
            of_fewest = nanos_of_all;
        } else {
            let target = if customers > million { Target::AtMost(2.5) } else { Target::None };
            table.add("  times the cost of the fewest", target, nanos_of_all / of_fewest, "");
        }
        table.add("  changes per event", Target::None, per(cost.changes), "");
        let decoding = nanos(cost.decoding);
        table.add("  decode, ns/event", Target::None, decoding, "");
        table.add("  apply and deadlines, ns/event", Target::None, nanos(cost.taking) - decoding, "");
        table.add("  read states, ns/event", Target::None, nanos(cost.reading), "");
        table.add("  write states, ns/event", Target::None, nanos(cost.writing), "");
        table.add(
            "  RocksDB's own threads, ns/event",
            Target::None,
            cost.background.as_secs_f64() * 1e9 / cost.events as f64,
            "",
        );
        table.add("  states read per event", Target::None, per(cost.states_read), "");
        table.add("  states written per event", Target::None, per(cost.states_written), "");
        kept.add_to(table);
        table.add("  allocations per event, decoding", Target::AtMost(0.0), per(cost.decoding_allocations), "");
        table.add("  allocations per event without change", Target::AtMost(0.0), per(cost.allocations_quiet), "");
        table.add("  allocations per event, all", Target::None, per(cost.allocations), "");
    }
}
