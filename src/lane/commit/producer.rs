//! The transactional producer: initialized at the start, recreated after a failure.

use std::time::Duration;

use crate::kafka::{Failure, Kind, Outgoing, Producer, Report};
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::output::record::{OutputRecord, Topic};

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(5);

/// A new producer with the same transactional id; a transaction that the old one left open is aborted before this
/// returns. `Some`: access is denied, with the broker's text; the next transaction begins with another try.
pub(in crate::lane) fn recreate_producer(
    producer: &mut Producer,
    report_alive: &dyn Fn(),
) -> Result<Option<String>, LaneError> {
    producer.recreate()?;
    reinit_transactions(producer, report_alive)
}

/// As `init_transactions`, for a process that had access before. `Some`: denied, as in [`recreate_producer`].
pub(super) fn reinit_transactions(
    producer: &mut Producer,
    report_alive: &dyn Fn(),
) -> Result<Option<String>, LaneError> {
    match init_transactions(producer, report_alive) {
        Err(LaneError::Configuration(reason) | LaneError::Denied(reason)) => {
            producer.mark_for_recreation();
            Ok(Some(reason))
        }
        outcome => outcome.map(|()| None),
    }
}

/// Initializes the producer's transactions; retries for as long as brokers are away. `report_alive` reports that the
/// lane is alive.
///
/// # Errors
/// `Denied` if this process lacks the permission, `Configuration` if its settings are refused, with the broker's text.
pub(in crate::lane) fn init_transactions(producer: &mut Producer, report_alive: &dyn Fn()) -> Result<(), LaneError> {
    let mut tries = 0_u32;
    loop {
        report_alive();
        match producer.init(ASK) {
            Ok(()) => return Ok(()),
            Err(Failure::Retry(cause)) => {
                tries += 1;
                if tries.is_power_of_two() {
                    tracing::warn!(reason = %cause, tries, "Kafka does not answer; trying again.");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(Failure::Fatal(cause)) if cause.kind == Kind::NotAuthorized => {
                return Err(LaneError::Denied(cause.text));
            }
            Err(Failure::Fatal(cause)) if needs_operator(cause.kind) => {
                return Err(LaneError::Configuration(cause.text));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Does the cause last until an operator fixes it?
pub(super) fn needs_operator(kind: Kind) -> bool {
    matches!(kind, Kind::UnknownTopic | Kind::NotAuthorized | Kind::Misconfigured)
}

/// Queues one record of a plan for its topic.
pub(super) fn send_record(record: &OutputRecord, producer: &Producer, context: &Context) -> Result<(), Failure> {
    producer.send(&Outgoing {
        topic: context.topic(record.topic),
        partition: record.partition,
        key: record.key(),
        payload: record.value(),
        headers: record.headers(),
        timestamp: None,
        // The copy on disk is as of an offset of the changelog.
        report: if record.topic == Topic::Changelog { Report::Offset } else { Report::Failure },
    })
}
