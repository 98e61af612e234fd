//! Why no broker answers, where it is not for want of a network: what a call that timed out does not say.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers;
use super::config;
use super::failure::Cause;
use crate::settings::Kafka;

/// Between two looks at what was heard.
const STEP: Duration = Duration::from_millis(100);

/// Connects and listens for about `limit`: do the brokers refuse who we say we are, or do we refuse them? `None`: neither
/// was heard.
#[must_use]
pub fn refused_credentials(settings: &Kafka, limit: Duration) -> Option<Cause> {
    let client: BaseProducer<Listener> = config::asking(settings).create_with_context(Listener::default()).ok()?;
    let until = Instant::now() + limit;
    while Instant::now() < until {
        client.poll(STEP);
        let heard = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if heard.is_some() {
            return heard;
        }
    }
    None
}

#[derive(Default)]
struct Listener(Mutex<Option<Cause>>);

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        brokers::log(level as i32, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // Any other trouble with a handshake may be a broker's that is just starting.
        let refused = match code {
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => true,
            Code::SSL => reason.contains("certificate"),
            _ => false,
        };
        if refused {
            let cause = Cause::new(code, "connecting", reason);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
