//! How long a command waits for brokers.

use std::time::{Duration, Instant as Stopwatch};

use crate::app::Failure;
use crate::kafka::Failure as KafkaFailure;

/// How long brokers may be away before a command gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Retries until there is an answer, for as long as brokers may be away.
pub(super) fn patient<T>(mut ask: impl FnMut() -> Result<T, KafkaFailure>) -> Result<T, Failure> {
    let started = Stopwatch::now();
    loop {
        match ask() {
            Err(KafkaFailure::Retry(_)) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(failure) => return Err(failure.into()),
            Ok(found) => return Ok(found),
        }
    }
}
