//! Whether the brokers are reachable, as last seen by the clients of this module, and what librdkafka logs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::statistics::{Connection, Statistics};

/// A failed connection is ignored if an answer comes within this time: one of several brokers may be restarting.
const OUTAGE_AFTER: Duration = Duration::from_secs(3);

/// Between two lines about requests that timed out.
const TIME_OUTS_EVERY: Duration = Duration::from_mins(1);

/// The facility of librdkafka's lines about them.
const TIMED_OUT: &str = "REQTMOUT";

/// Shared by the clients of one process; clones share the state. librdkafka reconnects by itself, indefinitely: this
/// only makes outages visible.
///
/// Failed connections and calls start an outage, answers end it. librdkafka reports the first failure of a kind and not
/// its end, so the state is as recent as the last request: a lane requests the end offsets of its partitions
/// ([`Watermarks`](super::Watermarks)) once a second, and a lane without partitions should do so during an outage.
#[derive(Debug, Clone, Default)]
pub struct Brokers(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether there is an outage below: read for every record.
    in_doubt: AtomicBool,
    outage: Mutex<Option<Outage>>,
    time_outs: Mutex<TimeOuts>,
    statistics: Statistics,
}

/// The lines about requests that timed out.
#[derive(Debug, Default)]
struct TimeOuts {
    logged: Option<Instant>,
    /// Lines since then that were not logged.
    more: u64,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    severity: Severity,
    is_logged: bool,
    reason: String,
}

/// Whether waiting may end an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Temporary,
    /// No broker is left. Any may come back.
    AllDown,
    Permanent,
}

/// What `/health/ready` and the log say about the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    /// No failure was seen, or an answer came since.
    Reachable,
    /// With librdkafka's reason: address and error.
    Unreachable(String),
}

impl Brokers {
    /// Becomes `Unreachable` 3 s after the first failure without an answer since; at once when names do not resolve,
    /// credentials are refused, or all brokers are down.
    #[must_use]
    pub fn state(&self) -> BrokerState {
        if !self.0.in_doubt.load(Ordering::Acquire) {
            return BrokerState::Reachable;
        }
        match &mut *self.0.outage.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(outage) if outage.severity >= Severity::AllDown || outage.since.elapsed() >= OUTAGE_AFTER => {
                if !outage.is_logged {
                    outage.is_logged = true;
                    tracing::warn!(reason = outage.reason, "no Kafka broker answers; retrying");
                }
                BrokerState::Unreachable(outage.reason.clone())
            }
            _ => BrokerState::Reachable,
        }
    }

    /// The statistics of requests to each broker, if there are new ones since the last call.
    #[must_use]
    pub fn connections(&self) -> Option<Vec<Connection>> {
        self.0.statistics.news()
    }

    /// Takes the statistics of a client.
    pub(super) fn record_statistics(&self, json: &[u8]) {
        self.0.statistics.take(json);
    }

    /// An answer came.
    pub(super) fn answered(&self) {
        if self.0.in_doubt.load(Ordering::Relaxed) && self.0.in_doubt.swap(false, Ordering::AcqRel) {
            let outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner).take();
            if outage.is_some_and(|outage| outage.is_logged) {
                tracing::info!("Kafka answers again");
            }
        }
    }

    /// No answer came.
    pub(super) fn no_answer(&self, reason: &str) {
        self.suspect(reason, Severity::Temporary);
    }

    /// Records an error about connections; returns whether it was one.
    pub(super) fn failed(&self, code: Code, reason: &str) -> bool {
        match code {
            Code::BrokerTransportFailure => self.suspect(reason, Severity::Temporary),
            // It names none of them.
            Code::AllBrokersDown => self.suspect(reason, Severity::AllDown),
            Code::Resolve | Code::Authentication | Code::SSL => self.suspect(reason, Severity::Permanent),
            _ => return false,
        }
        true
    }

    /// Passes a line of librdkafka to the process's log. During an outage, which is logged once, there is a line about
    /// requests that timed out every other second from each client: those are for debugging, and others are bounded.
    pub(super) fn log(&self, level: i32, facility: &str, line: &str) {
        if facility != TIMED_OUT {
            return log(level, facility, line);
        }
        match self.time_out(Instant::now()) {
            Some(0) => log(level, facility, line),
            Some(more) => tracing::warn!(target: "kafka", facility, more, "{line}"),
            None => tracing::debug!(target: "kafka", facility, "{line}"),
        }
    }

    /// Is a line about requests that timed out to be logged, and how many were not since the last one?
    fn time_out(&self, now: Instant) -> Option<u64> {
        if self.0.in_doubt.load(Ordering::Acquire) {
            return None;
        }
        let mut lines = self.0.time_outs.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.logged.is_some_and(|logged| now.duration_since(logged) < TIME_OUTS_EVERY) {
            lines.more += 1;
            return None;
        }
        lines.logged = Some(now);
        Some(std::mem::take(&mut lines.more))
    }

    fn suspect(&self, reason: &str, severity: Severity) {
        let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *outage {
            // What only a person can put right says more than what came before it.
            Some(outage) if severity > outage.severity => {
                outage.severity = severity;
                if severity == Severity::Permanent {
                    reason.clone_into(&mut outage.reason);
                }
            }
            Some(_) => {}
            None => {
                *outage = Some(Outage { since: Instant::now(), severity, is_logged: false, reason: reason.to_owned() });
                self.0.in_doubt.store(true, Ordering::Release);
            }
        }
    }
}

/// Does a line of librdkafka report a connection that was lost, or not made?
pub(super) fn is_disconnect(facility: &str) -> bool {
    facility == "FAIL"
}

/// Passes a line of a client without [`Brokers`] to the process's log. Connection errors are reported once, and warnings
/// about options for the other kind of client are not interesting.
pub(super) fn log(level: i32, facility: &str, line: &str) {
    match (level, facility) {
        // The coordinators of a new cluster take a moment to start; a call that fails in the end is reported anyway.
        (_, "GETPID") if line.ends_with("retrying") => tracing::debug!(target: "kafka", facility, "{line}"),
        (_, "CONFWARN" | "FAIL" | "ERROR") => tracing::debug!(target: "kafka", facility, "{line}"),
        (..=3, _) => tracing::error!(target: "kafka", facility, "{line}"),
        (4, _) => tracing::warn!(target: "kafka", facility, "{line}"),
        (5 | 6, _) => tracing::info!(target: "kafka", facility, "{line}"),
        _ => tracing::debug!(target: "kafka", facility, "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{BrokerState, Brokers, Code, Instant, TIME_OUTS_EVERY};

    #[test]
    fn an_outage_is_explained_by_what_names_the_host() {
        let all_down = (Code::AllBrokersDown, "1/1 brokers are down");
        let unresolved = (Code::Resolve, "b:1/bootstrap: Failed to resolve 'b:1'");
        for errors in [[all_down, unresolved], [unresolved, all_down]] {
            let brokers = Brokers::default();
            errors.iter().for_each(|(code, reason)| assert!(brokers.failed(*code, reason)));
            assert_eq!(brokers.state(), BrokerState::Unreachable(unresolved.1.to_owned()));
        }
        let brokers = Brokers::default();
        brokers.no_answer("asking for the end of t[0]: timed out");
        assert!(brokers.failed(Code::AllBrokersDown, all_down.1));
        let said = BrokerState::Unreachable("asking for the end of t[0]: timed out".to_owned());
        assert_eq!(brokers.state(), said, "that all are down names none of them");
    }

    #[test]
    fn requests_that_time_out_are_logged_once_a_minute_and_not_during_an_outage() {
        let (brokers, start) = (Brokers::default(), Instant::now());
        assert_eq!(brokers.time_out(start), Some(0));
        assert_eq!((1..30).filter_map(|second| brokers.time_out(start + TIME_OUTS_EVERY * second / 30)).count(), 0);
        assert_eq!(brokers.time_out(start + TIME_OUTS_EVERY), Some(29));
        brokers.no_answer("timed out");
        assert_eq!(brokers.time_out(start + TIME_OUTS_EVERY * 3), None);
        brokers.answered();
        assert_eq!(brokers.time_out(start + TIME_OUTS_EVERY * 4), Some(0));
    }
}
