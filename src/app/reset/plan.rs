//! Where a partition continues, and what that costs: a function of its META and of the offsets that the input still
//! has.

use std::ops::Range;

use crate::clock::wall_clock;
use crate::event::Instant;
use crate::store::{Log, Meta};

/// Where reading should continue while the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Where the state ends.
    Stored,
    /// At the first record that the state does not include and the input still holds.
    Earliest,
    Latest,
    /// At the first record that was written at or after an instant.
    At(Instant),
}

/// The input as it is now.
#[derive(Debug, Clone)]
pub(super) struct CurrentInput {
    pub(super) topic: String,
    pub(super) topic_id: String,
    pub(super) cluster_id: String,
    pub(super) partitions: u32,
}

/// The step for one partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do.
    Nothing,
    /// The group's offset is set to where the state ends.
    Offset,
    /// As `Offset`, but the records to read again start at `from`, after `lost` records that the input no longer has.
    ReplayFrom { from: i64, lost: i64 },
    /// Reading continues at `to`; `skipped` records are never read; the changes of `lost` records read before were not
    /// written.
    ContinueAt { to: i64, skipped: i64, lost: i64 },
}

/// Does the state belong to another log than the current one?
pub(super) fn is_of_another_log(meta: &Meta, held: &Range<i64>, current: &CurrentInput) -> bool {
    let id = &meta.log.topic_id;
    meta.input != current.topic
        || meta.cluster_id != current.cluster_id
        || (!id.is_empty() && !current.topic_id.is_empty() && *id != current.topic_id)
        || held.end < meta.next_offset
}

/// Whether the group's offset is where the state ends, and of the state's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offsets {
    OfTheState,
    Other,
}

/// The step for a partition. `at`: the offset that `From::At` stands for.
///
/// # Errors
/// Why it cannot be done, and what can.
pub(super) fn step(
    meta: &Meta,
    held: &Range<i64>,
    current: &CurrentInput,
    (from, at): (From, i64),
    offsets: Offsets,
) -> Result<Step, String> {
    let next = meta.next_offset;
    // Records whose changes are in the input only.
    let unwritten = next - meta.replay_from;
    if is_of_another_log(meta, held, current) {
        let to = match from {
            From::Stored => {
                return Err(format!(
                    "the state is of another log than {} is now, to which its offsets do not apply; use --from earliest, \
                     latest or a time",
                    current.topic
                ));
            }
            From::Earliest => held.start,
            From::Latest => held.end,
            From::At(_) => at.clamp(held.start, held.end),
        };
        return Ok(Step::ContinueAt { to, skipped: to - held.start, lost: unwritten });
    }
    let to = match from {
        From::Stored if held.start > next => {
            return Err(format!(
                "the input begins at offset {}, and the state ends at {next}; use --from earliest to continue without the \
                 records between them",
                held.start
            ));
        }
        From::Stored => next,
        From::Earliest => next.max(held.start),
        From::Latest => held.end,
        // Going back would apply events twice.
        From::At(_) => at.max(next).clamp(held.start, held.end),
    };
    let can_be_read_again = held.start <= meta.replay_from;
    match (to == next, can_be_read_again) {
        (true, true) if offsets == Offsets::OfTheState => Ok(Step::Nothing),
        (true, true) => Ok(Step::Offset),
        (true, false) => Ok(Step::ReplayFrom { from: held.start, lost: held.start - meta.replay_from }),
        (false, true) if unwritten > 0 => Err(format!(
            "what changed from offset {} to {next} is not written yet and would be lost; first use --from stored, start, and \
             stop again with SIGTERM, which writes it",
            meta.replay_from
        )),
        (false, _) => Ok(Step::ContinueAt { to, skipped: to - next, lost: unwritten }),
    }
}

/// The META of the state when it continues at `to`.
pub(super) fn moved(meta: &Meta, to: i64, current: &CurrentInput) -> Meta {
    Meta {
        cluster_id: current.cluster_id.clone(),
        input: current.topic.clone(),
        sequence: meta.sequence + 1,
        next_offset: to,
        replay_from: to,
        replay_stream_time: meta.stream_time,
        // The next records may be old, and are not for automation before the partition has caught up.
        live: false,
        caught_up: false,
        began: to,
        written_at: wall_clock(),
        log: Log {
            topic_id: current.topic_id.clone(),
            resets: meta.log.resets + 1,
            // What was read before comes before the next records.
            shift: meta.log.position(meta.next_offset) - to,
        },
        ..meta.clone()
    }
}

/// The META of the state when the records to read again start later.
pub(super) fn replaying_from(meta: &Meta, from: i64, current: &CurrentInput) -> Meta {
    let log = Log { topic_id: current.topic_id.clone(), ..meta.log.clone() };
    Meta { sequence: meta.sequence + 1, replay_from: from, written_at: wall_clock(), log, ..meta.clone() }
}

/// The step as text.
pub(super) fn words(name: &str, meta: &Meta, step: &Step) -> String {
    let next = meta.next_offset;
    let records = |count: i64| if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
    let lost = |lost: i64| match lost {
        0 => String::new(),
        lost => format!(
            "; what the last {} before that changed in customers was not written and is lost, though it was published",
            records(lost)
        ),
    };
    match step {
        Step::Nothing => format!("{name}: at {next}, nothing to do"),
        Step::Offset => {
            format!("{name}: continues at {next}, where the state ends; nothing is lost or published twice")
        }
        Step::ReplayFrom { from, lost } => format!(
            "{name}: continues at {next}, where the state ends; it is read again from {from} on, and what {} before that \
             changed in customers is lost, though it was published",
            records(*lost)
        ),
        Step::ContinueAt { to, skipped, lost: unwritten } => format!(
            "{name}: the state ends at {next} and continues at {to} of the current input; {}{}",
            match skipped {
                0 => "no record is skipped".to_owned(),
                1 => "1 record is never read".to_owned(),
                skipped => format!("{skipped} records are never read"),
            },
            lost(*unwritten)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{CurrentInput, From, Meta, Offsets, Range, Step, is_of_another_log, moved, replaying_from, step};
    use crate::engine::{Observed, Timing};
    use crate::event::{Instant, Span};
    use crate::store::{LastSurveys, Log};

    fn current() -> CurrentInput {
        CurrentInput { topic: "in".into(), topic_id: "a".into(), cluster_id: "c".into(), partitions: 1 }
    }

    /// Read to 100, and all but what the last 10 changed is written.
    fn meta() -> Meta {
        Meta {
            cluster_id: "c".into(),
            input: "in".into(),
            partitions: 1,
            rules: "f".into(),
            rules_version: 1,
            migration: None,
            began: 0,
            observed: Observed::ALWAYS,
            timing: Timing { arrives_within: Span(1), max_lateness: Span(2), earliest: Instant(3) },
            ids_max: 64,
            sequence: 7,
            next_offset: 100,
            replay_from: 90,
            replay_stream_time: Instant(1_000),
            stream_time: Instant(2_000),
            live: true,
            caught_up: true,
            written_at: Instant(0),
            members: Vec::new(),
            thresholds: Vec::new(),
            applying_thresholds: None,
            customers: 0,
            surges: Vec::new(),
            model: None,
            last_surveys: LastSurveys::NEVER,
            log: Log { topic_id: "a".into(), resets: 0, shift: 0 },
            overdue: None,
        }
    }

    fn plan(meta: &Meta, held: Range<i64>, from: From, at: i64) -> Result<Step, String> {
        step(meta, &held, &current(), (from, at), Offsets::Other)
    }

    #[test]
    fn on_the_same_log_nothing_is_read_twice_and_nothing_lost_that_can_be_had() {
        let at = From::At(Instant(0));
        for (held, from, offset, expected) in [
            (0..200, From::Stored, 0, Ok(Step::Offset)),
            (0..200, From::Earliest, 0, Ok(Step::Offset)),
            (0..200, at, 50, Ok(Step::Offset)),
            (0..200, From::Latest, 0, Err(())),
            (0..200, at, 150, Err(())),
            (95..200, From::Stored, 0, Ok(Step::ReplayFrom { from: 95, lost: 5 })),
            (95..200, From::Latest, 0, Ok(Step::ContinueAt { to: 200, skipped: 100, lost: 10 })),
            (120..200, From::Stored, 0, Err(())),
            (120..200, From::Earliest, 0, Ok(Step::ContinueAt { to: 120, skipped: 20, lost: 10 })),
            (120..200, at, 150, Ok(Step::ContinueAt { to: 150, skipped: 50, lost: 10 })),
        ] {
            let found = plan(&meta(), held.clone(), from, offset).map_err(|_| ());
            assert_eq!(found, expected, "{held:?} {from:?} {offset}");
        }
        let written = Meta { replay_from: 100, ..meta() };
        assert_eq!(plan(&written, 0..200, From::Latest, 0), Ok(Step::ContinueAt { to: 200, skipped: 100, lost: 0 }));
        assert_eq!(step(&meta(), &(0..200), &current(), (From::Stored, 0), Offsets::OfTheState), Ok(Step::Nothing));
    }

    #[test]
    fn another_log_is_read_from_the_offset_given() {
        for other in [
            Meta { input: "old".into(), ..meta() },
            Meta { cluster_id: "old".into(), ..meta() },
            Meta { log: Log { topic_id: "b".into(), ..Log::default() }, ..meta() },
        ] {
            assert!(is_of_another_log(&other, &(0..200), &current()));
            assert!(plan(&other, 0..200, From::Stored, 0).is_err());
            assert_eq!(plan(&other, 5..200, From::Earliest, 0), Ok(Step::ContinueAt { to: 5, skipped: 0, lost: 10 }));
            assert_eq!(
                plan(&other, 5..200, From::At(Instant(0)), 30),
                Ok(Step::ContinueAt { to: 30, skipped: 25, lost: 10 })
            );
        }
        // Shorter than what was read of it.
        assert_eq!(plan(&meta(), 0..60, From::Latest, 0), Ok(Step::ContinueAt { to: 60, skipped: 60, lost: 10 }));
    }

    #[test]
    fn whatever_was_read_before_stands_before_what_comes() {
        let mut meta = meta();
        for to in [0, 500, 20] {
            let next = moved(&meta, to, &current());
            assert_eq!(next.log.position(to), meta.log.position(meta.next_offset));
            assert_eq!((next.sequence, next.replay_stream_time), (meta.sequence + 1, meta.stream_time));
            meta = Meta { next_offset: to + 5, ..next };
        }
        assert_eq!(meta.log.resets, 3);
        let rest = replaying_from(&meta, 22, &current());
        assert_eq!((rest.replay_from, rest.next_offset, rest.log.shift), (22, 25, meta.log.shift));
    }
}
