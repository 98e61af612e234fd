//! Failures, named by what the caller does next.

use std::collections::BTreeMap;
use std::path::Path;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::settings::nearest::edits;

/// A failed call. The variant tells the caller what to do; the cause is for the log and for finer decisions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Make the same call again with the same arguments, after a pause if the broker is away.
    #[error("{0}")]
    Retry(Cause),
    /// Nothing of this transaction will be visible: abort it, then run the batch again.
    #[error("{0}")]
    Abort(Cause),
    /// The producer cannot be used any more, and whether the transaction was committed is unknown: recreate the
    /// producer, then read the outcome from the committed offsets.
    #[error("{0}")]
    Resolve(Cause),
    /// Retrying cannot help: stop, and let a person or a supervisor act.
    #[error("{0}")]
    Fatal(Cause),
}

impl Failure {
    /// For a request during operation: the permission existed before, and may be granted again.
    #[must_use]
    pub fn at_work(self) -> Self {
        match self {
            Self::Fatal(cause) if cause.kind == Kind::NotAuthorized => Self::Retry(cause),
            failure => failure,
        }
    }

    #[must_use]
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Retry(cause) | Self::Abort(cause) | Self::Resolve(cause) | Self::Fatal(cause) => cause,
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Cause {
    pub kind: Kind,
    /// One line for people. Names topics, partitions and brokers, never a key or a payload.
    pub text: String,
}

/// The causes that callers distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No broker answers, or the leader or coordinator is being elected.
    Unreachable,
    /// A request timed out. A broker may be slow, or a transaction of another program open.
    TimedOut,
    UnknownTopic,
    /// Denied by the access lists of the cluster, or the credentials are wrong.
    NotAuthorized,
    /// A record is larger than its topic accepts: retrying it unchanged fails forever.
    TooLarge,
    /// The membership of this consumer has ended or was renewed: its partitions may belong to another member.
    StaleMember,
    /// Another process uses the same instance or transactional id.
    Fenced,
    /// The settings are at fault.
    Misconfigured,
    /// A record was purged from the queue after something else had failed.
    Purged,
    Other,
}

impl Kind {
    pub(super) fn of(code: Code) -> Self {
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::NetworkException
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend => Self::Unreachable,
            Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::UnstableOffsetCommit
            | Code::WaitingForCoordinator => Self::TimedOut,
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopicId => {
                Self::UnknownTopic
            }
            Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => Self::NotAuthorized,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => Self::TooLarge,
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::RebalanceInProgress
            | Code::AssignmentLost
            | Code::PollExceeded
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch => Self::StaleMember,
            Code::Fenced
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::FencedInstanceId
            | Code::UnreleasedInstanceId => Self::Fenced,
            Code::PurgeQueue | Code::PurgeInflight => Self::Purged,
            Code::InvalidArgument
            | Code::InvalidConfig
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::PolicyViolation
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion => Self::Misconfigured,
            _ => Self::Other,
        }
    }
}

impl Cause {
    /// `what` names the attempt: "describing topic x".
    pub(super) fn new(code: Code, what: &str, detail: &str) -> Self {
        let name = code.to_string();
        let text = match detail.is_empty() || name.contains(detail) {
            true => format!("{what}: {name}"),
            false => format!("{what}: {detail} ({name})"),
        };
        Self { kind: Kind::of(code), text }
    }

    pub(super) fn of(error: &KafkaError, what: &str) -> Self {
        match error {
            KafkaError::ClientConfig(_, detail, key, _) => {
                let near = near(key).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                Self { kind: Kind::Misconfigured, text: format!("{what}: kafka.options.{key}: {detail}{near}") }
            }
            KafkaError::ClientCreation(detail) => Self { kind: Kind::Misconfigured, text: format!("{what}: {detail}") },
            other => match other.rdkafka_error_code() {
                Some(code) => Self::new(code, what, ""),
                None => Self { kind: Kind::Other, text: format!("{what}: {other}") },
            },
        }
    }

    /// OpenSSL does not report that a file named by the options does not exist.
    pub(super) fn naming_missing_files(mut self, options: &BTreeMap<String, String>) -> Self {
        // With this value librdkafka searches for certificates itself.
        let is_path = |key: &str, path: &str| key.ends_with(".location") && path != "probe";
        let missing = options.iter().find(|(key, path)| is_path(key, path) && !Path::new(path).exists());
        if let Some((key, path)) = missing {
            self.text.push_str(&format!("; kafka.options.{key}: file {path} does not exist"));
        }
        self
    }

    /// For calls outside transactions: temporary causes are retried.
    pub(super) fn passing(self) -> Failure {
        match self.kind {
            Kind::Unreachable | Kind::TimedOut | Kind::StaleMember | Kind::Purged | Kind::Other => Failure::Retry(self),
            Kind::UnknownTopic | Kind::NotAuthorized | Kind::TooLarge | Kind::Fenced | Kind::Misconfigured => {
                Failure::Fatal(self)
            }
        }
    }
}

/// The most common options.
const COMMON: [&str; 16] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.config",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "session.timeout.ms",
    "socket.timeout.ms",
    "client.rack",
    "compression.type",
];

/// The common option within one edit.
fn near(option: &str) -> Option<&'static str> {
    COMMON.into_iter().find(|known| edits(option, known) == 1)
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn an_option_with_a_slip_finds_the_one_that_was_meant() {
        assert_eq!(near("sasl.pasword"), Some("sasl.password"));
        assert_eq!(near("ssl.ca.locationn"), Some("ssl.ca.location"));
        assert_eq!(near("sasl.usermame"), Some("sasl.username"));
        assert_eq!((near("sasl.password"), near("statistics.interval.ms")), (None, None));
    }
}
