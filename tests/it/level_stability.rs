//! Levels of risk are stable: over a year and a half of a real shop, CDNOW, they rise in silence and fall with a purchase.

use std::collections::BTreeMap;

use cohortd::churn::MbgNbd;
use cohortd::engine::{Model, Parameters};
use cohortd::event::{ChangeReason, Instant, Number, Span};

use crate::engine_under_test::ENGINE;
use crate::generate::record_hash;
use crate::naive::{Case, Config, LogEvent, OwnedValue, ParametersApplied, Rated};

const RULES: &str = "
    [churn]
    on = 'purchase'
    amount = 'purchase.amount'
    [cohorts.at_risk]
    who = 'churn_risk >= 85'";

/// 1 January 1997.
const BEGIN: Instant = Instant(852_076_800_000);

/// Of one customer in thirty days: down with a purchase, up through three levels, and down again.
const CHANGES_A_MONTH: usize = 5;

#[test]
fn levels_rise_in_silence_fall_with_a_purchase_and_change_a_handful_of_times_a_month() {
    let case = cdnow();
    let run = ENGINE.expect("there is an engine");
    let outcome = run(&case).unwrap();
    let mut of_customer: BTreeMap<&str, Vec<&Rated>> = BTreeMap::new();
    outcome.risks.iter().for_each(|rated| of_customer.entry(&rated.customer).or_default().push(rated));
    let place = |level: &str| ["low", "medium", "high", "lost"].iter().position(|name| *name == level);
    let mut most = 0;
    for (customer, changes) in &of_customer {
        for rated in changes {
            let rises = place(&rated.level) > place(&rated.previous);
            let by = if rises { ChangeReason::Time } else { ChangeReason::Event };
            assert_eq!(rated.reason, by, "{rated}");
            assert!(rises || rated.level == "low", "{rated}");
        }
        let follow = changes.windows(2).all(|pair| pair[0].level == pair[1].previous);
        assert!(follow, "{customer}: each change begins where the last one ended");
        for (first, rated) in changes.iter().enumerate() {
            let until = rated.occurred_at + Span(30 * Span::DAY.0);
            most = most.max(changes[first..].iter().take_while(|later| later.occurred_at < until).count());
        }
        let purchases = case.events.iter().filter(|event| event.customer == **customer).count();
        assert!(changes.len() <= 4 * purchases, "{customer}: {} changes", changes.len());
    }
    println!(
        "{} changes of level of {} customers, at most {most} in thirty days; {} of a cohort",
        outcome.risks.len(),
        of_customer.len(),
        outcome.changes.len()
    );
    assert!(of_customer.len() > 2_000 && most <= CHANGES_A_MONTH, "{most}");
}

fn cdnow() -> Case {
    let text = include_str!("../fixtures/cdnow/sample.txt");
    let mut events = Vec::new();
    for (customer, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        for (minute, word) in (0..).zip(line.split(' ')) {
            let (day, cents) = word.split_once(':').unwrap();
            let at =
                BEGIN + Span(day.parse::<i64>().unwrap() * Span::DAY.0 + 12 * Span::HOUR.0 + minute * Span::MINUTE.0);
            let amount = Number(cents.parse::<i128>().unwrap() * 10_000);
            let mut event = LogEvent {
                customer: format!("{customer}"),
                name: "purchase".into(),
                at,
                id: None,
                source: None,
                record_hash: 0,
                properties: vec![("amount".into(), OwnedValue::Number(amount))],
            };
            event.record_hash = record_hash(&event);
            events.push(event);
        }
    }
    events.sort_by_key(|event| event.at);
    let until = events.last().map(|event| event.at);
    // As fitted to the first 39 weeks.
    let transactions = MbgNbd { r: 0.52484, alpha_days: 43.2816, a: 0.89136, b: 1.614 };
    let parameters = Parameters {
        version: 1,
        model: Model::Purchases { transactions, amounts: None },
        recalibration: None,
        provisional: false,
    };
    Case {
        rules: RULES.into(),
        config: Config::default(),
        events,
        advances: vec![],
        thresholds: vec![],
        parameters: vec![ParametersApplied { position: 0, stream_time: Instant::MAX, parameters }],
        until,
    }
}
