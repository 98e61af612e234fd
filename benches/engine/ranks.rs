//! A new threshold: how long a partition takes to scan its stored customers for the affected ones.

use std::ops::ControlFlow;
use std::sync::Arc;

use cohortd::engine::{CustomerState, Detail, Engine};
use cohortd::event::{CustomerEvent, Instant, Number, Span, Value};
use cohortd::store::{Batch, encode_state, places};

use super::partition::{Bench, IDS_MAX};
use super::support::knob;
use super::support::table::{Table, Target};
use super::{cpu, default_rules};

const START: Instant = Instant(1_735_689_600_000);
/// Purchases of each customer.
const PURCHASES: i64 = 4;
/// Customers written at once.
const LOADED_AT_ONCE: usize = 100_000;

pub(super) fn run(table: &mut Table) {
    let customers = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path(), Arc::new(default_rules()));
    load(&bench, customers);
    let rankings = bench.rules.rankings.len();
    let threshold = Number::from_integer(1_000);
    let before = cpu();
    let (mut looked, mut above) = (0_u64, 0_u64);
    bench
        .residents
        .database()
        .for_each_customer("", |_, state| {
            let (places, _) = places(state, rankings)?;
            looked += 1;
            above += u64::from(places.iter().flatten().any(|place| *place >= threshold));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let after = cpu();
    assert_eq!(looked, customers);
    assert!(above > 0 && above < customers);
    let took = after.0.saturating_sub(before.0) + after.1.saturating_sub(before.1);
    let name = format!("{} K customers looked through for a new threshold: s", customers / 1_000);
    table.add(name, Target::None, took.as_secs_f64(), "");
}

fn load(bench: &Bench, customers: u64) {
    let (rules, database) = (&bench.rules, bench.residents.database());
    let mut engine = Engine::new(Arc::clone(rules), Span(4 * Span::DAY.0), IDS_MAX);
    let amount = rules.vocabulary.property("amount").unwrap();
    let (mut batch, mut bytes, mut effects) = (Batch::default(), Vec::new(), Vec::new());
    for number in 0..customers {
        let customer = format!("c{number:08}");
        let mut state = CustomerState::new(rules);
        for n in 0..PURCHASES {
            let spent = i64::try_from(number * 7_919 % 500).unwrap();
            let properties = [(amount, Value::Number(Number::from_integer(spent)))];
            let id = format!("{customer}-{n}");
            let event = CustomerEvent {
                customer: &customer,
                name: "purchase",
                name_id: rules.vocabulary.name("purchase"),
                at: START + Span(n * Span::DAY.0),
                id: Some(&id),
                source: None,
                record_hash: 0,
                unusable_values: 0,
                properties: &properties,
            };
            engine.apply(&mut state, &event, n, Instant::MIN, Detail::None, &mut effects);
            effects.clear();
        }
        bytes.clear();
        encode_state(&state, &mut bytes);
        batch.put_customer(&customer, state.next_deadline, &bytes);
        if batch.len() >= LOADED_AT_ONCE {
            database.write(&std::mem::take(&mut batch)).unwrap();
        }
    }
    database.write(&batch).unwrap();
    database.flush().unwrap();
}
