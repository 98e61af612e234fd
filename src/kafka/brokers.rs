//! Whether the brokers answer, as the clients of this room last saw it, and what librdkafka logs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::types::RDKafkaErrorCode as Code;

/// Shared by the clients of one process; clones see the same state. librdkafka reconnects by itself, for ever: this only
/// makes it visible.
#[derive(Debug, Clone, Default)]
pub struct Brokers(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    down: AtomicBool,
    disconnects: AtomicU64,
    reason: Mutex<String>,
}

/// What `/readyz` and the log say about the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    /// Nothing to the contrary was heard, or an answer came since.
    Reachable,
    /// With librdkafka's reason: which address, which error.
    Unreachable(String),
}

impl Brokers {
    #[must_use]
    pub fn state(&self) -> BrokerState {
        match self.0.down.load(Ordering::Acquire) {
            false => BrokerState::Reachable,
            true => BrokerState::Unreachable(self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// How often a connection was lost or refused since the start.
    #[must_use]
    pub fn disconnects(&self) -> u64 {
        self.0.disconnects.load(Ordering::Relaxed)
    }

    /// An answer came. Called for every record, so it only reads unless the state changes.
    pub(super) fn answered(&self) {
        if self.0.down.load(Ordering::Relaxed) && self.0.down.swap(false, Ordering::AcqRel) {
            tracing::info!("Kafka answers again");
        }
    }

    /// Takes an error that concerns connections, and says whether it was one.
    pub(super) fn failed(&self, code: Code, text: &str) -> bool {
        match code {
            Code::BrokerTransportFailure => {
                self.0.disconnects.fetch_add(1, Ordering::Relaxed);
                // One broker of several: `AllBrokersDown` follows when it was the last. Its reason is the useful one.
                text.clone_into(&mut self.0.reason.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Code::AllBrokersDown => self.down(None),
            Code::Resolve | Code::Authentication | Code::SSL => self.down(Some(text)),
            _ => return false,
        }
        true
    }

    fn down(&self, text: Option<&str>) {
        let mut reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = text {
            text.clone_into(&mut reason);
        }
        if !self.0.down.swap(true, Ordering::AcqRel) {
            tracing::warn!(reason = %*reason, "no Kafka broker answers; retrying");
        }
    }
}

/// Passes a line of librdkafka to the process's log. Connection errors also come as events and are told once there, and
/// options meant for the other kind of client are no news.
pub(super) fn log(level: i32, facility: &str, line: &str) {
    match (level, facility) {
        (_, "CONFWARN" | "FAIL" | "ERROR") => tracing::debug!(target: "kafka", facility, "{line}"),
        (..=3, _) => tracing::error!(target: "kafka", facility, "{line}"),
        (4, _) => tracing::warn!(target: "kafka", facility, "{line}"),
        (5 | 6, _) => tracing::info!(target: "kafka", facility, "{line}"),
        _ => tracing::debug!(target: "kafka", facility, "{line}"),
    }
}
