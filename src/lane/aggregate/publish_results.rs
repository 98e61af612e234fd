//! Publishing what follows from the summaries of all partitions, in the lane of partition 0.

use crate::lane::aggregate::unpublished::Unpublished;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::summaries::role::PUBLISHER_PARTITION;
use crate::store::KeyValue;

impl Lane {
    /// Publishes the results, if partition 0 is running here. Those of a day are published once, with its forecasts.
    pub(in crate::lane) fn publish_results(&mut self, plan: &mut Plan) {
        if !self.owns(PUBLISHER_PARTITION) {
            self.context.role.release(self.number);
            // The present owner of the partition has newer ones.
            self.unpublished = Unpublished::default();
            return;
        }
        self.context.role.take(self.number);
        let Some(partition) = self.partitions.get_mut(&PUBLISHER_PARTITION) else { return };
        let Unpublished { records, whole } = std::mem::take(&mut self.unpublished);
        let mut records: Vec<KeyValue> = records.into_iter().collect();
        if let Some(whole) = whole {
            let is_later = partition.migrating.is_some() || partition.rules.number < whole.version;
            if is_later {
                self.unpublished.whole = Some(whole);
            } else if partition.rules.number == whole.version && whole.day > partition.last_surveys.forecast {
                partition.begin();
                partition.last_surveys.forecast = whole.day;
                let record = |forecast| {
                    self.context.record_encoder.forecast_record(&forecast, &whole.overview.day, PUBLISHER_PARTITION)
                };
                plan.records.extend(whole.overview.forecasts().map(record));
                records.extend(whole.records.iter().cloned());
            }
        }
        if records.is_empty() {
            return;
        }
        partition.begin();
        for (key, value) in records {
            plan.records.push(partition.summary(&key, value));
        }
    }
}
