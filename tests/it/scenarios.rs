//! Scenario files: rules, events with their times, and the expected changes, worked out by hand.
//!
//! Each file of `tests/scenarios` proves what its name says. Its keys:
//!
//! - `rules`: the text of the rules file.
//! - `events`: `{ at, event, customer, id, source, properties }`, in log order. `customer` is "c" where none is written.
//!   Without an id, two events that are alike in everything are one record sent twice.
//! - `expect`: `{ at, cohort, change, reason, customer }`, all of them, in the order decided; and where the file is about
//!   them: `cause` (which event, counted from 0), `position`, `entered_at`, `times`, `sequence`, `next` (when it changes
//!   next if the customer stays silent, or "never"), and always `shadow` for those that are not emitted.
//! - `parameters`: `{ before, mbg_nbd, gamma_gamma, fgp }`, as in the file of `cohortd fit`: the models of churn have these
//!   from before that event on, after the advances.
//! - `risks`: `{ at, level, previous, reason, customer }`, all changes of the level of risk, in the order decided; and where
//!   the file is about them: `cause`, `position`, `sequence`, `next` (when the next level begins, or "never"),
//!   `probability`, `alive`, `expected`, `value` (to six digits).
//! - `until`, as `replay --until`. Without it, only what stream time has passed is decided.
//! - `config`: `arrives_within`, `max_lateness`, `earliest`, `dedupe_ids`, `observed_from`, where they differ from the
//!   defaults; and where the file is about what is forgotten over capacity, `series` and `distinct`: how many events and how
//!   many different values are held.
//! - `advances`: `{ before, to }`: stream time goes there before that event.
//! - `thresholds`: `{ before, rank, value, tie }`: this rank, in its words, begins there before that event (after the
//!   advances); other ranks have none from then on. `tie` is the customer from whom on those of this value are in;
//!   without it all are.
//! - `handled`: what became of each event; without it, all were applied.
//!
//! Times are ISO-8601, dates (midnight in UTC), or milliseconds. Lengths are words, as in the rules.

use std::path::{Path, PathBuf};

use cohortd::app::parameters_file::ParametersFile;
use cohortd::engine::{Model, Parameters};
use cohortd::event::{Change, ChangeReason, Instant, Number, Span};
use toml::{Table, Value};

use crate::engine_under_test::run_ahead;
use crate::generate::record_hash;
use crate::naive::{
    Advance, Case, Config, Decided, Handling, LogEvent, Outcome, OwnedValue, ParametersApplied, Rated,
    ThresholdsApplied, judge_ahead, tie_hash,
};

#[test]
fn every_scenario_is_decided_as_it_says() {
    let mut failures = Vec::new();
    let files = files();
    assert!(files.len() > 40, "only {} scenarios were found", files.len());
    for file in files {
        let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let scenario = Scenario::read(&file);
        if let Err(difference) = scenario.check("the judge", judge_ahead) {
            failures.push(format!("{name}\n{difference}"));
        }
        if let Err(difference) = scenario.check("the engine", run_ahead) {
            failures.push(format!("{name}\n{difference}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(&folder).expect("the folder of scenarios is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

struct Scenario {
    case: Case,
    expected: Vec<Table>,
    risks: Vec<Table>,
    handled: Vec<Handling>,
}

impl Scenario {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a scenario can be read");
        let mut table: Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let events: Vec<LogEvent> = tables(table.remove("events")).into_iter().map(event).collect();
        let handled = match table.remove("handled") {
            Some(handled) => handled.as_array().expect("a list").iter().map(handling).collect(),
            None => vec![Handling::Applied; events.len()],
        };
        let scenario = Self {
            case: Case {
                rules: text_of(&table.remove("rules").expect("a scenario has rules")),
                config: config(table.remove("config")),
                events,
                advances: tables(table.remove("advances")).into_iter().map(advance).collect(),
                thresholds: thresholds(tables(table.remove("thresholds"))),
                parameters: (1..).zip(tables(table.remove("parameters"))).map(parameters_applied).collect(),
                until: table.remove("until").map(|until| instant(&until)),
            },
            expected: tables(table.remove("expect")),
            risks: tables(table.remove("risks")),
            handled,
        };
        assert!(table.is_empty(), "{}: unknown keys {:?}", file.display(), table);
        scenario
    }

    fn check(&self, who: &str, decide: fn(&Case) -> Result<Outcome, String>) -> Result<(), String> {
        let outcome = decide(&self.case).map_err(|error| format!("{who} refuses the rules: {error}"))?;
        let mut wrong = Vec::new();
        if outcome.handled != self.handled {
            wrong.push(format!("{who}: handled {:?}, expected {:?}", outcome.handled, self.handled));
        }
        let found: Vec<String> = outcome.changes.iter().map(|decided| format!("  {decided}")).collect();
        let as_expected = outcome.changes.len() == self.expected.len()
            && outcome.changes.iter().zip(&self.expected).all(|(decided, expected)| is_as(decided, expected));
        if !as_expected {
            let expected: Vec<String> = self.expected.iter().map(|expected| format!("  {expected:?}")).collect();
            wrong.push(format!("{who} decided\n{}\nexpected\n{}", found.join("\n"), expected.join("\n")));
        }
        let rated_as_expected = outcome.risks.len() == self.risks.len()
            && outcome.risks.iter().zip(&self.risks).all(|(rated, expected)| is_rated_as(rated, expected));
        if !rated_as_expected {
            let found: Vec<String> = outcome.risks.iter().map(|rated| format!("  {rated}")).collect();
            let expected: Vec<String> = self.risks.iter().map(|expected| format!("  {expected:?}")).collect();
            wrong.push(format!("{who} decided of risk\n{}\nexpected\n{}", found.join("\n"), expected.join("\n")));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

/// Compares what the scenario writes down of a change, all of it if it writes all.
fn is_as(decided: &Decided, expected: &Table) -> bool {
    let Decided {
        customer,
        cohort,
        change,
        occurred_at,
        reason,
        cause,
        entered_at,
        times_entered,
        sequence,
        position,
        shadow,
        next_change_at,
    } = decided;
    let count = |value: &Value| usize::try_from(value.as_integer().expect("a whole number")).expect("zero or more");
    let named = |name: &str, default: Option<&str>| {
        expected
            .get(name)
            .map(text_of)
            .or_else(|| default.map(Into::into))
            .unwrap_or_else(|| panic!("{name} is missing"))
    };
    let wanted_change = match named("change", None).as_str() {
        "entered" => Change::Entered,
        "exited" => Change::Exited,
        other => panic!("{other} is no change"),
    };
    let wanted_reason = reason_named(&named("reason", None));
    expected.iter().all(|(key, value)| match key.as_str() {
        "at" => instant(value) == *occurred_at,
        "entered_at" => instant(value) == *entered_at,
        "cause" => Some(count(value)) == *cause,
        "position" => count(value) == *position,
        "times" => count(value) == *times_entered as usize,
        "sequence" => u64::try_from(count(value)).expect("small") == *sequence,
        "next" if value.as_str() == Some("never") => next_change_at.is_none(),
        "next" => Some(instant(value)) == *next_change_at,
        "shadow" => value.as_bool() == Some(*shadow),
        "customer" | "cohort" | "change" | "reason" => true,
        other => panic!("{other} is nothing that a change has"),
    }) && expected.contains_key("at")
        && named("customer", Some("c")) == *customer
        && named("cohort", None) == *cohort
        && wanted_change == *change
        && wanted_reason == *reason
        && cause_fits(*reason, *cause)
        && (!*shadow || expected.contains_key("shadow"))
}

/// Compares what the scenario writes down of a change of the level of risk.
fn is_rated_as(rated: &Rated, expected: &Table) -> bool {
    let count = |value: &Value| usize::try_from(value.as_integer().expect("a whole number")).expect("zero or more");
    let text = |name: &str| text_of(expected.get(name).unwrap_or_else(|| panic!("{name} is missing")));
    let near = |value: &Value, found: Option<f64>| {
        let wanted = value.as_float().expect("a number with a point");
        found.is_some_and(|found| (found - wanted).abs() <= 5e-7 * wanted.abs().max(1.0))
    };
    expected.iter().all(|(key, value)| match key.as_str() {
        "at" => instant(value) == rated.occurred_at,
        "cause" => Some(count(value)) == rated.cause,
        "position" => count(value) == rated.position,
        "sequence" => u64::try_from(count(value)).expect("small") == rated.sequence,
        "next" if value.as_str() == Some("never") => rated.next_level_at.is_none(),
        "next" => Some(instant(value)) == rated.next_level_at,
        "probability" => near(value, Some(rated.probability)),
        "expected" => near(value, Some(rated.expected)),
        "alive" => near(value, rated.alive),
        "value" => near(value, rated.value),
        "customer" | "level" | "previous" | "reason" => true,
        other => panic!("{other} is nothing that a change of risk has"),
    }) && expected.contains_key("at")
        && expected.get("customer").map_or_else(|| "c".into(), text_of) == rated.customer
        && text("level") == rated.level
        && text("previous") == rated.previous
        && reason_named(&text("reason")) == rated.reason
        && cause_fits(rated.reason, rated.cause)
}

fn reason_named(name: &str) -> ChangeReason {
    match name {
        "event" => ChangeReason::Event,
        "late event" => ChangeReason::LateEvent,
        "time" => ChangeReason::Time,
        "excluded" => ChangeReason::Excluded,
        "threshold" => ChangeReason::Threshold,
        "definition changed" => ChangeReason::DefinitionChanged,
        "model_changed" => ChangeReason::ModelChanged,
        other => panic!("{other} is no reason"),
    }
}

fn cause_fits(reason: ChangeReason, cause: Option<usize>) -> bool {
    match reason {
        ChangeReason::Excluded => true,
        ChangeReason::Time | ChangeReason::Threshold | ChangeReason::DefinitionChanged | ChangeReason::ModelChanged => {
            cause.is_none()
        }
        ChangeReason::Event | ChangeReason::LateEvent => cause.is_some(),
    }
}

fn tables(value: Option<Value>) -> Vec<Table> {
    let Some(value) = value else { return vec![] };
    let items = value.as_array().expect("a list of tables").clone();
    items.into_iter().map(|item| item.as_table().expect("a list of tables").clone()).collect()
}

fn event(mut table: Table) -> LogEvent {
    let mut taken = |key: &str| table.remove(key);
    let text = |value: Value| text_of(&value);
    let mut event = LogEvent {
        customer: taken("customer").map_or_else(|| "c".into(), text),
        name: text(taken("event").expect("an event has a name")),
        at: instant(&taken("at").expect("an event has a time")),
        id: taken("id").map(text),
        source: taken("source").map(text),
        record_hash: 0,
        properties: taken("properties").map(properties).unwrap_or_default(),
    };
    assert!(table.is_empty(), "an event has no {table:?}");
    event.record_hash = record_hash(&event);
    event
}

fn properties(value: Value) -> Vec<(String, OwnedValue)> {
    let table = value.as_table().expect("properties are a table").clone();
    table.into_iter().map(|(name, value)| (name, property(&value))).collect()
}

fn property(value: &Value) -> OwnedValue {
    match value {
        Value::Boolean(flag) => OwnedValue::Bool(*flag),
        Value::Integer(number) => OwnedValue::Number(Number::from_integer(*number)),
        Value::Float(number) => OwnedValue::Number(Number::from_double(*number).expect("a number that fits")),
        // TOML has no null.
        Value::String(text) if text == "(null)" => OwnedValue::Null,
        Value::String(text) => OwnedValue::Text(text.clone()),
        Value::Array(values) => OwnedValue::List(values.iter().map(property).collect()),
        other => panic!("{other} is no value of a property"),
    }
}

fn advance(table: Table) -> Advance {
    let position = table["before"].as_integer().expect("before which event");
    Advance { position: usize::try_from(position).expect("zero or more"), stream_time: instant(&table["to"]) }
}

/// Those before one event are applied together.
fn thresholds(tables: Vec<Table>) -> Vec<ThresholdsApplied> {
    let mut found: Vec<ThresholdsApplied> = Vec::new();
    for table in tables {
        let position = table["before"].as_integer().expect("before which event");
        let position = usize::try_from(position).expect("zero or more");
        let OwnedValue::Number(value) = property(&table["value"]) else { panic!("a threshold is a number") };
        let words = text_of(&table["rank"]);
        let all = if words.contains("bottom") || words.contains("lowest") { u64::MAX } else { 0 };
        let tie = table.get("tie").map_or(all, |customer| tie_hash(&text_of(customer)));
        let rank = (words, (value, tie));
        match found.last_mut().filter(|last| last.position == position) {
            Some(last) => last.ranks.push(rank),
            None => found.push(ThresholdsApplied { position, stream_time: Instant::MAX, ranks: vec![rank] }),
        }
    }
    found
}

fn parameters_applied((version, mut table): (u32, Table)) -> ParametersApplied {
    let position = table.remove("before").and_then(|before| before.as_integer()).expect("before which event");
    let position = usize::try_from(position).expect("zero or more");
    let file: ParametersFile = table.try_into().expect("parameters as `cohortd fit` writes them");
    let purchases = file.mbg_nbd.map(|transactions| Model::Purchases {
        transactions: transactions.into(),
        amounts: file.gamma_gamma.map(Into::into),
    });
    let model = purchases.or(file.fgp.map(|usage| Model::Usage(usage.into()))).expect("parameters of one model");
    let parameters = Parameters { version, model, recalibration: None, provisional: false };
    ParametersApplied { position, stream_time: Instant::MAX, parameters }
}

fn config(value: Option<Value>) -> Config {
    let mut config = Config::default();
    let table = value.map(|value| value.as_table().expect("config is a table").clone()).unwrap_or_default();
    for (key, value) in table {
        match key.as_str() {
            "arrives_within" => config.arrives_within = span(&value),
            "max_lateness" => config.max_lateness = span(&value),
            "earliest" => config.earliest = instant(&value),
            "observed_from" => config.observed_from = instant(&value),
            "dedupe_ids" => config.dedupe_ids = count(&value),
            "series" => config.capacities.series = count(&value),
            "distinct" => config.capacities.distinct = count(&value),
            other => panic!("{other} is no setting of a scenario"),
        }
    }
    config
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_integer().expect("a number")).expect("zero or more")
}

fn handling(value: &Value) -> Handling {
    match text_of(value).as_str() {
        "applied" => Handling::Applied,
        "duplicate" => Handling::Duplicate,
        "too late" => Handling::TooLate,
        "bad time" => Handling::BadTime,
        "not read" => Handling::NotRead,
        other => panic!("{other} is not a way to handle an event"),
    }
}

/// A length in words; `0 seconds` too, which no rule may contain.
fn span(value: &Value) -> Span {
    let text = text_of(value);
    if text == "0 seconds" {
        return Span(0);
    }
    cohortd::rules::parse_duration(&text).unwrap_or_else(|error| panic!("{text}: {}", error.message)).span
}

fn instant(value: &Value) -> Instant {
    if let Some(ms) = value.as_integer() {
        return Instant(ms);
    }
    let text = text_of(value);
    let full = if text.len() == 10 { format!("{text}T00:00Z") } else { text };
    let stamp: jiff::Timestamp = full.parse().unwrap_or_else(|error| panic!("{full}: {error}"));
    Instant(stamp.as_millisecond())
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).into()
}
