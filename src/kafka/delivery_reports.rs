//! Delivery reports of the records of the open transaction.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

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

    pub(super) fn read(opaque: usize) -> Self {
        Self { number: opaque >> 1, report: if opaque & 1 == 1 { Report::Offset } else { Report::Failure } }
    }
}

/// Collects what becomes of records. It comes on threads of the client, so the owner reads it after
/// [`Producer::drain`](super::Producer::drain).
pub(super) struct DeliveryReports {
    brokers: Brokers,
    has_failed: AtomicBool,
    disconnects: AtomicU64,
    failures: Mutex<Failures>,
    acknowledged: Arc<Acknowledged>,
}

#[derive(Default)]
struct Failures {
    first: Option<Cause>,
    /// Records that were too large, or were batched with one.
    too_large: Vec<usize>,
}

/// The highest offset that was acknowledged, by topic and partition.
#[derive(Default)]
pub(super) struct Acknowledged(Mutex<Highest>);

/// A transaction touches few partitions, and answers come in runs of one: so a list, searched from the position of the
/// last one.
#[derive(Default)]
struct Highest {
    offsets: Vec<(CString, i32, i64)>,
    last: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Acknowledged {
    pub(super) fn note(&self, topic: &CStr, partition: i32, offset: i64) {
        let mut highest = lock(&self.0);
        let Highest { offsets, last } = &mut *highest;
        let is_same = |(name, number, _): &(CString, i32, i64)| *number == partition && name.as_c_str() == topic;
        if !offsets.get(*last).is_some_and(is_same) {
            *last = offsets.iter().position(is_same).unwrap_or(offsets.len());
        }
        match offsets.get_mut(*last) {
            Some(found) => found.2 = found.2.max(offset),
            None => offsets.push((topic.to_owned(), partition, offset)),
        }
    }
}

impl DeliveryReports {
    pub(super) fn new(brokers: &Brokers) -> Self {
        Self {
            brokers: brokers.clone(),
            has_failed: AtomicBool::new(false),
            disconnects: AtomicU64::new(0),
            failures: Mutex::default(),
            acknowledged: Arc::default(),
        }
    }

    /// Clears the reports of the last transaction.
    pub(super) fn begin(&self) {
        *lock(&self.failures) = Failures::default();
        *lock(&self.acknowledged.0) = Highest::default();
        self.has_failed.store(false, Ordering::Release);
    }

    pub(super) fn acknowledged(&self) -> &Arc<Acknowledged> {
        &self.acknowledged
    }

    pub(super) fn failure(&self) -> Option<Cause> {
        match self.has_failed.load(Ordering::Acquire) {
            true => lock(&self.failures).first.clone(),
            false => None,
        }
    }

    /// The numbers of the records that were too large, or were batched with one.
    pub(super) fn too_large(&self) -> Vec<usize> {
        lock(&self.failures).too_large.clone()
    }

    /// The number of failed connections of this client.
    pub(super) fn disconnects(&self) -> u64 {
        self.disconnects.load(Ordering::Acquire)
    }

    pub(super) fn highest(&self, topic: &str, partition: i32) -> Option<i64> {
        let highest = lock(&self.acknowledged.0);
        let is_same =
            |(name, number, _): &&(CString, i32, i64)| *number == partition && name.as_bytes() == topic.as_bytes();
        highest.offsets.iter().find(is_same).map(|found| found.2)
    }

    /// All records sent so far have been answered.
    pub(super) fn answered(&self) {
        self.brokers.answered();
    }

    /// A record was not delivered.
    pub(super) fn failed(&self, code: Code, topic: &str, partition: i32, tag: Tag) {
        let cause = Cause::new(code, &format!("writing to {topic}[{partition}]"), "");
        let mut failures = lock(&self.failures);
        if cause.kind == Kind::TooLarge {
            failures.too_large.push(tag.number);
        }
        failures.first.get_or_insert(cause);
        drop(failures);
        self.has_failed.store(true, Ordering::Release);
    }

    pub(super) fn log(&self, level: i32, facility: &str, line: &str) {
        if brokers::is_disconnect(facility) {
            self.disconnects.fetch_add(1, Ordering::Release);
        }
        self.brokers.log(level, facility, line);
    }

    pub(super) fn error(&self, code: Code, reason: &str) {
        global_error(&self.brokers, &KafkaError::Global(code), reason);
    }

    /// Takes librdkafka's statistics, as JSON.
    pub(super) fn statistics(&self, json: &[u8]) {
        self.brokers.record_statistics(json);
    }
}

/// Nothing of it is used: events are served by [`ProducerClient`](super::native::producing::ProducerClient).
impl ClientContext for DeliveryReports {}

#[cfg(test)]
mod tests {
    use super::{Acknowledged, Brokers, DeliveryReports, Report, Tag};

    #[test]
    fn a_tag_comes_back_as_it_went() {
        for report in [Report::Failure, Report::Offset] {
            for number in [0, 1, 99_999] {
                let tag = Tag { number, report };
                assert_eq!(Tag::read(tag.opaque()), tag);
            }
        }
    }

    #[test]
    fn the_highest_offset_of_each_partition_is_kept_until_the_next_transaction() {
        let reports = DeliveryReports::new(&Brokers::default());
        let acknowledged: &Acknowledged = reports.acknowledged();
        for (topic, partition, offset) in [(c"a", 0, 5), (c"a", 1, 9), (c"b", 0, 1), (c"a", 0, 4), (c"a", 1, 10)] {
            acknowledged.note(topic, partition, offset);
        }
        let highest = [("a", 0), ("a", 1), ("b", 0), ("b", 1)].map(|(topic, number)| reports.highest(topic, number));
        assert_eq!(highest, [Some(5), Some(10), Some(1), None]);
        reports.begin();
        assert_eq!(reports.highest("a", 0), None);
    }
}
