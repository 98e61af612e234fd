//! Checks what would become of the first records of the input.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::app::preflight::{Part, Preflight, Verdict};
use crate::app::rules_file::RulesFile;
use crate::cli::format::{counted, grouped, untimely};
use crate::cli::history::{Seen, Topic};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::clock::{Ahead, is_ahead, wall_clock};
use crate::engine::Timing;
use crate::event::{CustomerEvent, DeadLetterReason, Instant};
use crate::kafka::partition_of;
use crate::lane::is_mixed;
use crate::settings::{Loaded, Settings};

/// The number of records, over all partitions.
const RECORDS: u64 = 1_000;

/// What would become of the records.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    partitions: u32,
    events: u64,
    tombstones: u64,
    /// By reason, each with the detail of the first.
    dead: BTreeMap<DeadLetterReason, (u64, String)>,
    customers: BTreeSet<String>,
    /// Customers who are not in the partition that murmur2 chooses.
    elsewhere: u64,
}

/// Reads them, and adds findings. `None`: they cannot be read, which is a finding, too.
///
/// # Errors
/// None of the brokers' or the registry's: these are findings.
pub(super) fn check(settings: &Loaded, file: &RulesFile, found: &mut Preflight) -> Result<Option<Outcomes>, Stopped> {
    match read(settings, file) {
        Ok(outcomes) => {
            outcomes.report(found);
            Ok(Some(outcomes))
        }
        Err(Stopped::Failed(failure)) => {
            let verdict = Verdict::from(&failure);
            found.add(Part::Records, &settings.settings.topics.input, verdict, failure.to_string());
            Ok(None)
        }
        Err(stopped) => Err(stopped),
    }
}

fn read(loaded: &Loaded, file: &RulesFile) -> Result<Outcomes, Stopped> {
    let settings = &loaded.settings;
    let mut topic = Topic::open(loaded, &settings.topics.input, None)?;
    let partitions = topic.partitions();
    let mut outcomes = Outcomes { partitions: partitions.len().try_into().unwrap_or(0), ..Outcomes::default() };
    let mut check = TimeCheck::new(settings);
    for partition in partitions.clone() {
        // What one partition lacks may come from the next ones.
        let left = u64::try_from(partitions.end - partition).unwrap_or(1);
        let share = RECORDS.saturating_sub(outcomes.read(topic.counts().tombstones)).div_ceil(left);
        let range = topic.beginning(partition, i64::try_from(share).unwrap_or(0))?;
        check.newest = None;
        topic.read(partition, range, &file.rules.vocabulary, &Progress::hidden(), |seen| {
            match seen {
                Seen::Refused(reason, detail) => outcomes.dead_letter(reason, detail),
                Seen::Event(event) => match check.refuses(event) {
                    Some((reason, detail)) => outcomes.dead_letter(reason, detail),
                    None => outcomes.event(event, partition),
                },
            }
            Ok(())
        })?;
    }
    outcomes.tombstones = topic.counts().tombstones;
    Ok(outcomes)
}

/// Checks times as `run` does.
struct TimeCheck<'s> {
    settings: &'s Settings,
    timing: Timing,
    now: Instant,
    /// The newest event of the partition.
    newest: Option<Instant>,
}

impl<'s> TimeCheck<'s> {
    fn new(settings: &'s Settings) -> Self {
        let time = settings.time;
        let timing =
            Timing { arrives_within: time.arrives_within, max_lateness: time.max_lateness, earliest: time.earliest };
        Self { settings, timing, now: wall_clock(), newest: None }
    }

    fn refuses(&mut self, event: &CustomerEvent<'_>) -> Option<(DeadLetterReason, &'static str)> {
        let (at, skew) = (event.at, self.settings.time.max_future_skew);
        let stream_time = self.newest.map_or(Instant::MIN, |newest| newest - self.timing.arrives_within);
        let refused = self.timing.refuses(at, stream_time);
        // A time in another unit is not in the future, and an event in the future is not late.
        let is_ahead = || is_ahead(at, self.now, Instant::MIN, Instant::MIN, skew) == Ahead::Yes;
        let reason = match refused {
            Some(DeadLetterReason::BadTime) => refused,
            _ if is_ahead() => Some(DeadLetterReason::Future),
            _ => refused,
        };
        if reason.is_none() {
            self.newest = self.newest.max(Some(at));
        }
        reason.map(|reason| (reason, untimely(reason)))
    }
}

impl Outcomes {
    fn read(&self, tombstones: u64) -> u64 {
        self.events + self.dead_letters() + tombstones
    }

    fn dead_letters(&self) -> u64 {
        self.dead.values().map(|(count, _)| count).sum()
    }

    fn dead_letter(&mut self, reason: DeadLetterReason, detail: &str) {
        self.dead.entry(reason).or_insert_with(|| (0, detail.to_owned())).0 += 1;
    }

    fn event(&mut self, event: &CustomerEvent<'_>, partition: i32) {
        self.events += 1;
        if !self.customers.contains(event.customer) {
            self.customers.insert(event.customer.to_owned());
            self.elsewhere += u64::from(partition_of(event.customer.as_bytes(), self.partitions) != partition);
        }
    }

    /// Adds the findings about them.
    fn report(&self, found: &mut Preflight) {
        let read = self.read(self.tombstones);
        if read == 0 {
            return found.add(Part::Records, "", Verdict::Good, "there are none yet, so they cannot be checked");
        }
        let records = counted(read, "record", "records");
        if self.events == 0 && !self.dead.is_empty() {
            found.add(
                Part::Records,
                "",
                Verdict::Wrong,
                format!("none of the first {records} is an event; see topics.input"),
            );
        } else {
            let events = counted(self.events, "event", "events");
            let customers = counted(self.customers.len() as u64, "customer", "customers");
            let tombstones = match self.tombstones {
                0 => String::new(),
                count => format!(", {}", counted(count, "record without a value", "records without a value")),
            };
            let text = format!("of the first {records}: {events} of {customers}{tombstones}");
            found.add(Part::Records, "", Verdict::Good, text);
        }
        for (reason, (count, detail)) in &self.dead {
            let what = counted(*count, "record would be a dead letter", "records would be dead letters");
            found.add(Part::Records, "", Verdict::Warning, format!("{what}, {reason}: {detail}"));
        }
        self.report_places(found);
    }

    fn report_places(&self, found: &mut Preflight) {
        let customers = self.customers.len() as u64;
        if self.partitions < 2 || customers == 0 {
            return;
        }
        let elsewhere = format!("{} of {}", grouped(self.elsewhere), counted(customers, "customer", "customers"));
        let (verdict, text) = match self.places() {
            Places::Murmur2 => {
                (Verdict::Good, "customers are where Kafka's default partitioner (murmur2) puts them".to_owned())
            }
            Places::Another => (
                Verdict::Warning,
                format!(
                    "{elsewhere} are not where Kafka's default partitioner (murmur2) puts them: right as long as all producers \
                     use one partitioner; for librdkafka set partitioner=murmur2_random"
                ),
            ),
            Places::Mixed => (
                Verdict::Warning,
                format!(
                    "{elsewhere} are not where murmur2 puts them, and the others are, as if producers used different \
                     partitioners, or partitions were added: customers in two partitions are decided wrongly"
                ),
            ),
        };
        found.add(Part::Records, "", verdict, text);
    }

    fn places(&self) -> Places {
        match self.elsewhere {
            0 => Places::Murmur2,
            elsewhere if is_mixed(self.customers.len() as u64, elsewhere, self.partitions) => Places::Mixed,
            _ => Places::Another,
        }
    }

    pub(super) fn in_json(&self) -> Value {
        let dead = |(reason, (count, detail)): (&DeadLetterReason, &(u64, String))| {
            (reason.to_string(), json!({ "records": count, "first": detail }))
        };
        json!({
            "read": self.read(self.tombstones),
            "events": self.events,
            "tombstones": self.tombstones,
            "dead_letters": self.dead.iter().map(dead).collect::<serde_json::Map<_, _>>(),
            "customers": self.customers.len(),
            "customers_not_where_murmur2_puts_them": self.elsewhere,
        })
    }
}

/// Which partitioner has placed the customers.
enum Places {
    Murmur2,
    Another,
    /// More than one.
    Mixed,
}

#[cfg(test)]
mod tests {
    use super::{DeadLetterReason, Outcomes, Preflight, TimeCheck, Verdict};
    use crate::clock::wall_clock;
    use crate::event::{CustomerEvent, Instant, Properties, Span, Vocabulary};
    use crate::kafka::partition_of;
    use crate::settings::{Settings, Sources};

    fn event<'a>(customer: &'a str, at: Instant, properties: &'a Properties<'a>) -> CustomerEvent<'a> {
        let name_id = Vocabulary::default().name("visit");
        CustomerEvent {
            customer,
            name: "visit",
            name_id,
            at,
            id: None,
            source: None,
            record_hash: 0,
            unusable_values: 0,
            properties,
        }
    }

    fn reported(outcomes: &Outcomes) -> Vec<(Verdict, String)> {
        let mut found = Preflight::default();
        outcomes.report(&mut found);
        found.findings.into_iter().map(|finding| (finding.verdict, finding.text)).collect()
    }

    #[test]
    fn times_are_checked_as_by_run() {
        let settings = Settings::load(&Sources::default()).unwrap().settings;
        let (mut check, properties, now) = (TimeCheck::new(&settings), Properties::new(), wall_clock());
        let mut refused = |at| check.refuses(&event("c", at, &properties)).map(|(reason, _)| reason);
        assert_eq!(refused(Instant(1_700_000_000)), Some(DeadLetterReason::BadTime), "seconds");
        assert_eq!(refused(now + Span(2 * Span::DAY.0)), Some(DeadLetterReason::Future));
        assert_eq!(refused(now - Span(300 * Span::DAY.0)), None, "the first says what time it is");
        assert_eq!(refused(now), None);
        assert_eq!(refused(now - Span(5 * Span::DAY.0)), Some(DeadLetterReason::TooLate));
        assert_eq!(refused(now - Span(3 * Span::DAY.0)), None);
    }

    #[test]
    fn what_would_be_dead_letters_is_warned_of_and_nothing_else_is_wrong() {
        let mut outcomes = Outcomes { partitions: 1, ..Outcomes::default() };
        assert_eq!(reported(&outcomes)[0].0, Verdict::Good, "an empty topic is no mistake");
        outcomes.dead_letter(DeadLetterReason::Undecodable, "neither a schema id nor a fingerprint");
        outcomes.dead_letter(DeadLetterReason::Undecodable, "another detail");
        let findings = reported(&outcomes);
        assert_eq!(
            (findings.len(), findings[0].0, findings[1].0),
            (2, Verdict::Wrong, Verdict::Warning),
            "{findings:?}"
        );
        outcomes.event(&event("c", Instant(0), &Properties::new()), 0);
        let findings = reported(&outcomes);
        assert_eq!(findings[0], (Verdict::Good, "of the first 3 records: 1 event of 1 customer".to_owned()));
        let dead = "2 records would be dead letters, undecodable: neither a schema id nor a fingerprint";
        assert_eq!(findings[1], (Verdict::Warning, dead.to_owned()));
    }

    #[test]
    fn places_are_compared_with_those_of_murmur2() {
        let with = |elsewhere: u32, at_home: u32| {
            let mut outcomes = Outcomes { partitions: 4, ..Outcomes::default() };
            for number in 0..elsewhere + at_home {
                let customer = format!("c{number}");
                let home = partition_of(customer.as_bytes(), 4);
                let place = if number < elsewhere { (home + 1) % 4 } else { home };
                outcomes.event(&event(&customer, Instant(0), &Properties::new()), place);
            }
            reported(&outcomes).pop().unwrap()
        };
        assert_eq!(with(0, 500).0, Verdict::Good);
        let (verdict, text) = with(500, 0);
        assert!(
            verdict == Verdict::Warning && text.starts_with("500 of 500 customers are not where Kafka's"),
            "{text}"
        );
        let (verdict, text) = with(200, 300);
        assert!(verdict == Verdict::Warning && text.contains("different partitioners"), "{text}");
    }
}
