//! The transactions of a producer: initialized at the start, and again after a failure.

use std::time::Duration;

use super::error::MemberError;
use crate::backoff::Backoff;
use crate::kafka::{Failure, Kind, Producer};

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(5);
/// Between two tries to publish, doubling from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_millis(1_600);

/// The pauses between tries to publish.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(RETRY_FIRST, RETRY_LAST)
}

/// A new producer with the same transactional id; a transaction that the old one left open is aborted before this
/// returns. `Some`: access is denied, with the broker's text; the next transaction begins with another try.
///
/// # Errors
/// What neither another try nor an operator can fix.
pub(crate) fn recreate_producer(
    producer: &mut Producer,
    report_alive: &dyn Fn(),
) -> Result<Option<String>, MemberError> {
    producer.recreate()?;
    reinit_transactions(producer, report_alive)
}

/// As [`init_transactions`], for a process that had access before. `Some`: denied, as in [`recreate_producer`].
///
/// # Errors
/// As there.
pub(crate) fn reinit_transactions(
    producer: &mut Producer,
    report_alive: &dyn Fn(),
) -> Result<Option<String>, MemberError> {
    match init_transactions(producer, report_alive) {
        Ok(()) => Ok(None),
        Err(MemberError::Denied(reason) | MemberError::Configuration(reason)) => {
            producer.mark_for_recreation();
            Ok(Some(reason))
        }
        Err(error) => Err(error),
    }
}

/// Initializes the producer's transactions; retries for as long as brokers are away. `report_alive` reports that the
/// caller's loop is alive.
///
/// # Errors
/// See [`MemberError`].
pub(crate) fn init_transactions(producer: &mut Producer, report_alive: &dyn Fn()) -> Result<(), MemberError> {
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
                return Err(MemberError::Denied(cause.text));
            }
            Err(Failure::Fatal(cause)) if needs_operator(cause.kind) => {
                return Err(MemberError::Configuration(cause.text));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Does the cause last until an operator fixes it?
pub(crate) fn needs_operator(kind: Kind) -> bool {
    matches!(kind, Kind::UnknownTopic | Kind::NotAuthorized | Kind::Misconfigured)
}
