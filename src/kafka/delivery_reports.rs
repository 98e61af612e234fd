//! Delivery reports of the records of the open transaction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Message};

use super::brokers::{self, Brokers};
use super::client::global_error;
use super::failure::{Cause, Kind};
use super::record::Report;

/// What comes back with a delivery report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// The number of the record, as counted by the sender.
    pub(super) number: usize,
    /// Most records only need to arrive: theirs take no lock.
    pub(super) report: Report,
}

impl Tag {
    /// As one number, which is all that librdkafka carries along.
    pub(super) fn opaque(self) -> usize {
        self.number << 1 | usize::from(self.report == Report::Offset)
    }

    fn read(opaque: usize) -> Self {
        Self { number: opaque >> 1, report: if opaque & 1 == 1 { Report::Offset } else { Report::Failure } }
    }
}

/// Collects delivery reports. They come on the producer's own thread, so the owner reads them after
/// [`Producer::drain`](super::Producer::drain).
pub(super) struct DeliveryReports {
    brokers: Brokers,
    failed: AtomicBool,
    disconnects: AtomicU64,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    first_failure: Option<Cause>,
    /// Records that were too large, or were batched with one.
    too_large: Vec<usize>,
    /// The highest offset, by topic and partition. A transaction touches few, and reports come in runs of one
    /// partition: so a list, searched from the position of the last report.
    highest: Vec<(String, i32, i64)>,
    last: usize,
}

impl DeliveryReports {
    pub(super) fn new(brokers: &Brokers) -> Self {
        Self {
            brokers: brokers.clone(),
            failed: AtomicBool::new(false),
            disconnects: AtomicU64::new(0),
            reports: Mutex::default(),
        }
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears the reports of the last transaction.
    pub(super) fn begin(&self) {
        *self.reports() = Reports::default();
        self.failed.store(false, Ordering::Release);
    }

    pub(super) fn failure(&self) -> Option<Cause> {
        match self.failed.load(Ordering::Acquire) {
            true => self.reports().first_failure.clone(),
            false => None,
        }
    }

    /// The numbers of the records that were too large, or were batched with one.
    pub(super) fn too_large(&self) -> Vec<usize> {
        self.reports().too_large.clone()
    }

    /// The number of failed connections of this client.
    pub(super) fn disconnects(&self) -> u64 {
        self.disconnects.load(Ordering::Acquire)
    }

    pub(super) fn highest(&self, topic: &str, partition: i32) -> Option<i64> {
        let reports = self.reports();
        reports.highest.iter().find(|(name, number, _)| *number == partition && name == topic).map(|found| found.2)
    }
}

impl Reports {
    fn delivered(&mut self, topic: &str, partition: i32, offset: i64) {
        let is_same = |(name, number, _): &(String, i32, i64)| *number == partition && name == topic;
        if !self.highest.get(self.last).is_some_and(is_same) {
            self.last = self.highest.iter().position(is_same).unwrap_or(self.highest.len());
        }
        match self.highest.get_mut(self.last) {
            Some(found) => found.2 = found.2.max(offset),
            None => self.highest.push((topic.to_owned(), partition, offset)),
        }
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if brokers::is_disconnect(facility) {
            self.disconnects.fetch_add(1, Ordering::Release);
        }
        self.brokers.log(level as i32, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        global_error(&self.brokers, &error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.brokers.record_statistics(json);
    }
}

impl ProducerContext for DeliveryReports {
    /// A [`Tag`].
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let Tag { number, report } = Tag::read(tag);
        match result {
            Ok(message) => {
                self.brokers.answered();
                // A retry that turned out to be a duplicate is reported without an offset.
                if report == Report::Offset && message.offset() >= 0 {
                    self.reports().delivered(message.topic(), message.partition(), message.offset());
                }
            }
            Err((error, message)) => {
                let what = format!("writing to {}[{}]", message.topic(), message.partition());
                let cause = Cause::of(error, &what);
                let mut reports = self.reports();
                if cause.kind == Kind::TooLarge {
                    reports.too_large.push(number);
                }
                reports.first_failure.get_or_insert(cause);
                drop(reports);
                self.failed.store(true, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Tag};

    #[test]
    fn a_tag_comes_back_as_it_went() {
        for report in [Report::Failure, Report::Offset] {
            for number in [0, 1, 99_999] {
                let tag = Tag { number, report };
                assert_eq!(Tag::read(tag.opaque()), tag);
            }
        }
    }
}
