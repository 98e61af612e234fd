//! Why no broker answers, where it is not for want of a network: what a call that timed out does not say.

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

/// Between two looks at what was heard.
const STEP: Duration = Duration::from_millis(100);

/// Why connections fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The brokers refuse who we say we are, or we refuse them.
    Refused(Cause),
    /// Anything else, in librdkafka's words: a name that does not resolve, a port at which nobody listens, a listener of
    /// another protocol.
    Unconnected(String),
}

/// Connects and listens for about `limit`. `None`: nothing was heard.
#[must_use]
pub fn trouble(settings: &Kafka, limit: Duration) -> Option<Trouble> {
    let client: BaseProducer<Listener> = config::asking(settings).create_with_context(Listener::default()).ok()?;
    let until = Instant::now() + limit;
    loop {
        client.poll(STEP);
        let heard = client.context().heard().clone();
        if matches!(heard, Some(Trouble::Refused(_))) || Instant::now() >= until {
            return heard;
        }
    }
}

/// What lines of the log are about that tell of tokens.
const TOKENS: &str = "OIDC";

#[derive(Default)]
struct Listener(Mutex<Option<Trouble>>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        brokers::log(level as i32, facility, line);
        if facility == TOKENS {
            match gives_no_tokens_now(line) {
                true => self.unconnected(line),
                false => self.refused(Code::Authentication, &in_short(line)),
            }
        }
        // A connection that the other side closes at once, as a listener of another protocol does, is told nowhere else; nor is
        // why, where brokers miss a certificate of ours.
        if brokers::is_disconnect(facility) {
            match line.contains("certificate") {
                true => self.refused(Code::SSL, &in_short(line)),
                false => self.unconnected(line),
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // Any other trouble with a handshake may be a broker's that is just starting.
        let refused = match code {
            // The log has told more of a token that was not given.
            Code::Authentication if reason.contains("OAUTHBEARER token") => self.heard().is_none(),
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
    fn heard(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, code: Code, reason: &str) {
        let cause = Cause::new(code, "connecting", reason);
        *self.heard() = Some(Trouble::Refused(Cause { kind: Kind::NotAuthorized, ..cause }));
    }

    fn unconnected(&self, reason: &str) {
        self.heard().get_or_insert_with(|| Trouble::Unconnected(in_short(reason)));
    }
}

/// Is the endpoint of tokens away, or unable to answer at the moment? The line ends with its HTTP status in brackets, or with -1 for
/// no answer at all.
fn gives_no_tokens_now(line: &str) -> bool {
    let status = line.trim_end().strip_suffix(')').and_then(|line| line.rsplit_once('('));
    let status: Option<i32> = status.and_then(|(_, status)| status.parse().ok());
    status.is_some_and(|status| matches!(status, -1 | 408 | 425 | 429 | 500..=599))
}

/// Without the client's name before a reason and its own state behind it.
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

    use super::{Listener, Trouble};

    /// What is made of a line of the log, and of an error that follows it.
    fn heard(facility: &str, line: &str, code: Code, reason: &str) -> Option<Trouble> {
        let listener = Listener::default();
        listener.log(RDKafkaLogLevel::Error, facility, line);
        listener.error(KafkaError::Global(code), reason);
        listener.heard().clone()
    }

    #[test]
    fn an_endpoint_of_tokens_that_is_away_is_no_refusal_and_one_that_says_no_is() {
        let failed = |answer: &str| {
            let line = format!("[thrd:background]: Failed to retrieve OIDC token from \"http://id/token\": {answer}");
            heard("OIDC", &line, Code::Authentication, "Failed to acquire SASL OAUTHBEARER token: x")
        };
        let away = failed("Failed to connect to id port 80 (-1)");
        assert!(matches!(&away, Some(Trouble::Unconnected(text)) if text.contains("http://id/token")), "{away:?}");
        for passing in ["overloaded (503)", "{\"error\": \"slow_down\"} (429)"] {
            assert!(matches!(failed(passing), Some(Trouble::Unconnected(_))), "{passing}");
        }
        let denied = failed("{\"error\": \"invalid_client\"} (401)");
        assert!(
            matches!(&denied, Some(Trouble::Refused(cause)) if cause.text.contains("invalid_client")),
            "{denied:?}"
        );
        let expired = heard("", "", Code::Authentication, "Failed to acquire SASL OAUTHBEARER token: expired");
        assert!(matches!(expired, Some(Trouble::Refused(_))), "{expired:?}");
    }

    #[test]
    fn a_certificate_that_a_broker_misses_is_a_refusal_however_it_is_told() {
        let alert = "ssl://b:1/bootstrap: Receive failed: tlsv13 alert certificate required (after 3ms in state UP)";
        let missed = heard("FAIL", alert, Code::AllBrokersDown, "1/1 brokers are down");
        assert!(matches!(&missed, Some(Trouble::Refused(cause)) if !cause.text.contains("after 3ms")), "{missed:?}");
        let told = heard("", "", Code::BrokerTransportFailure, alert);
        assert!(matches!(told, Some(Trouble::Refused(_))), "{told:?}");
        let other = heard("FAIL", "b:1: Disconnected", Code::BrokerTransportFailure, "b:1: Disconnected");
        assert!(matches!(other, Some(Trouble::Unconnected(_))), "{other:?}");
    }
}
