//! What the naive evaluator expects of a test's input topic, compared with the outputs.

use std::collections::{BTreeMap, BTreeSet};

use cohortd::codec::Output;
use cohortd::event::Instant;
use cohortd::store::Recorded;
use serde_json::Value;

use super::avro;
use super::lab::{Lab, Seen};
use crate::naive::{
    Advance, Case, Config, Decided, Handling, LogEvent, ParametersApplied, Rated, ThresholdsApplied, judge,
};

/// Customers so named do nothing that a rule speaks of: their events only move time. The evaluator, which looks at everybody
/// at each event, is spared thousands of them.
pub(super) const IDLE: &str = "idle-";

/// What an experiment came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) events: usize,
    pub(super) changes: usize,
    pub(super) by_time: usize,
    pub(super) late: usize,
    pub(super) advances: usize,
    /// How often thresholds were applied.
    pub(super) thresholds: usize,
    pub(super) by_threshold: usize,
    /// How often parameters of the churn model were applied.
    pub(super) parameters: usize,
    /// Changes of the level of risk, and those of them that other parameters brought about.
    pub(super) risks: usize,
    pub(super) by_parameters: usize,
    pub(super) duplicates: usize,
    pub(super) too_late: usize,
}

/// Compares everything that is visible now with what the log and the recorded advances must give: changes one by one,
/// members as their fold, dead letters of events that came too late. Panics with the first difference.
pub(super) fn check(lab: &Lab, config: Config) -> Found {
    check_with(lab, config, |seen| avro::decode(seen.payload.as_ref()?))
}

/// The same; `event` says what a record of the input is, `None` if it cannot be used.
pub(super) fn check_with(lab: &Lab, config: Config, event: impl Fn(&Seen) -> Option<LogEvent>) -> Found {
    check_log(lab, config, &lab.read("in"), event)
}

/// The same, of a log that the input topic no longer holds, or not alone.
pub(super) fn check_log(
    lab: &Lab,
    config: Config,
    input: &[Vec<Seen>],
    event: impl Fn(&Seen) -> Option<LogEvent>,
) -> Found {
    let mut found = Found::default();
    let (advances, recorded) = (lab.advances(), lab.thresholds_applied());
    let (changes, risks, dead_letters) = (lab.read("changes"), lab.read("risks"), lab.read("letters"));
    let mut ids = BTreeSet::new();
    for (partition, (input, advances)) in input.iter().zip(advances).enumerate() {
        let usable = input.iter().filter_map(|seen| Some((seen.offset, event(seen)?)));
        let (idle, active): (Vec<_>, Vec<_>) = usable.partition(|(_, event)| event.customer.starts_with(IDLE));
        let (offsets, events): (Vec<i64>, Vec<LogEvent>) = active.into_iter().unzip();
        let place = |offset: i64| offsets.partition_point(|known| *known < offset);
        found.events += events.len() + idle.len();
        found.advances += advances.len();
        let mut moves: Vec<(i64, Instant)> = advances.iter().map(|(at, to)| (*at, Instant(*to))).collect();
        moves.extend(idle.iter().map(|(offset, event)| (offset + 1, event.at - config.arrives_within)));
        moves.sort();
        let advances = moves.iter().map(|(at, to)| Advance { position: place(*at), stream_time: *to }).collect();
        let thresholds = thresholds_applied(lab, &recorded[partition], place);
        found.thresholds += thresholds.len();
        let parameters = parameters_applied(&recorded[partition], place);
        found.parameters += parameters.len();
        // The position of a customer in the sweep decides the position of the changes that new parameters cause.
        let shown = |position: usize| if parameters.is_empty() { position } else { 0 };
        let rules = lab.rules.clone();
        let case = Case { rules, config, events, advances, thresholds, parameters: parameters.clone(), until: None };
        let outcome = judge(&case).unwrap();

        let log = Log { name: lab.topic("in"), gathered: gathered(input) };
        let published: Vec<Published> =
            changes[partition].iter().map(|seen| Published::of(seen, &log, |offset| shown(place(offset)))).collect();
        for published in &published {
            assert!(ids.insert(published.event_id.clone()), "{} twice: {}", published.event_id, published.line);
        }
        found.changes += published.len();
        found.by_time += outcome.changes.iter().filter(|change| change.cause.is_none()).count();
        let of_reason = |reason: &str| outcome.changes.iter().filter(|change| change.reason.as_str() == reason).count();
        found.by_threshold += of_reason("THRESHOLD");
        found.late += outcome.changes.iter().filter(|change| change.reason.as_str() == "LATE_EVENT").count();
        let emitted = outcome.changes.iter().filter(|change| !change.shadow);
        let expected = emitted.map(|change| {
            let change = Decided { position: shown(change.position), ..change.clone() };
            (change.customer.clone(), expected(&change, &offsets))
        });
        let published = published.into_iter().map(|published| (published.customer, published.line));
        compare(partition, &by_customer(expected), &by_customer(published), &case, &offsets);

        found.risks += risks[partition].len();
        found.by_parameters += outcome.risks.iter().filter(|rated| rated.reason.as_str() == "MODEL_CHANGED").count();
        let published = risks[partition].iter().map(|seen| rated(seen, &log, &mut ids));
        let expected = outcome.risks.iter().map(|rated| (rated.customer.clone(), expected_risk(rated, &offsets)));
        compare(partition, &by_customer(expected), &by_customer(published), &case, &offsets);

        let of = |handling| outcome.handled.iter().filter(move |found| **found == handling).count();
        found.duplicates += of(Handling::Duplicate);
        found.too_late += of(Handling::TooLate);
        let handled = offsets.iter().zip(&outcome.handled);
        let expected: Vec<(i64, &str)> = handled
            .filter_map(|(offset, handling)| match handling {
                Handling::TooLate => Some((*offset, "too_late")),
                Handling::BadTime => Some((*offset, "bad_time")),
                _ => None,
            })
            .collect();
        // Those that are no events are the caller's to check.
        let usable = |seen: &&Seen| offsets.contains(&seen.header("cohortd_offset").parse().unwrap());
        let published: Vec<(i64, &str)> = dead_letters[partition]
            .iter()
            .filter(usable)
            .map(|seen| (seen.header("cohortd_offset").parse().unwrap(), seen.header("cohortd_reason")))
            .collect();
        assert_eq!(published, expected, "dead letters of partition {partition}");
    }
    members_are_the_fold(lab, &changes);
    found
}

/// The thresholds of all ranks each time they were applied: they are recorded together, in the order of the ranks.
fn thresholds_applied(lab: &Lab, recorded: &[(i64, Recorded)], place: impl Fn(i64) -> usize) -> Vec<ThresholdsApplied> {
    let rules = cohortd::rules::load("rules.toml", &lab.rules).unwrap();
    let mut found: Vec<ThresholdsApplied> = Vec::new();
    for (position, recorded) in recorded {
        let Recorded::Threshold { rank, threshold, stream_time } = recorded else { continue };
        if *rank == 0 {
            found.push(ThresholdsApplied { position: place(*position), stream_time: *stream_time, ranks: vec![] });
        }
        let words = rules.ranks[usize::from(*rank)].words.clone();
        let threshold = threshold.map(|threshold| (words, (threshold.value, threshold.hash)));
        found.last_mut().expect("the first rank begins").ranks.extend(threshold);
    }
    found
}

/// The parameters of the churn model each time they were applied.
fn parameters_applied(recorded: &[(i64, Recorded)], place: impl Fn(i64) -> usize) -> Vec<ParametersApplied> {
    let parameters_applied = |(position, recorded): &(i64, Recorded)| match recorded {
        Recorded::Parameters { parameters, stream_time } => {
            Some(ParametersApplied { position: place(*position), stream_time: *stream_time, parameters: *parameters })
        }
        _ => None,
    };
    recorded.iter().filter_map(parameters_applied).collect()
}

/// What a record of `risks` says, in one line that the expectation has as well, and whose it is.
fn rated(seen: &Seen, log: &Log, ids: &mut BTreeSet<String>) -> (String, String) {
    let change = Output::ChurnRiskChange.to_json(seen.payload.as_ref().unwrap()).expect("one ChurnRiskChange");
    let text = |field: &str| change[field].as_str().unwrap().to_owned();
    assert_eq!((seen.key(), seen.header("level")), (&*text("customer_id"), &*text("level")));
    assert_eq!(seen.header("ce_id"), text("event_id"));
    assert!(ids.insert(text("event_id")), "{} twice: {change}", text("event_id"));
    let (percent, next) = (change["probability"].as_f64().unwrap() * 100.0, &change["next_level_at"]);
    let line = risk_line(
        change["sequence"].as_u64().unwrap(),
        (&text("previous_level"), &text("level")),
        change["occurred_at"].as_i64().unwrap(),
        &text("reason"),
        &log.cause(&change["cause"], seen),
        percent,
        next,
    );
    (text("customer_id"), line)
}

fn expected_risk(rated: &Rated, offsets: &[i64]) -> String {
    risk_line(
        rated.sequence,
        (&rated.previous, &rated.level),
        rated.occurred_at.0,
        rated.reason.as_str(),
        &rated.cause.map_or(Value::Null, |cause| offsets[cause].into()),
        rated.probability * 100.0,
        &rated.next_level_at.map_or(Value::Null, |at| at.0.into()),
    )
}

fn risk_line(
    sequence: u64,
    (from, to): (&str, &str),
    at: i64,
    reason: &str,
    cause: &Value,
    percent: f64,
    next: &Value,
) -> String {
    format!("{sequence} {from} to {to} at {at} reason {reason} cause {cause} risk {percent:.6} % next {next}")
}

/// The offset of each gathered record, by where it was gathered from.
fn gathered(input: &[Seen]) -> BTreeMap<(String, i64, i64), i64> {
    let from = |seen: &Seen| {
        let number = |name: &str| seen.header(name).parse().unwrap();
        let topic = seen.headers.get("cohortd_source_topic")?.clone();
        Some((topic, number("cohortd_source_partition"), number("cohortd_source_offset")))
    };
    input.iter().filter_map(|seen| Some((from(seen)?, seen.offset))).collect()
}

/// A partition of the input, which may have been gathered.
struct Log {
    name: String,
    gathered: BTreeMap<(String, i64, i64), i64>,
}

impl Log {
    /// The offset of a cause in the log. A cause at which the change was decided lies where it was gathered from.
    fn cause(&self, cause: &Value, seen: &Seen) -> Value {
        if cause.is_null() {
            return Value::Null;
        }
        let (topic, partition) = (cause["topic"].as_str().unwrap(), cause["partition"].as_i64().unwrap());
        let offset = cause["offset"].as_i64().unwrap();
        if topic == self.name {
            assert_eq!(partition, i64::from(seen.partition));
            assert!(self.gathered.is_empty() || seen.header("cohortd_position") != offset.to_string(), "{cause}");
            return offset.into();
        }
        self.gathered[&(topic.to_owned(), partition, offset)].into()
    }
}

/// What a record of `changes` says, in one line that the expectation has as well.
struct Published {
    customer: String,
    event_id: String,
    line: String,
}

impl Published {
    fn of(seen: &Seen, log: &Log, place: impl Fn(i64) -> usize) -> Self {
        let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).expect("one CohortChange");
        let text = |field: &str| change[field].as_str().unwrap().to_owned();
        let customer = text("customer_id");
        assert_eq!(seen.key(), customer);
        assert_eq!(seen.header("ce_id"), text("event_id"));
        assert_eq!(seen.header("cohort"), text("cohort"));
        Self {
            event_id: text("event_id"),
            line: line(
                &change["sequence"],
                &text("cohort"),
                &text("change"),
                &change["occurred_at"],
                &text("reason"),
                &log.cause(&change["cause"], seen),
                &change["entered_at"],
                &change["times_entered"],
                place(seen.header("cohortd_position").parse().unwrap()),
            ),
            customer,
        }
    }
}

fn expected(change: &Decided, offsets: &[i64]) -> String {
    line(
        &change.sequence.into(),
        &change.cohort,
        change.change.symbol(),
        &change.occurred_at.0.into(),
        change.reason.as_str(),
        &change.cause.map_or(Value::Null, |cause| offsets[cause].into()),
        &change.entered_at.0.into(),
        &change.times_entered.into(),
        change.position,
    )
}

#[expect(clippy::too_many_arguments, reason = "the fields of one line")]
fn line(
    sequence: &Value,
    cohort: &str,
    change: &str,
    at: &Value,
    reason: &str,
    cause: &Value,
    entered_at: &Value,
    times: &Value,
    position: usize,
) -> String {
    format!(
        "{sequence} {change} {cohort} at {at} reason {reason} cause {cause} since {entered_at} times {times} \
         position {position}"
    )
}

type ByCustomer = BTreeMap<String, Vec<String>>;

fn by_customer(lines: impl Iterator<Item = (String, String)>) -> ByCustomer {
    let mut sorted = ByCustomer::new();
    for (customer, line) in lines {
        sorted.entry(customer).or_default().push(line);
    }
    sorted
}

fn compare(partition: usize, expected: &ByCustomer, published: &ByCustomer, case: &Case, offsets: &[i64]) {
    let customers: BTreeSet<&String> = expected.keys().chain(published.keys()).collect();
    for customer in customers {
        let none = Vec::new();
        let (expected, published) = (expected.get(customer).unwrap_or(&none), published.get(customer).unwrap_or(&none));
        if expected == published {
            continue;
        }
        let same = expected.iter().zip(published).take_while(|(a, b)| a == b).count();
        let events: Vec<String> = case
            .events
            .iter()
            .zip(offsets)
            .filter(|(event, _)| event.customer == *customer)
            .map(|(event, offset)| format!("  {offset} {} at {} id {:?}", event.name, event.at.0, event.id))
            .collect();
        panic!(
            "partition {partition}, customer {customer}: after {same} changes as expected\n expected {:#?}\n said {:#?}\n\
             events:\n{}",
            &expected[same..(same + 5).min(expected.len())],
            &published[same..(same + 5).min(published.len())],
            events[events.len().saturating_sub(60)..].join("\n")
        );
    }
}

/// The membership table is what the changes add up to, with the same ids.
fn members_are_the_fold(lab: &Lab, changes: &[Vec<Seen>]) {
    for (partition, (members, changes)) in lab.read("members").iter().zip(changes).enumerate() {
        let mut table = BTreeMap::new();
        for seen in members {
            let row = seen.payload.as_ref().map(|row| Output::CohortMember.to_json(row).expect("one CohortMember"));
            match row {
                Some(row) => table.insert(seen.key().to_owned(), row),
                None => table.remove(seen.key()),
            };
        }
        let mut fold = BTreeMap::new();
        for seen in changes {
            let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
            let key = format!("{}/{}", change["cohort"].as_str().unwrap(), change["customer_id"].as_str().unwrap());
            if change["change"] == "EXITED" {
                fold.remove(&key);
                continue;
            }
            let fields = [
                "customer_id",
                "cohort",
                "entered_at",
                "times_entered",
                "event_id",
                "sequence",
                "reason",
                "definition",
            ];
            let row: serde_json::Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), change[*field].clone())).collect();
            fold.insert(key, Value::Object(row));
        }
        assert_eq!(table, fold, "members of partition {partition}");
    }
}
