//! Whether the brokers answer, as the clients of this room last saw it, and what librdkafka logs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::statistics::{Connection, Statistics};

/// A failed connection is no news if an answer comes within this time: one broker of several may be away, or restart.
const DOUBT: Duration = Duration::from_secs(3);

/// Shared by the clients of one process; clones see the same state. librdkafka reconnects by itself, for ever: this only
/// makes it visible.
///
/// Doubt comes from failed connections and calls, certainty from answers. librdkafka tells the first failure of a kind
/// and not when it is over, so the state is as good as what was asked last: a lane asks for the end of its partitions
/// ([`Watermarks`](super::Watermarks)) once a second, and one without partitions should do so while the state is bad.
#[derive(Debug, Clone, Default)]
pub struct Brokers(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether there is a doubt below: read for every record.
    doubtful: AtomicBool,
    doubt: Mutex<Option<Doubt>>,
    statistics: Statistics,
}

#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// Nothing can be expected from waiting.
    certain: bool,
    told: bool,
    reason: String,
}

/// What `/health/ready` and the log say about the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    /// Nothing to the contrary was heard, or an answer came since.
    Reachable,
    /// With librdkafka's reason: which address, which error.
    Unreachable(String),
}

impl Brokers {
    /// Becomes `Unreachable` 3 s after the first failure without an answer since; at once when names do not resolve or
    /// credentials are refused.
    #[must_use]
    pub fn state(&self) -> BrokerState {
        if !self.0.doubtful.load(Ordering::Acquire) {
            return BrokerState::Reachable;
        }
        match &mut *self.0.doubt.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(doubt) if doubt.certain || doubt.since.elapsed() >= DOUBT => {
                if !doubt.told {
                    doubt.told = true;
                    tracing::warn!(reason = doubt.reason, "no Kafka broker answers; retrying");
                }
                BrokerState::Unreachable(doubt.reason.clone())
            }
            _ => BrokerState::Reachable,
        }
    }

    /// What was counted of the requests to each broker, if it was told anew since the last call.
    #[must_use]
    pub fn connections(&self) -> Option<Vec<Connection>> {
        self.0.statistics.news()
    }

    /// A client tells what it has counted.
    pub(super) fn counted(&self, json: &[u8]) {
        self.0.statistics.take(json);
    }

    /// An answer came.
    pub(super) fn answered(&self) {
        if self.0.doubtful.load(Ordering::Relaxed) && self.0.doubtful.swap(false, Ordering::AcqRel) {
            let doubt = self.0.doubt.lock().unwrap_or_else(PoisonError::into_inner).take();
            if doubt.is_some_and(|doubt| doubt.told) {
                tracing::info!("Kafka answers again");
            }
        }
    }

    /// No answer came.
    pub(super) fn doubted(&self, reason: &str) {
        self.doubt(reason, false);
    }

    /// Takes an error that concerns connections, and says whether it was one.
    pub(super) fn failed(&self, code: Code, reason: &str) -> bool {
        match code {
            Code::BrokerTransportFailure => self.doubt(reason, false),
            Code::AllBrokersDown | Code::Resolve | Code::Authentication | Code::SSL => self.doubt(reason, true),
            _ => return false,
        }
        true
    }

    fn doubt(&self, reason: &str, certain: bool) {
        let mut doubt = self.0.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *doubt {
            Some(doubt) => doubt.certain |= certain,
            None => {
                *doubt = Some(Doubt { since: Instant::now(), certain, told: false, reason: reason.to_owned() });
                self.0.doubtful.store(true, Ordering::Release);
            }
        }
    }
}

/// Whether a line of librdkafka's log tells of a connection lost, or not made.
pub(super) fn is_disconnect(facility: &str) -> bool {
    facility == "FAIL"
}

/// Passes a line of librdkafka to the process's log. Connection errors are told by [`Brokers`], once, and options meant
/// for the other kind of client are no news.
pub(super) fn log(level: i32, facility: &str, line: &str) {
    match (level, facility) {
        // A new cluster's coordinators take a moment to be there; a call that fails in the end says so by itself.
        (_, "GETPID") if line.ends_with("retrying") => tracing::debug!(target: "kafka", facility, "{line}"),
        (_, "CONFWARN" | "FAIL" | "ERROR") => tracing::debug!(target: "kafka", facility, "{line}"),
        (..=3, _) => tracing::error!(target: "kafka", facility, "{line}"),
        (4, _) => tracing::warn!(target: "kafka", facility, "{line}"),
        (5 | 6, _) => tracing::info!(target: "kafka", facility, "{line}"),
        _ => tracing::debug!(target: "kafka", facility, "{line}"),
    }
}
