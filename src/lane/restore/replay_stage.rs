//! Replaying the input from the oldest unflushed change.

use crate::codec::{SchemaKey, Schemas};
use crate::engine::Detail;
use crate::kafka::Record;
use crate::lane::context::Context;
use crate::lane::error::LaneError;
use crate::lane::input::ingest::Replayed;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;

pub(super) struct Replay {
    pub(super) partition: Partition,
    /// Recorded advances before this offset are applied.
    pub(super) advanced: i64,
    pub(super) to: i64,
    /// The schema of the next record, while it is waited for.
    pub(super) missing: Option<SchemaKey>,
}

impl Replay {
    /// Replays records as far as their schemas are known. Their outputs were published before, so none are emitted.
    pub(super) fn replay_records(
        &mut self,
        records: &[Record<'_>],
        schemas: &mut Schemas,
        context: &Context,
        budget: usize,
    ) -> Result<Replayed, LaneError> {
        let Self { partition, advanced, .. } = self;
        let mut no_output = Plan::default();
        partition.mark();
        let customers = records.iter().filter_map(|record| std::str::from_utf8(record.key()?).ok());
        partition.residents.load_missing(customers)?;
        for (number, record) in records.iter().enumerate() {
            if let Some(to) = partition.advance_between(*advanced, record.offset()) {
                partition.advance(to, Detail::None, context, &mut no_output)?;
            }
            *advanced = record.offset() + 1;
            let retaken = partition.replay(record, schemas, context, &mut no_output)?;
            if let Replayed::SchemaMissing(_) = retaken {
                // The schemas of later records are requested at the same time.
                for later in &records[number..] {
                    if let Some((schema, _)) = partition.schema_when_ingested(later, context) {
                        schemas.lookup(schema);
                    }
                }
                return Ok(retaken);
            }
        }
        partition.residents.evict_clean(budget);
        Ok(Replayed::Done)
    }
}
