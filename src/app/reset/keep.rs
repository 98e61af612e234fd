//! `--from`: the state of every customer is kept, and reading continues elsewhere.

use super::plan::{self, From, Offsets, Step};
use super::{ASK, Part, Reset, Write, patient};
use crate::app::failure::Failure;
use crate::kafka::{Committed, Producer};
use crate::lane::OffsetMark;
use crate::lane::identity;
use crate::store::layout::changelog;
use crate::store::{Recorded, encode_meta, encode_parts};

impl Reset<'_> {
    pub(super) fn plan_to_keep(&mut self, from: From, say: &dyn Fn(&str)) -> Result<Vec<Part>, Failure> {
        let topics = &self.settings.topics;
        let mut parts = Vec::new();
        for partition in self.partitions() {
            say(&format!("reading {}[{partition}]", topics.changelog));
            let kept = self.read(&topics.changelog, partition)?;
            let committed = self.committed(partition)?;
            let name = format!("{}[{partition}]", topics.input);
            let Some(meta) = &kept.meta else {
                if committed.offset.is_some() && !begins_anew(&committed) {
                    return Err(Failure::Configuration(format!(
                        "{name}: {} holds no state that could be kept; use --rebuild",
                        topics.changelog
                    )));
                }
                parts.push(Part { partition, kept, step: Step::Nothing });
                continue;
            };
            if meta.partitions != self.current.partitions {
                let text = identity::repartitioned(&topics.input, self.current.partitions, meta.partitions);
                return Err(Failure::Configuration(text));
            }
            let held = patient(|| self.watermarks.range(&topics.input, partition, ASK))?;
            let at = match from {
                From::At(at) => patient(|| self.watermarks.at_time(&topics.input, partition, at.0, ASK))?,
                From::Stored | From::Earliest | From::Latest => 0,
            };
            let matches = committed.offset.is_none_or(|offset| {
                let mark = OffsetMark::read(&committed.metadata);
                offset == meta.next_offset && mark.is_some_and(|mark| mark.sequence == meta.sequence)
            });
            let offsets = if matches { Offsets::OfTheState } else { Offsets::Other };
            let step = plan::step(meta, &held, &self.current, (from, at), offsets)
                .map_err(|problem| Failure::Configuration(format!("{name}: {problem}")))?;
            parts.push(Part { partition, kept, step });
        }
        Ok(parts)
    }

    /// Everything in one transaction.
    pub(super) fn keep(&self, producer: &mut Producer) -> Result<(), Failure> {
        let mut records = Vec::new();
        let mut offsets = Vec::new();
        let writer = OffsetMark::draw_writer();
        for Part { partition, kept, step } in &self.parts {
            let Some(meta) = &kept.meta else { continue };
            let write = |key: Vec<u8>, value| Write { partition: *partition, key, value };
            let meta = match step {
                Step::Nothing => continue,
                Step::Offset => meta.clone(),
                Step::ReplayFrom { from, .. } => {
                    // The rest of the log may not tell how far stream time had advanced.
                    let advance = Recorded::Advance(meta.stream_time);
                    records.push(write(advance.key(meta.next_offset), Some(advance.value())));
                    plan::replaying_from(meta, *from, &self.current)
                }
                Step::ContinueAt { to, .. } => {
                    // Their positions are those of the previous log.
                    records.extend(kept.recorded.iter().map(|key| write(key.clone(), None)));
                    plan::moved(meta, *to, &self.current)
                }
            };
            if *step != Step::Offset {
                let mut bytes = Vec::new();
                encode_meta(&meta, &mut bytes);
                records.push(write(vec![changelog::META], Some(bytes)));
                // They have not changed, and exist unless an earlier release wrote.
                if !kept.has_parts {
                    records.extend(encode_parts(&meta).into_iter().map(|(key, value)| write(key, Some(value))));
                }
            }
            offsets.push((*partition, meta.next_offset, OffsetMark::new(meta.sequence, writer).text()));
        }
        self.transact(producer, &self.settings.topics.changelog, &records, &offsets)
    }

    fn committed(&self, partition: i32) -> Result<Committed, Failure> {
        let mut found = patient(|| self.consumer.committed(&[partition], ASK))?;
        found.pop().ok_or_else(|| Failure::Running("the group's offsets are not to be had".to_owned()))
    }
}

fn begins_anew(committed: &Committed) -> bool {
    OffsetMark::read(&committed.metadata).is_some_and(OffsetMark::begins_anew)
}
