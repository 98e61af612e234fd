//! The transactions of a producer: initialized at the start, and again after a failure.

use std::time::Duration;

use crate::kafka::{Failure, Kind, Producer};

/// How long one request to a broker may take.
const ASK: Duration = Duration::from_secs(5);

/// Why a producer's transactions cannot be initialized.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// This process lacks the permission. With the broker's text.
    #[error("{0}")]
    Denied(String),
    /// Its settings are refused. With the broker's text.
    #[error("{0}")]
    Misconfigured(String),
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A new producer with the same transactional id; a transaction that the old one left open is aborted before this
/// returns. `Some`: access is denied, with the broker's text; the next transaction begins with another try.
///
/// # Errors
/// What neither another try nor an operator can fix.
pub(crate) fn recreate_producer(producer: &mut Producer, report_alive: &dyn Fn()) -> Result<Option<String>, Failure> {
    producer.recreate()?;
    reinit_transactions(producer, report_alive)
}

/// As [`init_transactions`], for a process that had access before. `Some`: denied, as in [`recreate_producer`].
///
/// # Errors
/// As there.
pub(crate) fn reinit_transactions(producer: &mut Producer, report_alive: &dyn Fn()) -> Result<Option<String>, Failure> {
    match init_transactions(producer, report_alive) {
        Ok(()) => Ok(None),
        Err(InitError::Denied(reason) | InitError::Misconfigured(reason)) => {
            producer.mark_for_recreation();
            Ok(Some(reason))
        }
        Err(InitError::Failed(failure)) => Err(failure),
    }
}

/// Initializes the producer's transactions; retries for as long as brokers are away. `report_alive` reports that the
/// caller's loop is alive.
///
/// # Errors
/// See [`InitError`].
pub(crate) fn init_transactions(producer: &mut Producer, report_alive: &dyn Fn()) -> Result<(), InitError> {
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
                return Err(InitError::Denied(cause.text));
            }
            Err(Failure::Fatal(cause)) if needs_operator(cause.kind) => {
                return Err(InitError::Misconfigured(cause.text));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Does the cause last until an operator fixes it?
pub(crate) fn needs_operator(kind: Kind) -> bool {
    matches!(kind, Kind::UnknownTopic | Kind::NotAuthorized | Kind::Misconfigured)
}
