//! What the audit found, as it is written to JSON: the names of these fields are the keys.

use std::collections::BTreeMap;

use serde::Serialize;

use super::guess::ChosenReport;
use super::text::Text;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When it was made, milliseconds since 1970.
    pub at: i64,
    pub records: u64,
    pub bytes: u64,
    pub passed_over: u64,
    /// The share of records that was looked at.
    pub sample: f64,
    pub topics: Vec<TopicReport>,
    pub customers_in_common: Vec<InCommon>,
    pub events_alike: Vec<Alike>,
    pub properties_alike: Vec<Alike>,
    pub two_types: Vec<TwoTypes>,
    pub critical_events: Vec<CriticalReport>,
    pub rules: Option<RulesReport>,
    pub findings: Vec<Finding>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicReport {
    pub topic: String,
    /// 0: it is of files.
    pub partitions: u32,
    pub records: u64,
    pub bytes: u64,
    pub passed_over: u64,
    pub formats: BTreeMap<&'static str, u64>,
    pub unreadable: BTreeMap<&'static str, u64>,
    pub schemas: Vec<SchemaReport>,
    pub headers: BTreeMap<String, u64>,
    pub keys: KeysReport,
    pub hours: HoursReport,
    pub customer: Option<ChosenReport>,
    /// Other fields that may hold the customer.
    pub other_customers: Vec<ChosenReport>,
    /// How many different customers there are, about.
    pub customers: u64,
    pub time: Option<ChosenReport>,
    pub event: Option<ChosenReport>,
    pub id: Option<ChosenReport>,
    pub preset: Option<&'static str>,
    pub events: Vec<EventReport>,
    /// There are more names than those.
    pub more_events: bool,
    pub times: Vec<TimeReport>,
    pub duplicates: Duplicates,
    pub fields: Vec<FieldReport>,
    /// Values of fields for which there was no room.
    pub values_left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaReport {
    pub schema: String,
    pub record: String,
    pub records: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeysReport {
    pub none: u64,
    pub text: u64,
    pub json: u64,
    pub avro: u64,
    pub unreadable: u64,
    pub distinct: u64,
    /// What chose the partitions; `null`: there is one partition, or no key.
    pub partitioned: Option<&'static str>,
    /// Records that are not where murmur2 puts their key.
    pub elsewhere: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoursReport {
    /// The path of the time, or `@timestamp`; `null`: there is none.
    pub by: Option<String>,
    pub width_ms: i64,
    /// Beginning, records, bytes.
    pub hours: Vec<(i64, u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventReport {
    pub event: String,
    pub records: u64,
    pub bytes: u64,
    /// One of the five that decisions begin with.
    pub critical: Option<&'static str>,
    /// Does a rule use it? `null`: there are no rules.
    pub used: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeReport {
    pub path: String,
    pub forms: BTreeMap<&'static str, u64>,
    /// Values that are no time.
    pub unclear: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub future: u64,
    pub late: u64,
    pub too_late: u64,
    /// Records that were written before their time, by more than clocks may differ.
    pub ahead: u64,
    /// From the time to the writing of the record, not exceeded by half and by 99 % of them: to a factor of two.
    pub lag_median_ms: Option<i64>,
    pub lag_99_ms: Option<i64>,
    /// By how many whole hours it is ahead of another time of the record.
    pub slips: Vec<SlipReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlipReport {
    /// The other time; `@timestamp`: that at which the record was written.
    pub against: String,
    pub hours: Vec<i8>,
    pub share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Duplicates {
    /// The share of records whose id came before; `null`: there is no id.
    pub by_id: Option<f64>,
    /// The share of records whose id came before with another content.
    pub by_id_with_other_content: Option<f64>,
    /// The share of records whose value came before.
    pub by_content: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldReport {
    pub path: String,
    pub types: BTreeMap<&'static str, u64>,
    /// The type of most values.
    #[serde(rename = "type")]
    pub main_type: &'static str,
    pub share: f64,
    pub distinct: u64,
    pub distinct_is_exact: bool,
    /// The most frequent values, where they may be shown; without a count where there are more than can be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<(String, Option<u64>)>>,
}

/// The customers that two topics have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InCommon {
    pub topics: [String; 2],
    pub paths: [String; 2],
    /// The share of the customers of each that the other has.
    pub shares: [f64; 2],
    /// Two other fields by which they have more in common.
    pub better: Option<Better>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Better {
    pub paths: [String; 2],
    pub shares: [f64; 2],
}

/// Spellings of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alike {
    /// The most frequent first.
    pub names: Vec<Spelled>,
    /// Is it probably a typing error, and no other spelling?
    pub slip: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spelled {
    pub name: String,
    pub topics: Vec<String>,
    pub records: u64,
}

/// One name whose values have two types for the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TwoTypes {
    pub name: String,
    /// Each with where it is.
    pub types: Vec<TypeOf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeOf {
    #[serde(rename = "type")]
    pub of: &'static str,
    pub topic: String,
    pub path: String,
    pub records: u64,
}

/// One of the five events that decisions begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriticalReport {
    pub event: &'static str,
    /// The names under which it is there; none: it is missing.
    pub names: Vec<Spelled>,
}

/// Events and rules that do not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RulesReport {
    /// How many rules name events.
    pub rules: usize,
    pub unused_events: Vec<EventReport>,
    pub unused_records: u64,
    pub unused_bytes: u64,
    /// Events that rules name and no topic has, each with the name that is nearest.
    pub missing_events: Vec<(String, Option<String>)>,
    /// Rules of whose events none is there, and these events.
    pub unfed: Vec<String>,
    pub unfed_events: Vec<String>,
}

/// One thing that is wrong, with what to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub kind: &'static str,
    /// From 0 to 1.
    pub cost: f64,
    /// The topics that it is about.
    pub topics: Vec<String>,
    /// How many records it concerns, about.
    pub records: u64,
    pub what: Text,
    pub to_do: Text,
}
