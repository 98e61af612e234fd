//! The first records of the topics of a source, mapped as gathering does.

use std::io::Write;

use super::attempt::{At, Attempt};
use crate::app::{self, Failure};
use crate::cli::history::{SchemaWait, TopicLog};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{Schemas, WriterSchema};
use crate::gather::{Mapper, RecordOf, Refused, needed};
use crate::kafka::Record;
use crate::settings::Loaded;
use crate::sources::{AvroReader, Mapping};

/// Reads at most so many records of each topic, from where `run` would begin, spread over its partitions.
///
/// # Errors
/// Schemas that cannot be used; no broker; no such topic; a registry that does not answer.
pub(super) fn read<W: Write>(
    loaded: &Loaded,
    mapping: &Mapping,
    most: u32,
    attempt: &mut Attempt<'_, '_, W>,
) -> Result<(), Stopped> {
    let schemas: Schemas<WriterSchema> = app::schemas(loaded)?;
    let mut reading = Reading { mapping, mapper: Mapper::default(), schemas, awaiting: SchemaWait::default() };
    for topic in &mapping.source().topics {
        let mut log = TopicLog::open(&loaded.settings, topic)?;
        let each = i64::from(most.div_ceil(log.count().max(1)));
        let ranges = log
            .partitions()
            .map(|partition| Ok((partition, log.beginning(partition, each)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let records = ranges.iter().map(|(_, range)| (range.end - range.start).unsigned_abs()).sum();
        let progress = Progress::of_records(records);
        for (partition, range) in ranges {
            log.read(partition, range, &progress, |record| reading.one(topic, partition, record, &progress, attempt))?;
        }
        progress.finish();
    }
    let absent = reading.mapper.readers().flat_map(AvroReader::absent);
    attempt.tally.absent.extend(absent.map(|absent| (absent.path.clone(), absent.instead.clone())));
    Ok(())
}

struct Reading<'m> {
    mapping: &'m Mapping,
    mapper: Mapper,
    schemas: Schemas<WriterSchema>,
    awaiting: SchemaWait,
}

impl Reading<'_> {
    fn one<W: Write>(
        &mut self,
        topic: &str,
        partition: i32,
        record: &Record<'_>,
        progress: &Progress,
        attempt: &mut Attempt<'_, '_, W>,
    ) -> Result<(), Stopped> {
        for key in needed(self.mapping, record).into_iter().flatten() {
            self.awaiting.wait_for(key, &mut self.schemas, progress)?;
        }
        let at = At::Topic { topic, partition, offset: record.offset() };
        let of = RecordOf { source: 0, mapping: self.mapping, topic, partition };
        let mapped = self.mapper.map(of, &mut self.schemas, record, |outcome, _| Ok(attempt.outcome(outcome, at)));
        match mapped {
            Ok(written) => Ok(written?),
            Err(Refused { reason, detail }) => {
                attempt.tally.read += 1;
                attempt.tally.refuse_for(reason, detail, 1, || at.to_string());
                Ok(())
            }
        }
    }
}
