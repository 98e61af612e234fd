//! Risk of churn as a user meets it: `fit`, `score`, and refits in `replay`.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::cli::{Ended, run};

const DAY: i64 = 86_400_000;
/// 1997-01-01.
const CDNOW_FROM: i64 = 852_076_800_000;

const RULES: &str = "[churn]\non = 'purchase'\namount = 'purchase.amount'\n";
const PARAMETERS: &str = "[mbg_nbd]\nr = 0.525\nalpha_days = 43.28\na = 0.891\nb = 1.614\n\
                          [gamma_gamma]\np = 6.25\nq = 3.744\nv = 15.44\n";

/// A folder with files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The purchases of so many of CDNOW's customers, at noon.
    fn cdnow(&self, customers: usize) -> String {
        let text = include_str!("../fixtures/cdnow/sample.txt");
        let mut events = String::new();
        for (line, number) in text.lines().filter(|line| !line.starts_with('#')).take(customers).zip(1..) {
            for (day, cents) in line.split(' ').map(|purchase| purchase.split_once(':').unwrap()) {
                let at = CDNOW_FROM + day.parse::<i64>().unwrap() * DAY + DAY / 2;
                let amount = cents.parse::<f64>().unwrap() / 100.0;
                let id = events.len();
                writeln!(
                    events,
                    r#"{{"event_id":"{id}","customer_id":"{number:04}","event":"purchase","time":{at},"properties":{{"amount":{amount}}}}}"#
                )
                .unwrap();
            }
        }
        self.put("cdnow.jsonl", &events)
    }
}

fn done(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// In UTC.
fn since_monday(at: i64) -> i64 {
    (at - 4 * DAY).rem_euclid(7 * DAY)
}

fn assert_near(found: &Value, expected: f64, within: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() <= within, "{found} is not {expected}");
}

#[test]
fn fit_finds_the_published_parameters_in_units_of_days() {
    let folder = Folder::new();
    let events = folder.cdnow(usize::MAX);
    let asked = ["fit", "--model", "mbg_nbd", "--on", "purchase", "--amount", "purchase.amount", "--json"];
    let until = ["--until", "1997-09-30T23:59:59.999Z", &events];
    let fit = done(run(&[&asked[..], &until[..]].concat()));
    let found = &lines(&fit)[0];
    assert_eq!((found["customers"].as_i64(), found["repeat_purchases"].as_i64()), (Some(2_357), Some(2_457)));
    assert_eq!((found["purchases"].as_i64(), found["provisional"].as_bool()), (Some(4_814), Some(false)));
    let parameters = &found["mbg_nbd"];
    assert_near(&parameters["r"], 0.52484, 0.00001);
    assert_near(&parameters["alpha_days"], 7.0 * 6.1831, 0.0007);
    assert_near(&parameters["a"], 0.89136, 0.00001);
    assert_near(&parameters["b"], 1.6140, 0.0001);
    assert_near(&found["log_likelihood"], -9_582.136 - 2_457.0 * 1.945_910_149, 0.001);
    assert_near(&found["gamma_gamma"]["p"], 6.2496, 0.0001);
    assert_near(&found["gamma_gamma"]["q"], 3.7442, 0.0001);
    assert_near(&found["gamma_gamma"]["v"], 15.4435, 0.0001);
    for expected in ["2,357 customers until 1997-09-30", "AUC", "Brier", "█"] {
        assert!(fit.err.contains(expected), "{}", fit.err);
    }
}

#[test]
fn what_fit_writes_score_and_replay_take() {
    let folder = Folder::new();
    let (events, rules) = (folder.cdnow(600), folder.put("r.toml", RULES));
    let fit = done(run(&["fit", "--rules", &rules, &events]));
    let params = folder.put("params.toml", &fit.out);
    let given = done(run(&["score", "--rules", &rules, "--params", &params, &events]));
    let fitted = done(run(&["score", "--rules", &rules, "--refit", &events]));
    assert!(fitted.err.contains("fitted to 600 customers up to"), "{}", fitted.err);
    assert!(given.err.contains("with the given parameters"), "{}", given.err);
    assert_eq!(given.out, fitted.out);
    assert_eq!(given.out.lines().count(), 600);
    done(run(&["replay", "--rules", &rules, "--params", &params, &events]));
}

/// The levels of all customers at one instant, by `score` and as `replay` has come to them.
#[test]
fn score_says_what_run_would_say_at_that_instant() {
    let folder = Folder::new();
    let (events, rules) = (folder.cdnow(400), folder.put("r.toml", RULES));
    for at in ["1997-09-30", "1998-03-31"] {
        let replay = done(run(&["replay", "--rules", &rules, "--until", at, &events]));
        let mut levels = std::collections::BTreeMap::new();
        for line in lines(&replay).iter().filter(|line| line.get("risk").is_some()) {
            levels.insert(line["customer_id"].clone().to_string(), line["risk"].clone());
        }
        let score = done(run(&["score", "--rules", &rules, "--at", at, &events]));
        assert!(score.err.contains("as `run` would predict, with the parameters of 199"), "{}", score.err);
        let scored = lines(&score);
        assert!(scored.iter().any(|line| line["level"] != "low") && scored.len() > 300);
        for line in &scored {
            let expected = levels.get(&line["customer_id"].to_string()).cloned().unwrap_or_else(|| "low".into());
            assert_eq!(line["level"], expected, "at {at}: {line}");
        }
    }
    let early = run(&["score", "--rules", &rules, "--at", "1997-01-02", &events]);
    assert_eq!(early.code, 1);
    assert!(early.err.contains("--refit fits to all that there is"), "{}", early.err);
}

#[test]
fn a_score_has_the_form_that_others_depend_on() {
    let folder = Folder::new();
    let (events, rules, params) = (folder.cdnow(3), folder.put("r.toml", RULES), folder.put("p.toml", PARAMETERS));
    let score = ["score", "--rules", &rules, "--params", &params, "--at", "1997-09-30", "--horizon", "6 weeks"];
    let score = done(run(&[&score[..], &[events.as_str()]].concat()));
    let line = score.out.lines().next().unwrap();
    let start =
        r#"{"customer_id":"0001","at":875577600000,"model":"mbg_nbd","x":2,"t_x_days":213.0,"t_days":272.0,"alive":0."#;
    assert!(line.starts_with(start), "{line}");
    let mut rest = line;
    for key in [
        "alive",
        "p_none",
        "30",
        "42",
        "90",
        "expected",
        "30",
        "42",
        "90",
        "360",
        "spend",
        "clv",
        "level",
        "crossings",
        "provisional",
    ] {
        let place =
            rest.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} is missing, or elsewhere: {line}"));
        rest = &rest[place + 1..];
    }
    assert!(line.ends_with(r#","provisional":false}"#), "{line}");
    let customers: Vec<Value> = lines(&score).iter().map(|line| line["customer_id"].clone()).collect();
    assert_eq!(customers, ["0001", "0002", "0003"]);
}

#[test]
fn a_level_begins_at_the_millisecond_that_score_says() {
    let folder = Folder::new();
    let (events, rules, params) = (folder.cdnow(1), folder.put("r.toml", RULES), folder.put("p.toml", PARAMETERS));
    let scored_at = |at: i64| {
        let at = at.to_string();
        lines(&done(run(&["score", "--rules", &rules, "--params", &params, "--at", &at, &events])))[0].clone()
    };
    let first = scored_at(CDNOW_FROM + 600 * DAY);
    let crossings = first["crossings"].as_array().unwrap();
    assert!(crossings.len() > 1, "{first}");
    for crossing in crossings {
        let at = crossing["at"].as_i64().unwrap();
        assert_eq!(scored_at(at)["level"], crossing["level"]);
        assert_ne!(scored_at(at - 1)["level"], crossing["level"]);
    }
}

#[test]
fn what_is_bought_on_one_day_of_the_rules_time_zone_is_one_purchase() {
    let folder = Folder::new();
    let params = folder.put("p.toml", PARAMETERS);
    // The first two are on 2 January in Paris, and on two days in London.
    let events = folder.put(
        "e.jsonl",
        r#"{"customer_id":"c","event":"purchase","time":"2026-01-01T23:30:00Z","properties":{"amount":1}}
           {"customer_id":"c","event":"purchase","time":"2026-01-02T10:00:00Z","properties":{"amount":2}}
           {"customer_id":"c","event":"visit","time":"2026-01-05T10:00:00Z"}
           {"customer_id":"d","event":"visit","time":"2026-01-06T23:00:00Z"}"#,
    );
    let in_zone = |zone: &str| {
        let rules = folder.put("r.toml", &format!("time_zone = '{zone}'\n{RULES}"));
        let score = lines(&done(run(&["score", "--rules", &rules, "--params", &params, &events])));
        assert_eq!(score.len(), 1, "who never bought has no score");
        (score[0]["x"].as_i64().unwrap(), score[0]["t_days"].as_f64().unwrap())
    };
    assert_eq!(in_zone("Europe/Paris"), (0, 5.0));
    assert_eq!(in_zone("Europe/London"), (1, 5.0 + 23.0 / 24.0));
}

#[test]
fn use_is_scored_by_what_is_remembered_of_it() {
    let folder = Folder::new();
    let rules = folder.put("r.toml", "[churn]\nmodel = 'usage'\non = 'login'\n");
    let params = folder.put("p.toml", "[fgp]\nr = 0.05\nalpha_days = 5.0\ntau_days = 30.0\n");
    let events = folder.put(
        "e.jsonl",
        r#"{"customer_id":"c","event":"login","time":"2026-01-01T10:00:00Z"}
           {"customer_id":"c","event":"login","time":"2026-01-11T10:00:00Z"}"#,
    );
    let asked = ["score", "--rules", &rules, "--params", &params, "--at", "2026-01-21", &events];
    let line = &lines(&done(run(&asked)))[0];
    let activity = (-20.0_f64 / 30.0).exp() + (-10.0_f64 / 30.0).exp();
    let exposure = 30.0 * (1.0 - (-21.0_f64 / 30.0).exp());
    assert_near(&line["activity"], activity, 1e-12);
    assert_near(&line["exposure_days"], exposure, 1e-12);
    assert_near(&line["p_none"]["30"], ((5.0 + exposure) / (35.0 + exposure)).powf(0.05 + activity), 1e-12);
    assert!(line["alive"].is_null() && line["clv"].is_null() && line.get("x").is_none());
}

#[test]
fn rules_without_churn_are_refused_by_name() {
    for command in ["score", "fit"] {
        let ended = run(&[command, "--rules", "config/rules.toml", "tests/fixtures/cli/shop.jsonl"]);
        assert_eq!(ended.code, 78);
        assert!(ended.err.starts_with("cohortd: config/rules.toml: there is no [churn]"), "{}", ended.err);
    }
    let wrong = run(&["fit", "--on", "purchase wher x1 = 1", "tests/fixtures/cli/shop.jsonl"]);
    assert_eq!(wrong.code, 78);
    assert!(wrong.err.contains("the command line:2:16: churn.on"), "{}", wrong.err);
}

#[test]
fn too_little_history_is_reported() {
    let folder = Folder::new();
    let events = folder.cdnow(200);
    let fit = done(run(&["fit", "--on", "purchase", "--until", "1997-03-01", &events]));
    assert!(fit.err.contains("Provisional: customers were known for"), "{}", fit.err);
    assert!(fit.err.contains("The quality cannot be measured"), "{}", fit.err);
    let nothing = run(&["fit", "--on", "nothing", &events]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.err.contains("there is nothing to fit"), "{}", nothing.err);
}

#[test]
fn replay_fits_anew_each_monday_to_the_past_alone_and_always_the_same() {
    let folder = Folder::new();
    let (events, rules) = (folder.cdnow(250), folder.put("r.toml", RULES));
    let replay = |until: &str| done(run(&["replay", "--rules", &rules, "--until", until, &events]));
    let whole = replay("1998-07-01");
    assert_eq!(whole.out, replay("1998-07-01").out);
    assert!(whole.err.contains("fits, the last on 1998-06-29"), "{}", whole.err);
    let refit = lines(&whole).into_iter().filter(|line| line["reason"] == "model_changed");
    let refitted: Vec<i64> = refit.map(|line| line["at"].as_i64().unwrap()).collect();
    assert!(refitted.len() > 10);
    // Mondays, or what stream time was then: noon of a day, less the minute that others are waited for.
    assert!(refitted.iter().all(|at| since_monday(*at) < 4 * DAY), "{refitted:?}");
    // Later events do not change earlier results.
    let half = replay("1997-10-01");
    let before = |at: &Value| at.as_i64().unwrap() < CDNOW_FROM + 270 * DAY;
    let early = |ended: &Ended| lines(ended).into_iter().filter(|line| before(&line["at"])).collect::<Vec<_>>();
    assert!(early(&half).len() > 100);
    assert_eq!(early(&half), early(&whole));
}

#[test]
fn explain_compare_and_check_know_the_parameters_of_their_time() {
    let folder = Folder::new();
    let events = folder.cdnow(250);
    let rules = folder.put("r.toml", &format!("{RULES}[cohorts.risky]\nwho = 'churn_level = high'\n"));
    let replay = done(run(&["replay", "--rules", &rules, &events]));
    let bought: Vec<i64> = std::fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].as_i64().unwrap())
        .collect();
    let entry = lines(&replay).into_iter().rfind(|line| {
        let at = line["at"].as_i64().unwrap();
        // Monday's parameters are in force in either case: two events of that week came before.
        let of_the_week = bought.iter().filter(|bought| (at - since_monday(at)..at).contains(*bought));
        line["change"] == "entered" && line["reason"] == "time" && of_the_week.count() > 1
    });
    let entry = entry.unwrap();
    let (customer, at) = (entry["customer_id"].as_str().unwrap(), entry["at"].as_i64().unwrap());
    let member_at = |at: i64| {
        let at = at.to_string();
        let asked = ["explain", "--rules", &rules, "--customer", customer, "--json", "--at", &at, &events];
        lines(&done(run(&asked)))[0]["cohorts"][0]["member"].as_bool().unwrap()
    };
    assert!(member_at(at) && !member_at(at - 1), "{entry}");
    let compare = done(run(&["replay", "--rules", &rules, "--compare", &rules, &events]));
    assert_eq!(compare.out, "");
    let check = done(run(&["check", "--rules", &rules, "--sample", &events]));
    assert!(check.out.contains("the days with purchase: how many, first and last, and the sum of its amount"));
    let risk =
        "Churn risk: no purchase within 90 days; medium from 0.8, high from 0.9, lost from 0.95, none of them before";
    assert!(check.out.contains(risk) && check.out.contains("churn_level = high"), "{}", check.out);
}

#[test]
fn what_the_sample_never_has_is_pointed_out_in_churn_too() {
    let folder = Folder::new();
    let signals = "signals = [{ when = 'did complaint in the last 7 days', points = 8, because = 'complained' }]\n";
    let rules = folder.put("r.toml", &format!("[churn]\non = 'purchases'\n{signals}"));
    let check = done(run(&["check", "--rules", &rules, "--sample", &folder.cdnow(2)]));
    assert!(check.err.contains(":2:7: churn.on: the sample has no event `purchases`"), "{}", check.err);
    assert!(check.err.contains(":3:26: churn.signals.when: the sample has no event `complaint`"), "{}", check.err);
}

/// Customer, hours since 2025-01-01 and amount.
type Order = (String, i64, i64);

/// An unusual shop: its orders, and whether all parameters must be provisional, or none at the end.
struct Odd {
    name: &'static str,
    orders: Vec<Order>,
    provisional: Option<bool>,
}

fn odd_shops() -> Vec<Odd> {
    let regular = |customers: i64, times: i64, gap_days: i64| {
        (0..customers).flat_map(move |c| {
            let usual = gap_days + c % 11;
            (0..times).map(move |n| (format!("c{c}"), 24 * (c % 20 + n * usual + (c * n) % 5) + 9, 20 + c % 30))
        })
    };
    let wholesale = (0..10_000).map(|n| ("wholesale".to_owned(), n, 900));
    let given_back = |(customer, hour, amount): Order| {
        [(customer.clone(), hour, 0), (customer.clone(), hour + 30, amount), (customer, hour + 31, -3 * amount)]
    };
    let odd = |name, orders: Vec<Order>, provisional| Odd { name, orders, provisional };
    vec![
        odd("fifty customers", regular(50, 4, 40).collect(), Some(true)),
        odd("one customer", regular(1, 12, 20).collect(), Some(true)),
        odd("one-time buyers", (0..400).map(|c| (format!("c{c}"), 24 * (c % 200), 30)).collect(), Some(true)),
        odd("all at one time", (0..60).map(|c| (format!("c{c}"), 5, 30)).collect(), Some(true)),
        odd("free and given back", regular(60, 8, 30).flat_map(given_back).collect(), None),
        odd("a wholesaler", regular(80, 14, 25).chain(wholesale).collect(), Some(false)),
    ]
}

#[test]
fn predictions_for_unusual_shops_are_sensible_and_provisional_where_they_must_be() {
    const FROM: i64 = 1_735_689_600_000;
    let folder = Folder::new();
    let rules = folder.put("r.toml", &format!("{RULES}[cohorts.dear]\nwho = 'churn_risk >= 80 and clv > 1'\n"));
    for Odd { name, mut orders, provisional } in odd_shops() {
        orders.sort_by_key(|(_, hour, _)| *hour);
        let mut events = String::new();
        for (customer, hour, amount) in &orders {
            let at = FROM + hour * 3_600_000;
            writeln!(
                events,
                r#"{{"customer_id":"{customer}","event":"purchase","time":{at},"properties":{{"amount":{amount}}}}}"#
            )
            .unwrap();
        }
        let events = folder.put("odd.jsonl", &events);
        let until = (FROM + (orders[orders.len() - 1].1 + 24 * 200) * 3_600_000).to_string();
        let replay = || done(run(&["replay", "--rules", &rules, "--until", &until, &events]));
        let replayed = replay();
        assert_eq!(replayed.out, replay().out, "{name}");
        let risks: Vec<Value> = lines(&replayed).into_iter().filter(|line| line.get("risk").is_some()).collect();
        assert!(!risks.is_empty(), "{name}: {}", replayed.err);
        for risk in &risks {
            let number = |key: &str| risk[key].as_f64();
            assert!(number("probability").is_some_and(|p| (0.0..=1.0).contains(&p)), "{name}: {risk}");
            assert!(number("expected_purchases").is_some_and(|n| n >= 0.0), "{name}: {risk}");
            assert!(number("value_at_risk").is_none_or(|value| value >= 0.0), "{name}: {risk}");
        }
        match provisional {
            Some(true) => assert!(risks.iter().all(|risk| risk["provisional"] == true), "{name}: {}", replayed.err),
            Some(false) => assert_eq!(risks[risks.len() - 1]["provisional"], false, "{name}: {}", replayed.err),
            None => {}
        }
        // Whoever has been silent for most of a year is no one to be sure of.
        let last = |customer: &str| risks.iter().rfind(|risk| risk["customer_id"] == customer);
        let (customer, ..) = &orders[orders.len() - 1];
        assert!(last(customer).is_some_and(|risk| risk["risk"] != "low"), "{name}: {customer}: {}", replayed.err);
    }
}

#[test]
fn explain_shows_levels_by_name_and_scores_as_numbers() {
    let folder = Folder::new();
    let events = folder.cdnow(250);
    let who = "churn_level != low and churn_risk >= 5 and alive < 0.99 and clv > 0.5";
    let rules = folder.put("r.toml", &format!("{RULES}[cohorts.risky]\nwho = '{who}'\n"));
    let asked = ["explain", "--rules", &rules, "--customer", "0001", "--json", "--at", "1998-06-20", &events];
    let explained = lines(&done(run(&asked))).remove(0);
    let found: Vec<&str> = explained["cohorts"][0]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["value"]["en"].as_str().unwrap())
        .collect();
    assert!(["low", "medium", "high", "lost"].contains(&found[0]), "{explained}");
    for (number, digits) in found[1..].iter().zip([1, 3, 2]) {
        assert!(number.parse::<f64>().is_ok(), "{explained}");
        assert!(number.split_once('.').is_none_or(|(_, after)| after.len() <= digits), "{explained}");
    }
}

#[test]
fn an_amount_that_the_sample_never_has_or_has_as_a_text_is_pointed_out() {
    let folder = Folder::new();
    let check = |amount: &str, events: &str| {
        let rules = folder.put("r.toml", &format!("[churn]\non = 'purchase'\namount = 'purchase.{amount}'\n"));
        done(run(&["check", "--rules", &rules, "--sample", events])).err
    };
    let events = folder.cdnow(2);
    assert_eq!(check("amount", &events), "");
    let missing = check("ammount", &events);
    assert!(missing.contains(":3:20: churn.amount: no `purchase` in the sample has a property `ammount`"), "{missing}");
    assert!(missing.contains("did you mean `amount`?"), "{missing}");
    let text = r#"{"customer_id":"c","event":"purchase","time":852076800000,"properties":{"amount":"12.50"}}"#;
    let texts = check("amount", &folder.put("t.jsonl", text));
    let expected = "churn.amount: the rule takes `amount` for a number, and 1 of 1 value in the sample are texts";
    assert!(texts.contains(expected), "{texts}");
}
