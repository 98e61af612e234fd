//! A test case: one partition's log under one rules file, and the expected output.

use cohortd::engine::Parameters;
use cohortd::event::{Change, ChangeReason, Instant, Number, Span, Value};
use cohortd::fact::Capacities;

/// One partition from its first event on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// The text of the rules file.
    pub(crate) rules: String,
    pub(crate) config: Config,
    /// In log order: an event's position is its index here.
    pub(crate) events: Vec<LogEvent>,
    /// In the order of their positions.
    pub(crate) advances: Vec<Advance>,
    /// In the order of their positions.
    pub(crate) thresholds: Vec<ThresholdsApplied>,
    /// In the order of their positions; at one position after the thresholds.
    pub(crate) parameters: Vec<ParametersApplied>,
    /// As `replay --until`: later events are not read, and at the end the deadlines up to here are decided. `None`:
    /// only what stream time has passed is decided.
    pub(crate) until: Option<Instant>,
}

/// The settings that take part in decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) arrives_within: Span,
    pub(crate) max_lateness: Span,
    pub(crate) dedupe_ids: usize,
    pub(crate) earliest: Instant,
    /// Before that nothing of the log was read.
    pub(crate) observed_from: Instant,
    /// How much is kept of each customer: those of the product, or small ones.
    pub(crate) capacities: Capacities,
}

impl Default for Config {
    /// As `config/cohortd.toml`.
    fn default() -> Self {
        Self {
            arrives_within: Span(60_000),
            max_lateness: Span(4 * 86_400_000),
            dedupe_ids: 64,
            earliest: Instant(631_152_000_000),
            observed_from: Instant::MIN,
            capacities: Capacities::DEFAULT,
        }
    }
}

/// One event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEvent {
    pub(crate) customer: String,
    pub(crate) name: String,
    pub(crate) at: Instant,
    pub(crate) id: Option<String>,
    pub(crate) source: Option<String>,
    /// Stands in for a missing id.
    pub(crate) record_hash: u64,
    /// Each property at most once.
    pub(crate) properties: Vec<(String, OwnedValue)>,
}

impl LogEvent {
    /// The values of a property that is a list.
    pub(crate) fn listed(&self, name: &str) -> Vec<Value<'_>> {
        match self.properties.iter().find(|(property, _)| property == name) {
            Some((_, OwnedValue::List(values))) => values.iter().filter_map(OwnedValue::known).collect(),
            _ => vec![],
        }
    }

    /// The value of a property, unless missing, null or a list.
    pub(crate) fn property(&self, name: &str) -> Option<Value<'_>> {
        self.properties.iter().find(|(property, _)| property == name).and_then(|(_, value)| value.known())
    }
}

/// A property's value as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// Values, none of which is a list.
    List(Vec<OwnedValue>),
}

impl OwnedValue {
    /// Null is the same as missing, and a list is no value.
    pub(crate) fn known(&self) -> Option<Value<'_>> {
        match self {
            Self::Null | Self::List(_) => None,
            Self::Bool(flag) => Some(Value::Bool(*flag)),
            Self::Number(number) => Some(Value::Number(*number)),
            Self::Text(text) => Some(Value::Text(text)),
        }
    }
}

/// A recorded step of stream time without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    /// It takes effect before the event at this position; the log's length stands for its end.
    pub(crate) position: usize,
    pub(crate) stream_time: Instant,
}

/// The threshold of a rank: a value, and in ties the hash of an id.
pub(crate) type Threshold = (Number, u64);

/// Thresholds of all ranks, from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThresholdsApplied {
    /// They take effect before the event at this position; the log's length stands for its end.
    pub(crate) position: usize,
    /// Advances at this position go first if they are no later than this.
    pub(crate) stream_time: Instant,
    /// By the words of the rank in the rules file, with single spaces; of others there is none.
    pub(crate) ranks: Vec<(String, Threshold)>,
}

/// Parameters of the model of churn, from here on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParametersApplied {
    /// They take effect before the event at this position; the log's length stands for its end.
    pub(crate) position: usize,
    /// Advances at this position go first if they are no later than this.
    pub(crate) stream_time: Instant,
    pub(crate) parameters: Parameters,
}

/// What must come out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Outcome {
    /// In the order promised for `replay`: log position, instant, customer, sequence.
    pub(crate) changes: Vec<Decided>,
    /// Changes of the level of risk, in the same order.
    pub(crate) risks: Vec<Rated>,
    /// One for each event of the log.
    pub(crate) handled: Vec<Handling>,
}

/// One membership change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) customer: String,
    pub(crate) cohort: String,
    pub(crate) change: Change,
    pub(crate) occurred_at: Instant,
    pub(crate) reason: ChangeReason,
    /// Log position of the event that caused it; none where time alone did.
    pub(crate) cause: Option<usize>,
    /// When this stay began.
    pub(crate) entered_at: Instant,
    pub(crate) times_entered: u32,
    /// Counts this customer's emitted changes from 1; of one in the shadow, that of the last emitted before it.
    pub(crate) sequence: u64,
    /// Where in the log it was caused, or its deadline became due; the log's length for what only `until` made due.
    pub(crate) position: usize,
    /// Not emitted.
    pub(crate) shadow: bool,
    /// When this standing changes next if the customer stays silent. Only where it was asked for.
    pub(crate) next_change_at: Option<Instant>,
}

impl std::fmt::Display for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { customer, cohort, occurred_at, reason, position, sequence, times_entered, entered_at, .. } = self;
        let change = self.change.word();
        let shadow = if self.shadow { " in the shadow" } else { "" };
        let next = self.next_change_at.map(|at| format!(" until {}", at.0)).unwrap_or_default();
        let cause = self.cause.map_or_else(|| "-".into(), |position| position.to_string());
        write!(
            f,
            "{customer} {change} {cohort} at {at} ({occurred_at}) reason {reason} cause {cause} position {position} \
             sequence {sequence} times {times_entered} since {since}{shadow}{next}",
            at = occurred_at.0,
            since = entered_at.0
        )
    }
}

/// One change of the level of risk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rated {
    pub(crate) customer: String,
    pub(crate) level: String,
    pub(crate) previous: String,
    pub(crate) occurred_at: Instant,
    pub(crate) reason: ChangeReason,
    /// As for changes of membership.
    pub(crate) cause: Option<usize>,
    /// Counts this customer's changes of level from 1.
    pub(crate) sequence: u64,
    pub(crate) position: usize,
    /// When the next level begins if the customer stays silent.
    pub(crate) next_level_at: Option<Instant>,
    /// Of nothing within the horizon.
    pub(crate) probability: f64,
    pub(crate) expected: f64,
    pub(crate) alive: Option<f64>,
    /// What is to come is worth, as of the beginning of the level.
    pub(crate) value: Option<f64>,
}

impl std::fmt::Display for Rated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { customer, level, previous, occurred_at, reason, position, sequence, .. } = self;
        let next = self.next_level_at.map(|at| format!(" until {}", at.0)).unwrap_or_default();
        let cause = self.cause.map_or_else(|| "-".into(), |position| position.to_string());
        write!(
            f,
            "{customer} from {previous} to {level} at {at} ({occurred_at}) reason {reason} cause {cause} position \
             {position} sequence {sequence}{next} probability {} expected {} alive {:?} value {:?}",
            self.probability,
            self.expected,
            self.alive,
            self.value,
            at = occurred_at.0,
        )
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    Applied,
    /// One event counts once.
    Duplicate,
    /// Older than stream time by more than `max_lateness`.
    TooLate,
    /// Before `earliest`.
    BadTime,
    /// Later than `until`.
    NotRead,
}
