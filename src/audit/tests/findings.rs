//! Each finding, provoked and not provoked.

use serde_json::{Value as Json, json};

use super::{FIVE, Source, at, audited};
use crate::audit::findings::Flaw;
use crate::audit::{FINDINGS_MAX, Finding, Language};
use crate::event::Span;

fn findings(sources: &[Source], rules: Option<&str>) -> Vec<Finding> {
    audited(sources, rules).report().findings
}

fn kinds(sources: &[Source], rules: Option<&str>) -> Vec<&'static str> {
    findings(sources, rules).iter().map(|finding| finding.kind).collect()
}

/// Rules that use all events there are.
const RULES: &str = "[cohorts.all]\n\
     who = 'did any of (signup, purchase, cart_abandoned, onboarding_completed, unsubscribed) in the last 7 days'\n";

/// Sources and rules with one thing wrong.
type Case = (Flaw, Vec<Source>, Option<&'static str>);

fn cases() -> Vec<Case> {
    let shop = || Source::healthy("shop");
    let set = |name: &'static str, value: fn(usize) -> Json| {
        move |number: usize, record: &mut Json| record[name] = value(number)
    };
    let millis = |number: usize| at(number).0;
    let mut damaged = shop();
    damaged.records.push(Json::String("nonsense".into()));
    let mut twice = shop();
    twice.records.extend(shop().records.into_iter().take(20));
    let mut late = shop().topic();
    late.records.extend((0..5).map(|number| {
        json!({"event_id": format!("late-{number}"), "customer_id": "c-1", "event": "purchase", "amount": 1,
               "occurred_at": (at(number) - Span(30 * Span::DAY.0)).to_string()})
    }));
    vec![
        (Flaw::Unreadable, vec![damaged], None),
        (
            Flaw::NoCustomer,
            vec![shop().with(|_, record| _ = record.as_object_mut().unwrap().remove("customer_id"))],
            None,
        ),
        (
            Flaw::NoCustomer,
            vec![shop().with(|number, record| {
                record["customer_id"] = if number.is_multiple_of(3) { Json::Null } else { record["customer_id"].take() }
            })],
            None,
        ),
        (
            Flaw::MixedUnits,
            vec![shop().with(|number, record| {
                record["occurred_at"] =
                    json!(if number.is_multiple_of(5) { millis(number) / 1_000 } else { millis(number) })
            })],
            None,
        ),
        (Flaw::Unit, vec![shop().with(set("occurred_at", |number| json!(at(number).0 / 1_000)))], None),
        (
            Flaw::NoZone,
            vec![shop().with(set("occurred_at", |number| json!(at(number).to_string().trim_end_matches('Z'))))],
            None,
        ),
        (
            Flaw::ZoneSlip,
            vec![shop().with(|number, record| {
                let hours = if number.is_multiple_of(3) { 2 } else { 0 };
                record["received_at"] = json!((at(number) - Span(hours * Span::HOUR.0 - 40_000)).to_string());
            })],
            None,
        ),
        (
            Flaw::Future,
            vec![shop().with(|number, record| {
                if number == 7 {
                    record["occurred_at"] = json!("2100-01-01T00:00:00Z")
                }
            })],
            None,
        ),
        (Flaw::TooLate, vec![late], None),
        (Flaw::Duplicates, vec![twice], None),
        (
            Flaw::IdReused,
            vec![shop().with(|number, record| {
                if number.is_multiple_of(10) {
                    record["event_id"] = json!("again")
                }
            })],
            None,
        ),
        (
            Flaw::Apart,
            vec![
                shop(),
                Source::healthy("clicks")
                    .with(|number, record| record["customer_id"] = json!(format!("u-{}", number % 40))),
            ],
            None,
        ),
        (
            Flaw::EventsAlike,
            vec![shop().with(|number, record| {
                if number % 10 == 1 {
                    record["event"] = json!("Purchase")
                }
            })],
            None,
        ),
        (
            Flaw::EventsAlike,
            vec![shop().with(|number, record| {
                if number == 11 {
                    record["event"] = json!("purchse")
                }
            })],
            None,
        ),
        (
            Flaw::PropertiesAlike,
            vec![
                shop(),
                Source::healthy("clicks")
                    .with(|_, record| record["Amount"] = record.as_object_mut().unwrap().remove("amount").unwrap()),
            ],
            None,
        ),
        (
            Flaw::TwoTypes,
            vec![shop(), Source::healthy("clicks").with(set("amount", |number| json!(format!("{number}.50"))))],
            None,
        ),
        (
            Flaw::TwoTypes,
            vec![shop().with(|number, record| {
                if number.is_multiple_of(4) {
                    record["amount"] = json!("free")
                }
            })],
            None,
        ),
        (
            Flaw::CriticalMissing,
            vec![shop().with(|_, record| {
                if record["event"] == "cart_abandoned" {
                    record["event"] = json!("visit")
                }
            })],
            None,
        ),
        (Flaw::UnusedEvents, vec![shop()], Some("[cohorts.buyers]\nwho = 'did purchase in the last 7 days'\n")),
        (Flaw::UnfedRules, vec![shop()], Some("[cohorts.users]\nwho = 'did export_used in the last 7 days'\n")),
        (Flaw::OtherNames, vec![shop()], Some("[cohorts.buyers]\nwho = 'did \"Purchase\" in the last 7 days'\n")),
        (
            Flaw::MixedPartitioners,
            vec![shop().topic().with(|number, record| {
                if number.is_multiple_of(20) {
                    record["elsewhere"] = json!(true)
                }
            })],
            None,
        ),
    ]
}

#[test]
fn healthy_sources_have_no_finding() {
    assert_eq!(kinds(&[Source::healthy("shop"), Source::healthy("clicks")], Some(RULES)), [""; 0]);
    assert_eq!(kinds(&[Source::healthy("shop").topic()], Some(RULES)), [""; 0]);
    assert_eq!(kinds(&[Source { records: Vec::new(), ..Source::healthy("shop") }], None), [""; 0]);
}

#[test]
fn each_flaw_is_found_where_it_is() {
    for (flaw, sources, rules) in cases() {
        let found = kinds(&sources, rules);
        assert!(found.contains(&flaw.as_str()), "{flaw}: {found:?}");
    }
}

#[test]
fn every_flaw_is_provoked_above() {
    for flaw in Flaw::ALL {
        assert!(cases().iter().any(|(provoked, ..)| provoked == flaw), "{flaw}");
    }
}

/// One thing that is wrong is not found again under other names.
#[test]
fn a_flaw_brings_few_others_with_it() {
    for (flaw, sources, rules) in cases() {
        let others: Vec<&str> = kinds(&sources, rules).into_iter().filter(|kind| *kind != flaw.as_str()).collect();
        let expected: &[&str] = match flaw {
            // A rule that is fed by nothing uses nothing.
            Flaw::UnfedRules | Flaw::OtherNames => &["unused_events", "unfed_rules"],
            // What is misspelled is one of two spellings of a name.
            Flaw::MixedUnits => &["two_types"],
            _ => &[],
        };
        let surprising: Vec<&&str> = others.iter().filter(|other| !expected.contains(other)).collect();
        assert!(surprising.is_empty(), "{flaw}: {surprising:?}");
    }
}

#[test]
fn findings_are_in_the_order_of_their_costs_and_at_most_seven_each_with_what_to_do_in_two_languages() {
    let everything = |number: usize, record: &mut Json| {
        record["occurred_at"] = json!(if number.is_multiple_of(2) { at(number).0 / 1_000 } else { at(number).0 });
        record["event"] = json!(["Order Completed", "order_completed", "visit", "Visit"][number % 4]);
        record["amount"] = if number.is_multiple_of(2) { json!(1) } else { json!("1") };
        record["Amount"] = json!(1);
        if number.is_multiple_of(2) {
            record["customer_id"] = Json::Null;
        }
        if number.is_multiple_of(9) {
            record["event_id"] = json!("again");
        }
    };
    let mut shop = Source::healthy("shop").with(everything);
    shop.records.push(Json::String("nonsense".into()));
    shop.records.extend(shop.records.clone().into_iter().take(100));
    let clicks = Source::healthy("clicks").with(|number, record| record["customer_id"] = json!(format!("u-{number}")));
    let found = findings(&[shop, clicks], Some("[cohorts.x]\nwho = 'did export_used in the last 7 days'\n"));
    assert_eq!(found.len(), FINDINGS_MAX, "{found:?}");
    assert!(found.is_sorted_by(|one, other| one.cost >= other.cost), "{found:?}");
    for finding in &found {
        assert!((0.0..=1.0).contains(&finding.cost), "{finding:?}");
        for text in [&finding.what, &finding.to_do] {
            let (english, french) = (text.in_language(Language::English), text.in_language(Language::French));
            assert!(english.len() > 20 && french.len() > 20 && english != french, "{text:?}");
            assert!(english.ends_with('.') && french.ends_with('.'), "{text:?}");
            // French typography: no plain blank before a colon or semicolon.
            assert!(!french.contains(" :") && !french.contains(" ;"), "{french}");
        }
    }
}

#[test]
fn a_slip_of_hours_names_them_and_how_many_records_have_it() {
    let slipped = Source::healthy("shop").with(|number, record| {
        let hours = [0, 1, 2, 0][number % 4];
        record["received_at"] = json!((at(number) - Span(hours * Span::HOUR.0 - 40_000)).to_string());
    });
    let report = audited(&[slipped], None).report();
    let time = report.topics[0].times.iter().find(|time| time.path == "occurred_at").unwrap();
    assert_eq!((time.slips[0].against.as_str(), time.slips[0].hours.as_slice()), ("received_at", &[1_i8, 2][..]));
    assert!((time.slips[0].share - 0.5).abs() < 0.001);
    let finding = &report.findings[0];
    assert_eq!((finding.kind, finding.records), ("zone_slip", 200));
    assert!(finding.what.fr.contains("+1 / +2\u{a0}h"), "{}", finding.what.fr);
}

#[test]
fn topics_that_share_no_id_are_pointed_to_the_one_that_they_share() {
    let with_email = |name: &'static str, letter: &'static str| {
        Source::healthy(name).with(move |number, record| {
            record["customer_id"] = json!(format!("{letter}-{}", number % 40));
            let email = format!("C{}@Example.com", number % 40);
            record["email"] = json!(if letter == "u" { email } else { email.to_lowercase() });
        })
    };
    let report = audited(&[with_email("shop", "c"), with_email("clicks", "u")], None).report();
    let common = &report.customers_in_common[0];
    assert_eq!((common.shares, common.better.as_ref().unwrap().shares), ([0.0, 0.0], [1.0, 1.0]));
    assert_eq!(common.better.as_ref().unwrap().paths, ["email", "email"]);
    let finding = report.findings.iter().find(|finding| finding.kind == "sources_apart").unwrap();
    assert!(
        finding.to_do.en.contains("Use `email` and `email` instead") && finding.what.fr.contains("ne se parlent pas")
    );
}

#[test]
fn the_five_are_found_under_other_names() {
    let names = ["Signed Up", "Order Completed", "Checkout Abandoned", "Onboarding Finished", "Opted Out"];
    let source = Source::healthy("shop").with(|number, record| record["event"] = json!(names[number % 5]));
    let report = audited(&[source], None).report();
    for (critical, name) in report.critical_events.iter().zip(names) {
        assert_eq!((critical.names[0].name.as_str(), critical.names[0].records), (name, 80), "{}", critical.event);
    }
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(FIVE.len(), report.critical_events.len());
}
