//! The first records of the topics of a source, mapped and checked as gathering does.

use std::io;

use super::place::At;
use crate::app::{self, Failure};
use crate::cli::history::{SchemaWait, TopicLog};
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::clock::wall_clock;
use crate::codec::{Schemas, WriterSchema};
use crate::gather::{Bounds, Mapper, RecordOf, Refused, needed};
use crate::kafka::Record;
use crate::settings::Loaded;
use crate::sources::{Document, Mapping, Outcome};

/// Reads at most so many records of each topic, from where gathering begins without marks, spread over its partitions, and passes on
/// what becomes of each. Returns what has mapped them.
///
/// # Errors
/// Schemas that cannot be used; no broker; no such topic; a registry that does not answer; and those of `take`.
pub(super) fn read(
    loaded: &Loaded,
    document: &Document,
    mapping: &Mapping,
    most: u32,
    mut take: impl FnMut(&Record<'_>, At<'_>, Result<Outcome<'_>, Refused>) -> io::Result<()>,
) -> Result<Mapper, Stopped> {
    let mut schemas: Schemas<WriterSchema> = app::schemas_of_sources(loaded, document)?;
    let (mut mapper, mut awaiting) = (Mapper::default(), SchemaWait::default());
    let bounds = Bounds::new(&loaded.settings, wall_clock());
    for topic in &mapping.source().topics {
        let mut log = TopicLog::open(&loaded.settings, topic)?;
        let each = i64::from(most.div_ceil(log.count().max(1)));
        let ranges = log
            .partitions()
            .map(|partition| Ok((partition, log.beginning(partition, each, mapping.source().from)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let records = ranges.iter().map(|(_, range)| (range.end - range.start).unsigned_abs()).sum();
        let progress = Progress::of_records(records);
        for (partition, range) in ranges {
            log.read(partition, range, &progress, |record| {
                for key in needed(mapping, record).into_iter().flatten() {
                    awaiting.wait_for(key, &mut schemas, &progress)?;
                }
                let at = At::Topic { topic, partition, offset: record.offset() };
                let of = RecordOf { source: 0, mapping, topic, partition };
                match mapper.map(of, &mut schemas, record, bounds, |outcome, _| Ok(take(record, at, Ok(outcome)))) {
                    Ok(written) => Ok(written?),
                    Err(refused) => Ok(take(record, at, Err(refused))?),
                }
            })?;
        }
        progress.finish();
    }
    Ok(mapper)
}
