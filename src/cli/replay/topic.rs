//! Rules over a range of a topic: each partition on its own, as in a lane, one after the other.

use std::ops::Range;
use std::time::Instant as Stopwatch;

use super::deciding::Deciding;
use super::summary::{self, Tally};
use crate::app::{Failure, rules_file};
use crate::cli::arguments::{Replay, TopicRange};
use crate::cli::format::counted;
use crate::cli::history::{RANKED_APART, Seen, Topic, shard};
use crate::cli::output::{self, Stopped};
use crate::cli::progress::Progress;
use crate::event::Instant;
use crate::settings::Loaded;

/// Replays the range; changes go to stdout, everything else to stderr.
///
/// # Errors
/// Wrong rules; no such topic; brokers or a registry that do not answer.
pub(super) fn run(settings: &Loaded, asked: &Replay, name: &str) -> Result<(), Stopped> {
    let rules = rules_file::load(settings, asked.rules.clone())?.rules;
    let started = Stopwatch::now();
    let mut topic = Topic::open(settings, name, asked.until)?;
    let (parts, progress) = parts(&topic, &asked.range)?;
    let progress = progress.beside_results();
    let parameters = super::parameters(asked, &rules)?;
    let mut all = Tally::new(&rules);
    for Part { partition, offsets } in parts {
        let mut deciding = Deciding::new(shard(&settings.settings, &rules), output::results());
        deciding.set_parameters(parameters.clone());
        topic.read(partition, offsets, &rules.vocabulary, &progress, |seen| match seen {
            Seen::Event(event) => deciding.apply(event),
            Seen::Refused(reason, detail) => {
                deciding.refuse(reason, detail);
                Ok(())
            }
        })?;
        let until = asked.until.or_else(|| deciding.tally().last).unwrap_or(Instant::MIN);
        let (tally, _) = deciding.finish(until)?;
        all.add(tally);
    }
    progress.finish();
    let until = asked.until.or(all.last).unwrap_or(Instant::MIN);
    let nothing_read = nothing_read(name, &all);
    output::say(&summary::of(&rules, all, topic.counts(), until, started.elapsed()));
    if !rules.rankings.is_empty() {
        output::say(RANKED_APART);
    }
    if topic.elsewhere() > 0 {
        output::say(&format!(
            "{} events are of customers who are not where Kafka's default partitioner (murmur2) puts them: right if all \
             producers use one partitioner, and otherwise one customer counts as two",
            topic.elsewhere()
        ));
    }
    nothing_read
}

/// A range in which every record is rejected is a failure.
pub(super) fn nothing_read(name: &str, tally: &Tally) -> Result<(), Stopped> {
    match tally.records_if_all_are_refused() {
        None => Ok(()),
        Some(records) => {
            let records = counted(records, "record, and it is refused", "records, and every one is refused");
            Err(Failure::Running(format!("--topic {name}: {records}; is it the right topic, with the right settings?"))
                .into())
        }
    }
}

/// The range of one partition.
pub(super) struct Part {
    pub(super) partition: i32,
    pub(super) offsets: Range<i64>,
}

/// The range of each partition, with a progress bar for all.
///
/// # Errors
/// Brokers that do not answer.
pub(super) fn parts(topic: &Topic<'_>, asked: &TopicRange) -> Result<(Vec<Part>, Progress), Failure> {
    let parts = topic
        .partitions()
        .map(|partition| Ok(Part { partition, offsets: topic.range(partition, asked.from, asked.to)? }))
        .collect::<Result<Vec<_>, Failure>>()?;
    let records: u64 = parts.iter().map(|part| (part.offsets.end - part.offsets.start).unsigned_abs()).sum();
    Ok((parts, Progress::of_records(records)))
}
