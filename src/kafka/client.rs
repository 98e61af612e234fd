//! Shared by all clients: where log lines and errors go, and how a client is closed.

use std::ops::Deref;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers::Brokers;

/// The context of clients that only read or request metadata.
pub(super) struct Watch(pub(super) Brokers);

/// Handles an error that belongs to no call.
pub(super) fn global_error(brokers: &Brokers, error: &KafkaError, reason: &str) {
    // The end of a partition matters to its reader only, and is harmless once that is gone.
    if let Some(code) = error.rdkafka_error_code().filter(|code| *code != Code::PartitionEOF)
        && !brokers.failed(code, reason)
    {
        tracing::warn!(target: "kafka", "{error}: {reason}");
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.log(level as i32, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        global_error(&self.0, &error, reason);
    }
}

impl ConsumerContext for Watch {}

/// How long dropping a client may block.
const CLOSE_FOR: Duration = Duration::from_secs(2);

/// A client whose drop does not block for long, also while an error or a panic unwinds. Closing one communicates with
/// brokers, and waits for threads of librdkafka.
pub(super) struct Bounded<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Bounded<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }

    /// Closes it now, waiting at most `limit`; false if it is still closing then.
    pub(super) fn close(mut self, limit: Duration) -> bool {
        self.0.take().is_none_or(|client| drop_within(client, limit))
    }
}

impl<T: Send + 'static> Deref for Bounded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken out only when it ends")
    }
}

impl<T: Send + 'static> Drop for Bounded<T> {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|client| !drop_within(client, CLOSE_FOR)) {
            tracing::warn!(target: "kafka", "A Kafka client did not close within {} s and was abandoned.", CLOSE_FOR.as_secs());
        }
    }
}

/// Runs a call without a time limit on another thread, and waits at most `limit` for it. `None`: it has not returned by
/// then, and may never; the client, which that thread keeps alive, must not be used any more.
pub(super) fn call_within<T, R>(
    client: &Arc<T>,
    limit: Duration,
    call: impl FnOnce(&T) -> R + Send + 'static,
) -> Option<R>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    let (answer, answered) = mpsc::sync_channel(1);
    let shared = Arc::clone(client);
    let spawned = thread::Builder::new().name("kafka-call".to_owned()).spawn(move || {
        let outcome = call(&shared);
        drop(shared);
        answer.send(outcome).ok();
    });
    spawned.ok()?;
    answered.recv_timeout(limit).ok()
}

/// Drops a client on a separate thread and waits at most `limit`; false if it is still closing. Closing communicates
/// with the brokers and can hang while they are away. An abandoned client ends with the process.
fn drop_within<T: Send + 'static>(client: T, limit: Duration) -> bool {
    let (closed, wait) = mpsc::channel::<()>();
    let spawned = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(client);
        drop(closed);
    });
    // Nothing is sent on the channel: it disconnects when the client is gone.
    spawned.is_ok() && wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Disconnected)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::call_within;

    #[test]
    fn a_call_that_does_not_return_is_left_behind_with_its_client() {
        let client = Arc::new(7);
        assert_eq!(call_within(&client, Duration::from_secs(60), |number| number + 1), Some(8));
        let (end, ended) = mpsc::channel::<()>();
        let stuck = call_within(&client, Duration::from_millis(20), move |_| ended.recv().is_err());
        assert_eq!((stuck, Arc::strong_count(&client)), (None, 2));
        drop(end);
        while Arc::strong_count(&client) > 1 {
            std::thread::yield_now();
        }
    }
}
