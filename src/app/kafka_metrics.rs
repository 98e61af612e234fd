//! The statistics of the Kafka clients, as metrics.

use crate::kafka::Brokers;
use crate::metrics::{KafkaMetrics, Metrics};

/// Updates the metrics from new statistics.
pub(super) fn show(brokers: &Brokers, metrics: &Metrics) {
    for connection in brokers.connections().into_iter().flatten() {
        let shown = metrics.kafka(&connection.client, &connection.broker);
        let traffic = connection.traffic;
        for (counter, count) in [
            (&shown.requests, traffic.requests),
            (&shown.request_timeouts, traffic.timeouts),
            (&shown.disconnects, traffic.disconnects),
            (&shown.sent_bytes, traffic.sent_bytes),
            (&shown.received_bytes, traffic.received_bytes),
        ] {
            KafkaMetrics::raise(counter, count);
        }
        for (counter, time) in [
            (&shown.round_trip, traffic.round_trip),
            (&shown.request_queue, traffic.queue),
            (&shown.throttle, traffic.throttle),
        ] {
            KafkaMetrics::raise_seconds(counter, time.as_secs_f64());
        }
        shown.requests_queued.set(connection.queued);
        shown.requests_in_flight.set(connection.in_flight);
    }
}
