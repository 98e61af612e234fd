//! A source's records in Avro are mapped, beside records of `CustomerEvent` that are decoded as they are: bytes a second.

use std::path::Path;
use std::time::Duration;

use cohortd::codec::{Framing, Reader, recycle};
use cohortd::event::Properties;
use cohortd::rules::RuleSet;
use cohortd::sources::{Mapping, Outcome, Payload, read};

use super::partition::Records;
use super::support::shop::{Shop, Traffic};
use super::support::table::{Table, Target};
use super::support::{knob, orders};
use super::{cpu, default_rules};

/// Turns of each, of which the quickest counts.
const TURNS: usize = 5;

pub(super) fn run(table: &mut Table) {
    let records = knob("COHORTD_BENCH_EVENTS", 500_000).min(500_000);
    let source = Source::new(records);
    let direct = Direct::new(records);
    let (mut mapping, mut decoding) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        mapping = mapping.min(took(|| source.map()));
        decoding = decoding.min(took(|| direct.decode()));
    }
    let per_second = |bytes: usize, took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    let nanos = |took: Duration| took.as_secs_f64() * 1e9 / records as f64;
    let (mapped, decoded) = (per_second(source.bytes.len(), mapping), per_second(direct.bytes, decoding));
    table.add("orders of 30 fields mapped, 6 used: MB/s", Target::AtLeast(0.8 * decoded), mapped, "");
    table.add("  ns a record", Target::None, nanos(mapping), "");
    table.add("events of CustomerEvent decoded: MB/s", Target::None, decoded, "");
    table.add("  ns a record", Target::None, nanos(decoding), "");
}

fn took(work: impl FnOnce()) -> Duration {
    let before = cpu().0;
    work();
    cpu().0.saturating_sub(before)
}

struct Source {
    mapping: Mapping,
    schema: String,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Source {
    fn new(records: u64) -> Self {
        let document = read("sources.toml", orders::SOURCE, &[]).unwrap();
        let mapping = Mapping::new(document.sources.into_iter().next().unwrap());
        let schema = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(orders::SCHEMA)).unwrap();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for number in 0..records {
            orders::write(&mut bytes, number, number.wrapping_mul(7_919) % 100_000, 1_735_689_600_000 + number);
            ends.push(bytes.len());
        }
        Self { mapping, schema, bytes, ends }
    }

    fn map(&self) {
        let reader = self.mapping.reader(&self.schema).unwrap();
        let mut start = 0;
        for end in &self.ends {
            let (_, datum) = Framing::Tagged.split(&self.bytes[start..*end]).unwrap();
            let outcome = self.mapping.map(&Payload::Avro(&reader, datum).alone());
            assert!(matches!(&outcome, Outcome::Mapped(events) if events.len() == 1));
            start = *end;
        }
    }
}

struct Direct {
    rules: RuleSet,
    records: Vec<Records>,
    bytes: usize,
}

impl Direct {
    fn new(records: u64) -> Self {
        let mut shop = Shop::new(100_000, records, Traffic::Visits);
        let mut all = Vec::new();
        loop {
            let mut some = Records::default();
            some.fill(&mut shop);
            if some.ends.is_empty() {
                break;
            }
            all.push(some);
        }
        let bytes = all.iter().filter_map(|records| records.ends.last()).map(|(_, end)| end).sum();
        Self { rules: default_rules(), records: all, bytes }
    }

    fn decode(&self) {
        let reader = Reader::built_in();
        let mut properties = Properties::new();
        for (_, record) in self.records.iter().flat_map(Records::iter) {
            let mut found = recycle(std::mem::take(&mut properties));
            let (_, datum) = Framing::Tagged.split(record).unwrap();
            std::hint::black_box(reader.decode(datum, &self.rules.vocabulary, &mut found).unwrap());
            properties = recycle(found);
        }
    }
}
