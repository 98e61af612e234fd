//! `changes`: prints the entries and exits that were published, and those that follow.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant as Stopwatch};

use serde_json::Value as Json;

use super::arguments::{Changes as Asked, Lang};
use super::format::counted;
use super::history::Place;
use super::output::{self, Stopped};
use super::patience::{PATIENCE, patient};
use crate::app::Failure;
use crate::codec::Output;
use crate::event::Instant;
use crate::kafka::{Admin, BrokerState, Brokers, Failure as KafkaFailure, Follower, FollowerEvent, Record, Watermarks};
use crate::settings::Loaded;

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// The longest time for which a change is not printed yet.
const STEP: Duration = Duration::from_millis(100);
const QUEUE_BYTES: usize = 8 << 20;

/// Prints what the topic of changes holds, each partition in its order; with --follow also what is written to it.
///
/// # Errors
/// There is no such topic; brokers that do not answer.
pub(super) fn run(loaded: &Loaded, asked: &Asked) -> Result<(), Stopped> {
    let settings = &loaded.settings;
    let topic = &settings.topics.changes;
    let brokers = Brokers::default();
    let admin = Admin::new(&settings.kafka, &brokers).map_err(Failure::from)?;
    let Some((_, partitions)) = patient(|| admin.identity(topic, ASK))? else {
        let problem = format!("there is no topic {topic} (topics.changes); `cohortd run` creates it");
        return Err(Failure::Running(problem).into());
    };
    let watermarks = Watermarks::new(&settings.kafka, &brokers).map_err(Failure::from)?;
    let start = |partition| patient(|| first_offset(&watermarks, topic, partition, asked));
    let places: Vec<(i32, Option<i64>)> =
        (0..partitions).map(|partition| Ok((partition, start(partition)?))).collect::<Result<_, Failure>>()?;
    let mut follower = Follower::new(&settings.kafka, QUEUE_BYTES, &brokers).map_err(Failure::from)?;
    follower.follow(topic, &places).map_err(Failure::from)?;

    let mut printer = Printer { asked, out: output::results(), unread: 0 };
    let mut open: BTreeSet<i32> = (0..partitions).collect();
    let (mut silent, mut is_away) = (Stopwatch::now(), false);
    while asked.follow || !open.is_empty() {
        match follower.poll(STEP) {
            FollowerEvent::Record(record) => {
                silent = Stopwatch::now();
                printer.record(&record)?;
            }
            FollowerEvent::End { partition, .. } => {
                silent = Stopwatch::now();
                open.remove(&partition);
            }
            FollowerEvent::OutOfRange { partition, reason } => {
                return Err(Failure::Running(format!("{topic}[{partition}]: {reason}")).into());
            }
            FollowerEvent::Failed(KafkaFailure::Retry(cause)) if !asked.follow && silent.elapsed() > PATIENCE => {
                return Err(Failure::Running(cause.text).into());
            }
            FollowerEvent::Failed(KafkaFailure::Retry(_)) | FollowerEvent::Nothing => {
                printer.out.flush()?;
                let state = brokers.state();
                let was_away = std::mem::replace(&mut is_away, matches!(state, BrokerState::Unreachable(_)));
                match state {
                    BrokerState::Unreachable(reason) if !asked.follow && silent.elapsed() > PATIENCE => {
                        return Err(Failure::Running(format!("no broker answers: {reason}")).into());
                    }
                    BrokerState::Unreachable(reason) if !was_away => {
                        output::complain(&format!("no broker answers, waiting: {reason}"));
                    }
                    BrokerState::Unreachable(_) | BrokerState::Reachable => {}
                }
            }
            FollowerEvent::Failed(failure) => return Err(Failure::from(failure).into()),
        }
    }
    printer.out.flush()?;
    if printer.unread > 0 {
        let records = counted(printer.unread, "record is", "records are");
        output::complain(&format!("{records} no changes in the form of this release, and not printed"));
    }
    Ok(())
}

/// Where a partition is read from; `None`: from the first record kept.
fn first_offset(
    watermarks: &Watermarks,
    topic: &str,
    partition: i32,
    asked: &Asked,
) -> Result<Option<i64>, KafkaFailure> {
    let place = match asked.from {
        Some(place) => place,
        None if asked.follow => Place::Now,
        None => return Ok(None),
    };
    let kept = watermarks.range(topic, partition, ASK)?;
    let offset = match place {
        Place::Offset(offset) => offset,
        Place::Time(at) => watermarks.at_time(topic, partition, at.0, ASK)?,
        Place::Now => kept.end,
    };
    Ok(Some(offset.clamp(kept.start, kept.end)))
}

struct Printer<'a, W: Write> {
    asked: &'a Asked,
    out: W,
    /// Records that are no changes.
    unread: u64,
}

impl<W: Write> Printer<'_, W> {
    /// Prints a record if it is asked for.
    fn record(&mut self, record: &Record<'_>) -> Result<(), Stopped> {
        // Key and header suffice, so that others need not be decoded.
        let is_of =
            |name: &String| record.headers().any(|header| header == (b"cohort".as_slice(), Some(name.as_bytes())));
        let by_customer = self.asked.customer.as_ref().is_none_or(|id| record.key() == Some(id.as_bytes()));
        if !by_customer || !self.asked.cohort.as_ref().is_none_or(is_of) {
            return Ok(());
        }
        let Some(change) = record.payload().and_then(|payload| Output::CohortChange.to_json(payload)) else {
            self.unread += 1;
            return Ok(());
        };
        match self.asked.json {
            true => writeln!(self.out, "{change}")?,
            false => writeln!(self.out, "{}", line(&change, self.asked.lang))?,
        }
        Ok(())
    }
}

/// When it happened, to whom, in which cohort, and what with the reason.
fn line(change: &Json, lang: Lang) -> String {
    let text = |value: &Json| printable(value.as_str().unwrap_or_default());
    let language = match lang {
        Lang::En => "en",
        Lang::Fr => "fr",
    };
    let at = Instant(change["occurred_at"].as_i64().unwrap_or_default());
    let (customer, cohort) = (text(&change["customer_id"]), text(&change["cohort"]));
    format!("{at}  {customer}  {cohort}  {}", text(&change["why_text"][language]))
}

/// Ids and values may hold anything; a terminal obeys control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Lang, line};

    #[test]
    fn a_change_is_one_line_whatever_its_values_hold() {
        let change = json!({
            "occurred_at": 1_767_603_600_000_i64, "customer_id": "a\u{1b}[2J\nb", "cohort": "vip",
            "why_text": {"en": "Entered VIP: did visit ever (2 times).", "fr": "Entrée dans « VIP »."},
        });
        let english = "2026-01-05T09:00:00.000Z  a\u{fffd}[2J\u{fffd}b  vip  Entered VIP: did visit ever (2 times).";
        assert_eq!(line(&change, Lang::En), english);
        assert!(line(&change, Lang::Fr).ends_with("  vip  Entrée dans « VIP »."));
    }
}
