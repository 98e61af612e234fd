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

#[derive(Default)]
struct Listener(Mutex<Option<Trouble>>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        brokers::log(level as i32, facility, line);
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
