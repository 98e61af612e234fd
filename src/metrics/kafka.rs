//! librdkafka's statistics of the connections to brokers, as needed to operate a managed Kafka. `client` is `consumer`
//! or `producer`, each summed over the lanes; `broker` is its id, or `bootstrap` before that is known, or `coordinator`
//! for the connection to the coordinator of the group or of transactions.

use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::adder::Adder;

const LABELS: [&str; 2] = ["client", "broker"];

/// The series of one kind of client and one broker.
#[derive(Debug)]
pub struct KafkaMetrics {
    /// `kafka_requests_total{client,broker}`: requests answered by brokers. No worry by itself.
    pub requests: IntCounter,
    /// `kafka_round_trip_seconds_total{client,broker}`: from sending a request to its answer; divided by `kafka_requests_total`, the
    /// mean. A consumer's includes the time that a broker waits for records, up to 0.1 s. Worry when a producer's mean grows to
    /// many times what it was: broker or network are slow.
    pub round_trip: Counter,
    /// `kafka_request_queue_seconds_total{client,broker}`: time that requests waited in this process before they were
    /// sent; divided by `kafka_requests_total`, the mean. Worry when it exceeds the round trip: the connection is
    /// saturated.
    pub request_queue: Counter,
    /// `kafka_throttle_seconds_total{client,broker}`: time for which brokers throttled requests because of a quota.
    /// Worry when it grows: the cluster's plan, or this client's quota, is too small for the load.
    pub throttle: Counter,
    /// `kafka_request_timeouts_total{client,broker}`: requests that timed out. Worry at a steady rate.
    pub request_timeouts: IntCounter,
    /// `kafka_disconnects_total{client,broker}`: connections that ended, including idle ones. Worry at more than a few
    /// an hour.
    pub disconnects: IntCounter,
    /// `kafka_sent_bytes_total{client,broker}`: bytes sent to brokers, compressed as on the wire. No worry by itself.
    pub sent_bytes: IntCounter,
    /// `kafka_received_bytes_total{client,broker}`: bytes received from brokers, compressed as on the wire. No worry by
    /// itself.
    pub received_bytes: IntCounter,
    /// `kafka_requests_queued{client,broker}`: requests waiting in this process to be sent. Worry when it stays above
    /// 0.
    pub requests_queued: IntGauge,
    /// `kafka_requests_in_flight{client,broker}`: requests sent and not yet answered. No worry by itself.
    pub requests_in_flight: IntGauge,
}

impl KafkaMetrics {
    /// Raises a counter to a total that was counted elsewhere.
    pub fn raise(counter: &IntCounter, to: u64) {
        counter.inc_by(to.saturating_sub(counter.get()));
    }

    /// As `raise`, in seconds.
    pub fn raise_seconds(counter: &Counter, to: f64) {
        counter.inc_by((to - counter.get()).max(0.0));
    }
}

#[derive(Debug)]
pub(super) struct KafkaSeries {
    requests: IntCounterVec,
    round_trip: CounterVec,
    request_queue: CounterVec,
    throttle: CounterVec,
    request_timeouts: IntCounterVec,
    disconnects: IntCounterVec,
    sent_bytes: IntCounterVec,
    received_bytes: IntCounterVec,
    requests_queued: IntGaugeVec,
    requests_in_flight: IntGaugeVec,
}

impl KafkaSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let counters = |name, help| add.counters(name, help, &LABELS);
        let seconds = |name, help| add.float_counters(name, help, &LABELS);
        let gauges = |name, help| add.gauges(name, help, &LABELS);
        Self {
            requests: counters("kafka_requests_total", "Requests that brokers have answered."),
            round_trip: seconds("kafka_round_trip_seconds_total", "Time from sending requests to their answers."),
            request_queue: seconds("kafka_request_queue_seconds_total", "Time that requests waited before being sent."),
            throttle: seconds("kafka_throttle_seconds_total", "Time for which brokers throttled requests."),
            request_timeouts: counters("kafka_request_timeouts_total", "Requests that timed out."),
            disconnects: counters("kafka_disconnects_total", "Connections to brokers that ended."),
            sent_bytes: counters("kafka_sent_bytes_total", "Bytes sent to brokers."),
            received_bytes: counters("kafka_received_bytes_total", "Bytes received from brokers."),
            requests_queued: gauges("kafka_requests_queued", "Requests waiting to be sent."),
            requests_in_flight: gauges("kafka_requests_in_flight", "Requests sent and not answered yet."),
        }
    }

    pub(super) fn of(&self, client: &str, broker: &str) -> KafkaMetrics {
        let labels = [client, broker];
        KafkaMetrics {
            requests: self.requests.with_label_values(&labels),
            round_trip: self.round_trip.with_label_values(&labels),
            request_queue: self.request_queue.with_label_values(&labels),
            throttle: self.throttle.with_label_values(&labels),
            request_timeouts: self.request_timeouts.with_label_values(&labels),
            disconnects: self.disconnects.with_label_values(&labels),
            sent_bytes: self.sent_bytes.with_label_values(&labels),
            received_bytes: self.received_bytes.with_label_values(&labels),
            requests_queued: self.requests_queued.with_label_values(&labels),
            requests_in_flight: self.requests_in_flight.with_label_values(&labels),
        }
    }
}
