//! librdkafka's statistics of its connections, added up over the clients of a process.
//!
//! Each client that reads or writes events reports every few seconds (`statistics.interval.ms`). Some values cover the
//! time since the last report, some the lifetime of the client; a client may be recreated, and then starts at 0 again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// A client without a report for this long is gone: nothing is queued or in flight any more.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Requests of one kind of client to one broker.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Connection {
    /// `consumer` or `producer`.
    pub client: String,
    /// Its id, `coordinator`, or `bootstrap`.
    pub broker: String,
    pub traffic: Traffic,
    /// Requests waiting in this process.
    pub queued: i64,
    /// Requests that a broker has not answered yet.
    pub in_flight: i64,
}

/// Totals since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Traffic {
    /// Requests that were answered.
    pub requests: u64,
    pub round_trip: Duration,
    /// Time that requests waited before they were sent.
    pub queue: Duration,
    /// Time for which brokers throttled requests.
    pub throttle: Duration,
    pub timeouts: u64,
    pub disconnects: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// Of which kind of client, and which broker.
type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Statistics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    traffic: BTreeMap<Key, Traffic>,
    clients: BTreeMap<String, Client>,
    is_news: bool,
}

/// The last report of one client.
#[derive(Debug)]
struct Client {
    at: Instant,
    kind: String,
    brokers: BTreeMap<String, Broker>,
}

/// The fields of a report that are used. All of it is documented with librdkafka (STATISTICS.md).
#[derive(Debug, Deserialize)]
struct Report {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    brokers: BTreeMap<String, Broker>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Broker {
    nodeid: i64,
    source: String,
    outbuf_cnt: i64,
    waitresp_cnt: i64,
    req_timeouts: u64,
    disconnects: u64,
    txbytes: u64,
    rxbytes: u64,
    /// In microseconds.
    rtt: Window,
    /// In microseconds.
    outbuf_latency: Window,
    /// In milliseconds.
    throttle: Window,
}

/// Since the last report.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Window {
    sum: i64,
    cnt: i64,
}

impl Broker {
    fn label(&self) -> Option<String> {
        match (self.source.as_str(), self.nodeid) {
            ("internal", _) => None,
            ("logical", _) => Some("coordinator".to_owned()),
            (_, id) if id >= 0 => Some(id.to_string()),
            _ => Some("bootstrap".to_owned()),
        }
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Statistics {
    /// Takes a report. One that cannot be parsed is ignored.
    pub(super) fn take(&self, json: &[u8]) {
        let Ok(report) = serde_json::from_slice::<Report>(json) else { return };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { traffic, clients, is_news } = &mut *state;
        let before = clients.remove(&report.name);
        for (name, now) in &report.brokers {
            let Some(label) = now.label() else { continue };
            let last = before.as_ref().and_then(|client| client.brokers.get(name)).cloned().unwrap_or_default();
            let sum = traffic.entry((report.kind.clone(), label)).or_default();
            sum.requests += count(now.rtt.cnt);
            sum.round_trip += Duration::from_micros(count(now.rtt.sum));
            sum.queue += Duration::from_micros(count(now.outbuf_latency.sum));
            sum.throttle += Duration::from_millis(count(now.throttle.sum));
            sum.timeouts += now.req_timeouts.saturating_sub(last.req_timeouts);
            sum.disconnects += now.disconnects.saturating_sub(last.disconnects);
            sum.sent_bytes += now.txbytes.saturating_sub(last.txbytes);
            sum.received_bytes += now.rxbytes.saturating_sub(last.rxbytes);
        }
        let Report { name, kind, brokers } = report;
        clients.insert(name, Client { at: Instant::now(), kind, brokers });
        *is_news = true;
    }

    /// All connections, if a report came since the last call.
    pub(super) fn news(&self) -> Option<Vec<Connection>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut state.is_news) {
            return None;
        }
        state.clients.retain(|_, client| client.at.elapsed() < GONE_AFTER);
        let mut open: BTreeMap<Key, (i64, i64)> = BTreeMap::new();
        for client in state.clients.values() {
            for broker in client.brokers.values() {
                let Some(label) = broker.label() else { continue };
                let (queued, in_flight) = open.entry((client.kind.clone(), label)).or_default();
                *queued += broker.outbuf_cnt;
                *in_flight += broker.waitresp_cnt;
            }
        }
        let connection = |(key, traffic): (&Key, &Traffic)| {
            let (queued, in_flight) = open.get(key).copied().unwrap_or_default();
            let (client, broker) = key.clone();
            Connection { client, broker, traffic: *traffic, queued, in_flight }
        };
        Some(state.traffic.iter().map(connection).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Duration, Statistics, Traffic};

    fn report(name: &str, bytes: u64, requests: u64) -> String {
        format!(
            r#"{{"name": "{name}", "type": "producer", "ts": 5, "brokers": {{
                "b:9092/bootstrap": {{"nodeid": -1, "source": "configured", "txbytes": 5}},
                "TxnCoordinator": {{"nodeid": -1, "source": "logical", "txbytes": 7}},
                ":0/internal": {{"nodeid": -1, "source": "internal", "txbytes": 9}},
                "b:9092/1": {{"nodeid": 1, "source": "learned", "outbuf_cnt": 1, "waitresp_cnt": 2, "txbytes": {bytes},
                    "rtt": {{"min": 1, "sum": 3000, "cnt": {requests}}}, "throttle": {{"sum": 20, "cnt": 1}}}}}}}}"#
        )
    }

    #[test]
    fn reports_add_up_over_time_and_clients_and_a_recreated_client_subtracts_nothing() {
        let statistics = Statistics::default();
        assert_eq!(statistics.news(), None);
        statistics.take(report("rdkafka#producer-1", 100, 4).as_bytes());
        statistics.take(report("rdkafka#producer-1", 150, 0).as_bytes());
        statistics.take(report("rdkafka#producer-2", 30, 6).as_bytes());
        statistics.take(b"not a report");
        let found = statistics.news().unwrap();
        let brokers: Vec<&str> = found.iter().map(|connection| connection.broker.as_str()).collect();
        assert_eq!(brokers, ["1", "bootstrap", "coordinator"]);
        let traffic = Traffic {
            requests: 10,
            round_trip: Duration::from_millis(9),
            throttle: Duration::from_millis(60),
            sent_bytes: 180,
            ..Traffic::default()
        };
        let (client, broker) = ("producer".to_owned(), "1".to_owned());
        assert_eq!(found[0], Connection { client, broker, traffic, queued: 2, in_flight: 4 });
        assert_eq!(statistics.news(), None, "nothing came since");
    }
}
