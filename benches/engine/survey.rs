//! A survey: all stored customers of a partition are looked through, as once a day, without and with `[churn]`.

use std::ops::ControlFlow;
use std::sync::Arc;

use cohortd::engine::{CustomerState, Engine, Spares};
use cohortd::event::Span;
use cohortd::store::read_state;
use cohortd::summary::Survey;

use super::cpu;
use super::partition::{Bench, IDS_MAX, PARAMETERS, Records};
use super::risk::{CHURN, watched};
use super::support::knob;
use super::support::shop::{Shop, Traffic};
use super::support::table::{Table, Target};

pub(super) fn run(table: &mut Table) {
    let customers = knob("COHORTD_BENCH_CUSTOMERS", 1_000_000) / 10;
    for (more, what) in [("", "without [churn]"), (CHURN, "with [churn] on purchases")] {
        let folder = tempfile::tempdir().unwrap();
        let rules = Arc::new(watched(more));
        let mut bench = Bench::new(folder.path(), Arc::clone(&rules));
        let mut shop = Shop::new(customers, 10 * customers, Traffic::Visits);
        let mut records = Records::default();
        loop {
            records.fill(&mut shop);
            if records.ends.is_empty() {
                break;
            }
            bench.batch(&records);
        }
        bench.flush_all();
        let now = bench.residents.shard().stream_time();
        let mut engine = Engine::new(Arc::clone(&rules), Span(4 * Span::DAY.0), IDS_MAX);
        engine.set_parameters(rules.churn.is_some().then(|| Arc::new(PARAMETERS)), now);
        engine.set_thresholds(Arc::clone(bench.residents.shard().engine().thresholds()));
        let (mut survey, mut state) = (Survey::new(&rules, now), CustomerState::new(&rules));
        let mut spares = Spares::default();
        let before = cpu();
        bench
            .residents
            .database()
            .for_each_customer("", |customer, bytes| {
                read_state(bytes, &rules, &mut state, &mut spares)?;
                state.set_customer(customer);
                survey.count(&mut engine, &mut state);
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        let took = cpu().0.saturating_sub(before.0);
        let each = took.as_secs_f64() * 1e6 / survey.customers as f64;
        let name = format!("{} K customers surveyed, {what}: us each", customers / 1_000);
        table.add(name, Target::AtMost(6.0), each, "");
    }
}
