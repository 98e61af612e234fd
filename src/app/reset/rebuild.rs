//! `--rebuild`: the state is deleted, and everything is recomputed from the input.

use std::collections::BTreeSet;

use super::{ASK, ERASE_RECORDS, Reset, Write, patient};
use crate::app::failure::Failure;
use crate::kafka::Producer;
use crate::lane::OffsetMark;
use crate::lane::identity::NEW_GROUP_NAMES;
use crate::store::layout::changelog;

impl Reset<'_> {
    /// Checks that the input has at least as many partitions as every output topic.
    pub(super) fn check_rebuild(&self) -> Result<(), Failure> {
        let partitions = self.current.partitions.cast_signed();
        for name in self.settings.topics.outputs() {
            let found = patient(|| self.admin.identity(name, ASK))?;
            if let Some((_, there)) = found.filter(|(_, there)| *there > partitions) {
                return Err(Failure::Configuration(format!(
                    "topic {name} has {there} partitions and the input {partitions}, and partitions cannot be removed; start \
                     over with {NEW_GROUP_NAMES}"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn rebuild(&mut self, producer: &mut Producer, say: &dyn Fn(&str)) -> Result<(), Failure> {
        let settings = self.settings;
        let topics = &settings.topics;
        let writer = OffsetMark::draw_writer();
        let mut offsets = Vec::new();
        for partition in self.partitions() {
            offsets.push((partition, patient(|| self.watermarks.range(&topics.input, partition, ASK))?.start));
        }
        let marked = |mark: &str| -> Vec<(i32, i64, String)> {
            offsets.iter().map(|(partition, offset)| (*partition, *offset, mark.to_owned())).collect()
        };
        let begun = marked(OffsetMark::REBUILD);
        let count = |found: Option<(Option<String>, i32)>| found.map_or(0, |(_, partitions)| partitions);
        let written = count(patient(|| self.admin.identity(&topics.changelog, ASK))?);
        let metas: Vec<_> =
            (0..written).map(|partition| Write { partition, key: vec![changelog::META], value: None }).collect();
        self.transact(producer, &topics.changelog, &metas, &begun)?;
        for topic in [&topics.changelog, &topics.members, &topics.summaries] {
            let there = count(patient(|| self.admin.identity(topic, ASK))?);
            for partition in 0..there {
                say(&format!("deleting the contents of {topic}[{partition}]"));
                self.erase(producer, topic, partition, &begun)?;
            }
        }
        let partitions = self.current.partitions.cast_signed();
        for name in topics.outputs() {
            let found = patient(|| self.admin.identity(name, ASK))?;
            if found.is_some_and(|(_, there)| there < partitions) {
                say(&format!("raising {name} to {partitions} partitions"));
                patient(|| self.admin.add_partitions(name, partitions, ASK))?;
            }
        }
        let done = marked(&OffsetMark::new(0, writer).text());
        self.transact(producer, &topics.changelog, &[], &done)
    }

    /// Deletes everything in a partition of a compacted topic.
    pub(super) fn erase(
        &mut self,
        producer: &mut Producer,
        topic: &str,
        partition: i32,
        offsets: &[(i32, i64, String)],
    ) -> Result<(), Failure> {
        let mut alive = BTreeSet::new();
        self.each(topic, partition, |key, value| {
            if value.is_some() {
                alive.insert(key.to_vec());
            } else {
                alive.remove(key);
            }
            Ok(())
        })?;
        let keys: Vec<Vec<u8>> = alive.into_iter().collect();
        for keys in keys.chunks(ERASE_RECORDS) {
            let records: Vec<_> = keys.iter().map(|key| Write { partition, key: key.clone(), value: None }).collect();
            self.transact(producer, topic, &records, offsets)?;
        }
        Ok(())
    }
}
