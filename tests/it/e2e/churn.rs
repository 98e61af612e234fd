//! Churn risk over two partitions in two processes, which learn the model's parameters from each other's samples while a
//! shop's history streams in; and processes killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant as Moment};

use cohortd::clock::wall_clock;
use cohortd::codec::Output;
use cohortd::engine::week_of;
use cohortd::event::{Instant, Number, Span};
use cohortd::kafka::partition_of;
use cohortd::rules;
use cohortd::store::{PublishedBlock, PublishedSample};
use serde_json::Value;

use super::avro;
use super::daemon::Daemon;
use super::lab::{Lab, Seen};
use super::shop::{self, Random};
use super::{eventually, judge};
use crate::naive::OwnedValue;

const RULES: &str = r#"
[churn]
on          = "purchase"
amount      = "purchase.amount"
currency    = "EUR"
horizon     = "60 days"
min_silence = "5 days"

[cohorts.slipping]
who  = "churn_risk >= 80"
stay = "churn_risk >= 60"

[cohorts.worth_a_call]
who = "churn_level = high and clv > 50"

[cohorts.lost]
who = "churn_level = lost"
"#;

/// How far back the shop's history goes.
const DAYS: i64 = 330;
const CUSTOMERS: i64 = 120;
/// So many weeks at its end are read one after the other: parameters are trained on the samples of those weeks.
const WATCHED: i64 = 12;

/// When each customer bought, in the order of time; some leave for good.
pub(super) fn history(random: &mut Random, until: i64) -> Vec<(i64, String)> {
    let mut bought = Vec::new();
    for number in 0..CUSTOMERS {
        let mut at = until - DAYS * Span::DAY.0 + random.below(150 * Span::DAY.0);
        let usual = 3 + random.below(50);
        while at < until {
            bought.push((at, format!("c{number}")));
            if random.percent(12) {
                break;
            }
            at += Span::HOUR.0 + random.below(2 * usual * Span::DAY.0);
        }
    }
    bought.sort_unstable();
    bought
}

/// Sends a history at the pace of the daemon: in the last weeks nothing of a week is sent before all partitions have
/// sampled their customers in the week before.
pub(super) fn sell(lab: &Lab, rules: &str, bought: &[(i64, String)], mut send: impl FnMut(usize, i64, &str)) {
    let rules = rules::load("rules.toml", rules).unwrap();
    let summaries = lab.follow("summaries");
    let (mut sent, mut sampled) = (BTreeMap::new(), BTreeMap::new());
    let last = bought.last().map_or(0, |(at, _)| week_of(Instant(*at)));
    let mut now = i64::MIN;
    for (number, (at, customer)) in bought.iter().enumerate() {
        let week = week_of(Instant(*at));
        if week > now && week > last - WATCHED {
            // Whoever begins in the middle of a week does not look in it. A longer pause would end the past (`time.live_after`).
            let deadline = Moment::now() + Duration::from_secs(8);
            let is_behind = |sampled: &BTreeMap<i32, i64>| sent.iter().any(|(p, week)| sampled.get(p) < Some(week));
            while is_behind(&sampled) && Moment::now() < deadline {
                let Some(seen) = summaries.next(Duration::from_millis(100)) else { continue };
                if let Some(value) = seen.payload.filter(|_| PublishedSample::has_key(&seen.key)) {
                    let published = PublishedSample::decode(&seen.key, &value, &rules).unwrap().unwrap();
                    sampled.insert(i32::try_from(published.partition).unwrap(), published.sample.week);
                }
            }
        }
        now = week;
        send(number, *at, customer);
        sent.insert(partition_of(customer.as_bytes(), u32::try_from(lab.partitions).unwrap()), week);
    }
}

#[test]
fn levels_of_risk_follow_from_the_log_and_recorded_parameters_whoever_is_killed() {
    let Some(lab) = Lab::new("churn", 2, RULES) else { return };
    let mut random = Random::seeded("churn");
    let sets = [
        &shop::SETS[..],
        &["ranks.refresh=1 s", "time.live_after=10 s", "state.flush_after_events=300", "state.flush_after=1 s"],
        &["kafka.options.session.timeout.ms=6000", "kafka.options.heartbeat.interval.ms=500"],
    ]
    .concat();
    let bought = history(&mut random, wall_clock().0 - 60_000);
    let (writer, mut dice) = (lab.writer(), Random::new(random.next()));
    let (mut one, two) = thread::scope(|scope| {
        scope.spawn(|| {
            sell(&lab, RULES, &bought, |number, at, customer| {
                let amount = OwnedValue::Number(Number::from_integer(1 + dice.below(90)));
                let mut event = avro::event(customer, "purchase", at, Some(format!("e{number}")));
                event.properties.push(("amount".into(), amount));
                writer.send(customer, &avro::encode(&event));
                // At first nothing is read yet.
                thread::sleep(Duration::from_millis(if number < 20 { 200 } else { 10 }));
            });
            writer.flush();
        });
        let (mut one, mut two) = (lab.start("one", &sets), lab.start("two", &sets));
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(2_500 + random.next() % 1_000));
            two.kill9();
            two = lab.start("two", &sets);
            thread::sleep(Duration::from_millis(1_500 + random.next() % 1_000));
            one.kill9();
            // A lost disk is no loss; if nothing was assigned yet there is none.
            fs::remove_dir_all(lab.state("one")).ok();
            one = lab.start("one", &sets);
        }
        (one, two)
    });
    lab.decided_until(wall_clock().0 - 10_000);
    eventually("parameters are trained", || {
        one.metrics().get("cohortd_churn_parameters_version").filter(|version| **version > 0.0).copied()
    });
    two.stop();
    eventually("one has both partitions", || (one.metrics()["cohortd_partitions_assigned"] == 2.0).then_some(()));
    one.ready();
    explained(&mut one);
    let overview = eventually("cohorts are surveyed", || {
        let (status, body) = one.ask("admin", "/cohorts").unwrap();
        let overview = (status == 200).then(|| serde_json::from_str::<Value>(&body).unwrap())?;
        overview["made_at"].is_number().then_some(overview)
    });
    // One process has all partitions.
    let now = &overview["now"];
    assert_eq!(
        (&now["partitions"], &now["partitions_not_counted"]),
        (&serde_json::json!([0, 1]), &serde_json::json!([]))
    );
    for line in overview["cohorts"].as_array().unwrap() {
        assert!(now["members"][line["cohort"].as_str().unwrap()].is_number(), "{overview}");
    }
    let (_, lost) = one.ask("admin", "/cohorts/lost").unwrap();
    println!("{overview}\n{lost}");
    assert_eq!(one.ask("admin", "/cohorts/lots").unwrap().0, 404);
    eventually("what is to come is shown", || {
        one.metrics().contains_key("cohortd_cohort_forecast_changes").then_some(())
    });
    let forecasts = eventually("what is to come is published", || {
        let published = lab.read("forecasts").concat();
        (!published.is_empty()).then_some(published)
    });
    // Of a day whose forecasts another has published, too.
    let mut two = lab.start("two", &sets);
    two.ready();
    one.stop();
    eventually("the next owner of partition 0 shows it", || {
        two.metrics().contains_key("cohortd_cohort_forecast_changes").then_some(())
    });
    two.stop();
    check_forecast(&overview, &serde_json::from_str(&lost).unwrap(), &forecasts);
    surveys_are_the_fold(&lab);
    let found = judge::check(&lab, shop::config());
    println!("churn: {found:?}");
    assert_eq!(found.events, bought.len());
    assert!(found.risks > 60 && found.parameters > 5 && found.by_parameters > 2, "too little happened: {found:?}");
    outputs_agree(&lab);
}

/// The admin API shows the risk of a customer above the lowest level.
fn explained(daemon: &mut Daemon) {
    let customers = (0..CUSTOMERS).map(|number| format!("c{number}"));
    let bodies: Vec<String> =
        customers.map(|customer| daemon.ask("admin", &format!("/customers/{customer}")).unwrap().1).collect();
    let levels: BTreeSet<String> = bodies
        .iter()
        .filter_map(|body| {
            let answer: Value = serde_json::from_str(body).unwrap();
            Some(answer["churn"]["level"].as_str()?.to_owned())
        })
        .collect();
    assert!(levels.len() > 1, "{}", bodies[0]);
}

/// What goes with a change of risk.
fn outputs_agree(lab: &Lab) {
    for seen in lab.read("risks").iter().flatten() {
        let change = Output::ChurnRiskChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
        assert_eq!(seen.header("ce_type"), "cohortd.churn_risk.changed.v1");
        let number = |field: &str| change[field].as_f64().unwrap_or_else(|| panic!("{field}: {change}"));
        assert!((0.0..=1.0).contains(&number("probability")) && number("expected_purchases") >= 0.0, "{change}");
        let at_risk = change["value"]["clv"].as_f64().map(|clv| clv * number("probability"));
        assert_eq!(change["value_at_risk"].as_f64(), at_risk, "{change}");
        assert_eq!((&change["model"], &change["horizon_days"]), (&"mbg_nbd".into(), &60.into()));
        let factors = change["factors"].as_array().unwrap();
        let words = |text: &Value| text["en"].is_string() && text["fr"].is_string();
        assert!(!factors.is_empty() && factors.iter().all(|factor| words(&factor["text"])), "{change}");
        assert!(words(&change["why_text"]), "{change}");
        if change["reason"] == "MODEL_CHANGED" {
            assert_eq!(change["automation"], false, "{change}");
        }
    }
}

/// The topic says what the door says.
fn check_forecast(overview: &Value, lost: &Value, forecasts: &[Seen]) {
    let lines = overview["cohorts"].as_array().unwrap();
    assert_eq!(lines.len(), 3, "{overview}");
    for line in lines {
        let name = line["cohort"].as_str().unwrap();
        let day = overview["day"].as_str().unwrap();
        let record = forecasts.iter().rfind(|seen| seen.key() == format!("{name}/{day}"));
        let record = record.unwrap_or_else(|| panic!("no record of {name}/{day}"));
        let record = Output::CohortForecast.to_json(record.payload.as_ref().unwrap()).unwrap();
        assert_eq!((&record["cohort"], &record["size"]), (&line["cohort"], &line["size"]), "{record} {line}");
        assert_eq!(record["currency"], "EUR");
    }
    let line = lines.iter().find(|line| line["cohort"] == "lost").unwrap();
    assert_eq!((&lost["size"], &lost["next_week"]), (&line["size"], &line["next_week"]));
    let on_levels: u64 =
        lost["risk_levels"].as_array().unwrap().iter().map(|level| level["members"].as_u64().unwrap()).sum();
    assert_eq!(Some(on_levels), lost["size"].as_u64(), "{lost}");
}

/// What each partition counted is what its changes up to then add up to.
fn surveys_are_the_fold(lab: &Lab) {
    let rules = rules::load("rules.toml", RULES).unwrap();
    let changes = lab.read("changes");
    let mut compared = 0;
    for (partition, records) in lab.read("summaries").iter().enumerate() {
        for seen in records.iter().filter(|seen| PublishedBlock::has_key(&seen.key)) {
            let published = PublishedBlock::decode(&seen.key, seen.payload.as_ref().unwrap(), &rules).unwrap().unwrap();
            let at = published.block.at.0;
            let mut members: BTreeMap<String, u64> = BTreeMap::new();
            for change in &changes[partition] {
                let change = Output::CohortChange.to_json(change.payload.as_ref().unwrap()).unwrap();
                if change["occurred_at"].as_i64().unwrap() < at {
                    let count = members.entry(change["cohort"].as_str().unwrap().to_owned()).or_default();
                    if change["change"] == "ENTERED" { *count += 1 } else { *count -= 1 }
                }
            }
            for (cohort, counted) in rules.cohorts.iter().zip(&published.block.cohorts) {
                assert_eq!(counted.members, members.get(&cohort.name).copied().unwrap_or(0), "{}", cohort.name);
                compared += 1;
            }
        }
    }
    assert!(compared >= 6, "{compared}");
}

/// Rules without churn, and with it after an edit: a level is published for every customer, the same as in the admin
/// API.
#[test]
fn churn_is_predicted_from_an_edit_on_and_other_levels_are_emitted_as_a_change_of_the_rules() {
    let plain = "[cohorts.lost]\nwho = 'did purchase and did not purchase in the last 90 days'";
    let Some(lab) = Lab::new("churn-edit", 1, plain) else { return };
    let mut random = Random::seeded("churn-edit");
    let (writer, bought) = (lab.writer(), history(&mut random, wall_clock().0 - 60_000));
    for (number, (at, customer)) in bought.iter().enumerate() {
        let event = avro::event(customer, "purchase", *at, Some(format!("e{number}")));
        writer.send(customer, &avro::encode(&event));
    }
    writer.flush();
    let sets = [&shop::SETS[..], &["ranks.refresh=1 s", "time.live_after=1 s"]].concat();
    let mut one = lab.start("one", &sets);
    one.ready();
    lab.decided_until(wall_clock().0 - 10_000);
    let edit = |levels: &str| {
        let rules =
            format!("[churn]\non = 'purchase'\nlevels = {{ {levels} }}\n[cohorts.lost]\nwho = 'churn_level = gone'");
        lab.write_rules(&rules);
    };
    edit("quiet = 0.6, gone = 0.9");
    let logged = |reason: &str| {
        eventually(&format!("levels are said because of {reason}"), || {
            let records = lab.read("risks").concat();
            records.iter().any(|seen| risk(seen)["reason"] == reason).then_some(())
        });
    };
    logged("MODEL_CHANGED");
    edit("quiet = 0.5, gone = 0.8");
    logged("DEFINITION_CHANGED");
    eventually("the door says what the records say", || {
        let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for change in lab.read("risks").concat().iter().map(risk) {
            let (before, level) = last.entry(change["customer_id"].as_str().unwrap().to_owned()).or_default();
            assert_eq!(change["sequence"].as_u64(), Some(*before + 1), "{change}");
            *before += 1;
            change["level"].as_str().unwrap().clone_into(level);
        }
        let agrees = |(customer, (_, level)): (&String, &(u64, String))| {
            let (_, body) = one.ask("admin", &format!("/customers/{customer}")).unwrap();
            serde_json::from_str::<Value>(&body).unwrap()["churn"]["level"] == **level
        };
        (last.len() > 20 && last.iter().all(agrees)).then_some(())
    });
    one.stop();
}

fn risk(seen: &Seen) -> Value {
    Output::ChurnRiskChange.to_json(seen.payload.as_ref().unwrap()).expect("one ChurnRiskChange")
}
