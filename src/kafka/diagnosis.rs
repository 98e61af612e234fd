//! Finds out why no broker answers, when it is not the network: a call that timed out does not say.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers;
use super::config;
use super::failure::{Cause, Kind};
use crate::settings::Kafka;

/// How often the result is checked.
const STEP: Duration = Duration::from_millis(100);

/// Why connections fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionProblem {
    /// The brokers reject our credentials, or we reject their certificate.
    Refused(Cause),
    /// Anything else, in librdkafka's words: a name that does not resolve, a closed port, a listener of another
    /// protocol.
    Unconnected(String),
}

/// Connects, and waits about `limit` for errors: first to the brokers of the settings, then to all that these name.
/// `None`: there were none.
#[must_use]
pub fn diagnose(settings: &Kafka, limit: Duration) -> Option<ConnectionProblem> {
    let client: BaseProducer<Listener> = config::admin(settings).create_with_context(Listener::default()).ok()?;
    let started = Instant::now();
    let mut are_all_asked = false;
    loop {
        client.poll(STEP);
        let problem = client.context().problem().clone();
        if matches!(problem, Some(ConnectionProblem::Refused(_))) || started.elapsed() >= limit {
            return problem;
        }
        // The request goes to every broker; a connection is made for it. Its answer does not matter.
        if problem.is_none() && !are_all_asked && started.elapsed() >= limit / 3 {
            are_all_asked = true;
            client.client().fetch_group_list(None, limit / 3).ok();
        }
    }
}

/// Appears in log lines about tokens.
const TOKENS: &str = "OIDC";

#[derive(Default)]
struct Listener(Mutex<Option<ConnectionProblem>>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        brokers::log(level as i32, facility, line);
        if facility == TOKENS {
            match gives_no_tokens_now(line) {
                true => self.unconnected(line),
                false => self.refused(Code::Authentication, &in_short(line)),
            }
        }
        // The log is the only report of a connection that the other side closes at once, as a listener of another
        // protocol does, and of the reason if brokers require a client certificate.
        if brokers::is_disconnect(facility) {
            match line.contains("certificate") {
                true => self.refused(Code::SSL, &in_short(line)),
                false => self.unconnected(line),
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // Other handshake errors may come from a broker that is starting.
        let refused = match code {
            // The log says more about a missing token.
            Code::Authentication if reason.contains("OAUTHBEARER token") => self.problem().is_none(),
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => true,
            Code::SSL | Code::BrokerTransportFailure => reason.contains("certificate"),
            _ => false,
        };
        if refused {
            self.refused(code, reason);
        } else if code != Code::AllBrokersDown {
            self.unconnected(reason);
        }
    }
}

impl Listener {
    fn problem(&self) -> MutexGuard<'_, Option<ConnectionProblem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, code: Code, reason: &str) {
        let cause = Cause::new(code, "connecting", reason);
        *self.problem() = Some(ConnectionProblem::Refused(Cause { kind: Kind::NotAuthorized, ..cause }));
    }

    fn unconnected(&self, reason: &str) {
        self.problem().get_or_insert_with(|| ConnectionProblem::Unconnected(in_short(reason)));
    }
}

/// Is the token endpoint down, or unable to answer at the moment? The line ends with its HTTP status in brackets, or
/// with -1 for no answer at all.
fn gives_no_tokens_now(line: &str) -> bool {
    let status = line.trim_end().strip_suffix(')').and_then(|line| line.rsplit_once('('));
    let status: Option<i32> = status.and_then(|(_, status)| status.parse().ok());
    status.is_some_and(|status| matches!(status, -1 | 408 | 425 | 429 | 500..=599))
}

/// Without the client's name before the reason and its state after it.
fn in_short(reason: &str) -> String {
    let reason = match reason.split_once("]: ") {
        Some((client, rest)) if client.starts_with("[thrd:") => rest,
        _ => reason,
    };
    reason.split(" (after ").next().unwrap_or(reason).trim_end().to_owned()
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientContext;
    use rdkafka::config::RDKafkaLogLevel;
    use rdkafka::error::KafkaError;
    use rdkafka::types::RDKafkaErrorCode as Code;

    use super::{ConnectionProblem, Listener};

    /// What is made of a line of the log, and of an error that follows it.
    fn problem(facility: &str, line: &str, code: Code, reason: &str) -> Option<ConnectionProblem> {
        let listener = Listener::default();
        listener.log(RDKafkaLogLevel::Error, facility, line);
        listener.error(KafkaError::Global(code), reason);
        listener.problem().clone()
    }

    #[test]
    fn an_endpoint_of_tokens_that_is_away_is_no_refusal_and_one_that_says_no_is() {
        let failed = |answer: &str| {
            let line = format!("[thrd:background]: Failed to retrieve OIDC token from \"http://id/token\": {answer}");
            problem("OIDC", &line, Code::Authentication, "Failed to acquire SASL OAUTHBEARER token: x")
        };
        let away = failed("Failed to connect to id port 80 (-1)");
        assert!(
            matches!(&away, Some(ConnectionProblem::Unconnected(text)) if text.contains("http://id/token")),
            "{away:?}"
        );
        for passing in ["overloaded (503)", "{\"error\": \"slow_down\"} (429)"] {
            assert!(matches!(failed(passing), Some(ConnectionProblem::Unconnected(_))), "{passing}");
        }
        let denied = failed("{\"error\": \"invalid_client\"} (401)");
        assert!(
            matches!(&denied, Some(ConnectionProblem::Refused(cause)) if cause.text.contains("invalid_client")),
            "{denied:?}"
        );
        let expired = problem("", "", Code::Authentication, "Failed to acquire SASL OAUTHBEARER token: expired");
        assert!(matches!(expired, Some(ConnectionProblem::Refused(_))), "{expired:?}");
    }

    #[test]
    fn a_certificate_that_a_broker_misses_is_a_refusal_however_it_is_reported() {
        let alert = "ssl://b:1/bootstrap: Receive failed: tlsv13 alert certificate required (after 3ms in state UP)";
        let missed = problem("FAIL", alert, Code::AllBrokersDown, "1/1 brokers are down");
        assert!(
            matches!(&missed, Some(ConnectionProblem::Refused(cause)) if !cause.text.contains("after 3ms")),
            "{missed:?}"
        );
        let refused = problem("", "", Code::BrokerTransportFailure, alert);
        assert!(matches!(refused, Some(ConnectionProblem::Refused(_))), "{refused:?}");
        let other = problem("FAIL", "b:1: Disconnected", Code::BrokerTransportFailure, "b:1: Disconnected");
        assert!(matches!(other, Some(ConnectionProblem::Unconnected(_))), "{other:?}");
    }
}
