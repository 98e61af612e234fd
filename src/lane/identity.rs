//! Does the state belong to this log, and does it end where the group's offsets say? If not, the process stops with one
//! line that says what to do: going on would silently decide on the wrong events.

use std::ops::Range;

use crate::kafka::Committed;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::output::offset_mark::OffsetMark;
use crate::store::Meta;

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
pub(in crate::lane) fn stateless(partition: i32, committed: &Committed, context: &Context) -> LaneError {
    let (input, changelog) = (&context.topics.input, &context.topics.changelog);
    let begun = match OffsetMark::is_rebuild(&committed.metadata) {
        true => "a rebuild was begun and not finished".to_owned(),
        false => format!("{changelog} holds no state for it: it was emptied, or is another topic than before"),
    };
    LaneError::Configuration(format!(
        "group {} has read {input}[{partition}] up to offset {}, and {begun}. Stop all processes, and decide everything anew \
         with `{REBUILD}`",
        context.group(),
        committed.offset.unwrap_or_default()
    ))
}

/// The line for a log that no longer holds what is to be read.
pub(in crate::lane) fn passed(meta: &Meta, held_from: i64, partition: i32, context: &Context) -> LaneError {
    let input = &context.topics.input;
    LaneError::Configuration(match held_from > meta.next_offset {
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
    })
}

/// The line for a log that ends before the state does.
fn truncated(meta: &Meta, held_to: i64, partition: i32, context: &Context) -> LaneError {
    let input = &context.topics.input;
    LaneError::Configuration(format!(
        "{input}[{partition}] ends at offset {held_to} and was read up to {}: it has lost records, or is another topic. Stop \
         all processes; then keep every customer as they are with `{EARLIEST}`, or decide everything anew with `{REBUILD}`",
        meta.next_offset
    ))
}

/// Compares a partition's state with the log and with the group's committed offsets. `held`: the offsets that the input
/// holds now.
///
/// # Errors
/// `Configuration`, with the line.
pub(in crate::lane) fn check(
    meta: &Meta,
    committed: &Committed,
    held: &Range<i64>,
    context: &Context,
) -> Result<(), LaneError> {
    let refuse = |text: String| Err(LaneError::Configuration(text));
    let (input, partition) = (&context.topics.input, committed.partition);
    if meta.input != *input {
        return refuse(format!(
            "the state is of topic {}, and topics.input is {input}. Name the old one; or stop all processes, and keep every \
             customer as they are and read {input} with `{EARLIEST}` (or --from latest, or a time), or decide everything anew \
             from it with `{REBUILD}`",
            meta.input
        ));
    }
    if meta.cluster_id != context.cluster_id {
        return refuse(format!(
            "the state is of Kafka cluster {}, and this one is {}. Stop all processes; then keep every customer as they are and \
             read {input} here with `{EARLIEST}` (or --from latest, or a time), or decide everything anew with `{REBUILD}`",
            meta.cluster_id, context.cluster_id
        ));
    }
    if meta.partitions != context.partitions {
        return refuse(repartitioned(input, context.partitions, meta.partitions));
    }
    if !meta.log.topic_id.is_empty() && !context.input_id.is_empty() && meta.log.topic_id != context.input_id {
        return refuse(recreated(input, &format!("the state of partition {partition} is")));
    }
    if held.start > meta.replay_from {
        return Err(passed(meta, held.start, partition, context));
    }
    if held.end < meta.next_offset {
        return Err(truncated(meta, held.end, partition, context));
    }
    // If the group's offsets have expired, META has them.
    let Some(offset) = committed.offset else { return Ok(()) };
    match OffsetMark::read(&committed.metadata) {
        Some(mark) if mark.sequence == meta.sequence && offset == meta.next_offset => Ok(()),
        Some(mark) => refuse(format!(
            "the committed offset of {input}[{partition}] is of transaction {} and {} ends with {}: one of them has lost \
             records. Stop all processes, and go on where the state ends with `{STORED}`",
            mark.sequence, context.topics.changelog, meta.sequence
        )),
        None => refuse(format!(
            "the committed offset of {input}[{partition}] was set to {offset} by another program, and the state ends at {}. \
             Stop all processes, and go on where the state ends with `{STORED}`; or leave records out with `cohortd reset \
             --from latest --yes` (or a time); or decide everything anew with `{REBUILD}`",
            meta.next_offset
        )),
    }
}
