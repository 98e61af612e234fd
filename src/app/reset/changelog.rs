//! The contents of the changelog of a partition, read to its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Moment};

use super::only_member::remain_only_member;
use super::{ASK, ERASE_RECORDS, Kept, PATIENCE, Reset, patient};
use crate::app::failure::Failure;
use crate::kafka::{self, Read};
use crate::store::layout::changelog;
use crate::store::{decode_meta, has_parts};

impl Reset<'_> {
    /// Reads a partition of the changelog to its end.
    pub(super) fn read(&mut self, topic: &str, partition: i32) -> Result<Kept, Failure> {
        let mut kept = Kept::default();
        let mut customers = BTreeMap::new();
        self.each(topic, partition, |key, value| {
            match key.first() {
                Some(&changelog::META) => {
                    let meta = value.map(decode_meta).transpose();
                    let corrupt = |error| Failure::Running(format!("{topic}[{partition}]: {error}"));
                    kept.meta = meta.map_err(corrupt)?;
                    kept.has_parts = value.is_some_and(has_parts);
                }
                Some(&changelog::INPUT) if value.is_some() => drop(kept.recorded.insert(key.to_vec())),
                Some(&changelog::INPUT) => drop(kept.recorded.remove(key)),
                Some(&changelog::CUSTOMER) => drop(customers.insert(hash(key), value.is_some())),
                _ => {}
            }
            Ok(())
        })?;
        kept.customers = customers.values().filter(|is_there| **is_there).count() as u64;
        Ok(kept)
    }

    /// Passes every committed record of a partition, up to its current end, to `take`.
    pub(super) fn each(
        &mut self,
        topic: &str,
        partition: i32,
        mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let range = patient(|| self.watermarks.range(topic, partition, ASK))?;
        patient(|| self.reader.start(topic, partition, range.start, range.end))?;
        let (mut last_record, mut count) = (Moment::now(), 0_usize);
        loop {
            match self.reader.poll(Duration::from_millis(100)) {
                Read::Record(record) => {
                    last_record = Moment::now();
                    count += 1;
                    take(record.key().unwrap_or_default(), record.payload())?;
                }
                Read::Done => return Ok(()),
                Read::OutOfRange { reason, .. } => return Err(Failure::Running(reason)),
                Read::Failed(kafka::Failure::Retry(_)) | Read::Nothing | Read::Waiting { .. } => {
                    if last_record.elapsed() > PATIENCE {
                        return Err(Failure::Running(format!(
                            "{topic}[{partition}] cannot be read to its end: no broker answers, or a transaction is open \
                             (kafka-transactions.sh find-hanging --topic {topic} --partition {partition})"
                        )));
                    }
                }
                Read::Failed(failure) => return Err(failure.into()),
            }
            if count.is_multiple_of(ERASE_RECORDS) {
                remain_only_member(&self.consumer)?;
            }
        }
    }
}

/// Customers are counted by a hash of their ids, since there may be many.
fn hash(key: &[u8]) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    BuildHasherDefault::<rustc_hash::FxHasher>::default().hash_one(key)
}
