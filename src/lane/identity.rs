//! Does the state belong to this log, and does it end where the group's offsets say? If not, the process stops with one
//! line that says what to do: going on would silently decide on the wrong events.

use std::ops::Range;

use crate::kafka::Committed;
use crate::lane::output::offset_mark::OffsetMark;
use crate::store::Meta;

/// The input as it is now, and where its state is.
#[derive(Debug, Clone, Copy)]
pub struct CurrentLog<'a> {
    pub group: &'a str,
    pub changelog: &'a str,
    pub input: &'a str,
    /// The input topic's id; empty where brokers have none.
    pub input_id: &'a str,
    pub cluster_id: &'a str,
    pub partitions: u32,
}

/// The commands that the lines name.
const STORED: &str = "cohortd reset --from stored --yes";
const EARLIEST: &str = "cohortd reset --from earliest --yes";
const REBUILD: &str = "cohortd reset --rebuild --yes";

/// What needs a new name for a group that starts from scratch beside the old one.
pub const NEW_GROUP_NAMES: &str = "a new kafka.group_id, a new state.dir, and new names for topics.rules, \
     topics.changelog, topics.summaries, topics.changes, topics.members, topics.risks and topics.forecasts";

/// The line for an input topic of another id than the state's. `whose`: what has the old id.
#[must_use]
pub fn recreated(topic: &str, whose: &str) -> String {
    format!(
        "{topic} was made anew: {whose} of another topic of that name. Stop all processes; then keep every customer as they \
         are and read the new topic with `{EARLIEST}` (or --from latest, or a time), or decide everything anew from it with \
         `{REBUILD}`"
    )
}

/// The line for an input topic whose number of partitions is not that of the state.
#[must_use]
pub fn repartitioned(topic: &str, now: u32, then: u32) -> String {
    format!(
        "{topic} has {now} partitions and the state is of {then}: records of one customer now lie in two partitions. Copy the \
         topic, keys and timestamps kept, into a new one of {now} partitions, name that in topics.input, stop all processes, \
         and decide everything anew from it with `{REBUILD}`"
    )
}

/// The line for an input topic that was deleted.
#[must_use]
pub fn deleted(topic: &str) -> String {
    format!(
        "topic {topic}, the input, was deleted; if it was made anew, stop all processes, and keep every customer as they are \
         with `{EARLIEST}`, or decide everything anew with `{REBUILD}`"
    )
}

/// The line for a changelog without a state, and a group with an offset.
pub(in crate::lane) fn stateless(committed: &Committed, log: &CurrentLog<'_>) -> String {
    let CurrentLog { group, input, changelog, .. } = log;
    let partition = committed.partition;
    let begun = match OffsetMark::is_rebuild(&committed.metadata) {
        true => "a rebuild was begun and not finished".to_owned(),
        false => format!("{changelog} holds no state for it: it was emptied, or is another topic than before"),
    };
    format!(
        "group {group} has read {input}[{partition}] up to offset {}, and {begun}. Stop all processes, and decide everything \
         anew with `{REBUILD}`",
        committed.offset.unwrap_or_default()
    )
}

/// The line for a log that no longer holds what is to be read.
pub(in crate::lane) fn passed(meta: &Meta, held_from: i64, partition: i32, input: &str) -> String {
    match held_from > meta.next_offset {
        true => format!(
            "{input}[{partition}] begins at offset {held_from} and was read up to {}: retention has dropped {} records that \
             were never read. Stop all processes, and go on without them with `{EARLIEST}`",
            meta.next_offset,
            held_from - meta.next_offset
        ),
        false => format!(
            "{input}[{partition}] begins at offset {held_from}, and what changed from {} on is not all written: retention \
             has dropped what would have to be read again, and must be longer than state.flush_after. Stop all processes, \
             and go on with what is left with `{STORED}`",
            meta.replay_from
        ),
    }
}

/// The line for a log that ends before the state does.
fn truncated(meta: &Meta, held_to: i64, partition: i32, input: &str) -> String {
    format!(
        "{input}[{partition}] ends at offset {held_to} and was read up to {}: it has lost records, or is another topic. Stop \
         all processes; then keep every customer as they are with `{EARLIEST}`, or decide everything anew with `{REBUILD}`",
        meta.next_offset
    )
}

/// What a start would refuse of one partition: as `check`, also without a state in the changelog.
///
/// # Errors
/// The line.
pub fn check_start(
    meta: Option<&Meta>,
    committed: &Committed,
    held: &Range<i64>,
    log: &CurrentLog<'_>,
) -> Result<(), String> {
    match (meta, committed.offset) {
        (Some(meta), _) => check(meta, committed, held, log),
        (None, Some(_)) if !begins_anew(committed) => Err(stateless(committed, log)),
        (None, _) => Ok(()),
    }
}

/// Has a rebuild emptied the partition?
pub(in crate::lane) fn begins_anew(committed: &Committed) -> bool {
    OffsetMark::read(&committed.metadata).is_some_and(OffsetMark::begins_anew)
}

/// The number of the transaction of this group that a committed offset is of, if the state ends before it.
pub(in crate::lane) fn ahead(meta: &Meta, committed: &Committed) -> Option<u64> {
    let mark = OffsetMark::read(&committed.metadata)?;
    (mark.sequence > meta.sequence).then_some(mark.sequence)
}

/// Compares a partition's state with the log and with the group's committed offsets. `held`: the offsets that the input
/// holds now.
///
/// # Errors
/// The line.
pub(in crate::lane) fn check(
    meta: &Meta,
    committed: &Committed,
    held: &Range<i64>,
    log: &CurrentLog<'_>,
) -> Result<(), String> {
    let CurrentLog { input, changelog, .. } = log;
    let partition = committed.partition;
    if meta.input != *input {
        return Err(format!(
            "the state is of topic {}, and topics.input is {input}. Name the old one; or stop all processes, and keep every \
             customer as they are and read {input} with `{EARLIEST}` (or --from latest, or a time), or decide everything anew \
             from it with `{REBUILD}`",
            meta.input
        ));
    }
    if meta.cluster_id != log.cluster_id {
        return Err(format!(
            "the state is of Kafka cluster {}, and this one is {}. Stop all processes; then keep every customer as they are and \
             read {input} here with `{EARLIEST}` (or --from latest, or a time), or decide everything anew with `{REBUILD}`",
            meta.cluster_id, log.cluster_id
        ));
    }
    if meta.partitions != log.partitions {
        return Err(repartitioned(input, log.partitions, meta.partitions));
    }
    if !meta.log.topic_id.is_empty() && !log.input_id.is_empty() && meta.log.topic_id != log.input_id {
        return Err(recreated(input, &format!("the state of partition {partition} is")));
    }
    if held.start > meta.replay_from {
        return Err(passed(meta, held.start, partition, input));
    }
    if held.end < meta.next_offset {
        return Err(truncated(meta, held.end, partition, input));
    }
    // If the group's offsets have expired, META has them.
    let Some(offset) = committed.offset else { return Ok(()) };
    match OffsetMark::read(&committed.metadata) {
        Some(mark) if mark.sequence == meta.sequence && offset == meta.next_offset => Ok(()),
        Some(mark) => Err(format!(
            "the committed offset of {input}[{partition}] is of transaction {} and {changelog} ends with {}: one of them \
             has lost records. Stop all processes, and go on where the state ends with `{STORED}`",
            mark.sequence, meta.sequence
        )),
        None => Err(format!(
            "the committed offset of {input}[{partition}] was set to {offset} by another program, and the state ends at {}. \
             Stop all processes, and go on where the state ends with `{STORED}`; or leave records out with `cohortd reset \
             --from latest --yes` (or a time); or decide everything anew with `{REBUILD}`",
            meta.next_offset
        )),
    }
}
