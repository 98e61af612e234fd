//! Scans over all customers of a lane, a share in each turn, so that a turn stays short whatever the number of
//! partitions.

use std::sync::Arc;

use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::output::plan::Plan;
use crate::lane::partition::state::Partition;

/// Customers that a lane scans in one turn, in sweeps and surveys together: some 20 ms.
const LOOK_MAX: usize = 1_000;
/// Surveys that are published in one turn: at 600 cohorts one may come to a megabyte.
const SURVEYS_MAX: usize = 4;

impl Lane {
    /// Goes on with sweeps, then with surveys. Partitions are surveyed one after another, since each survey takes
    /// memory for all cohorts. A partition that could not be scanned goes to `failed`.
    pub(in crate::lane) fn continue_scans(&mut self, plan: &mut Plan, failed: &mut Vec<(i32, LaneError)>) {
        let context = Arc::clone(&self.context);
        let mut left = LOOK_MAX;
        for partition in self.partitions.values_mut().filter(|partition| partition.is_sweeping()) {
            if left == 0 || self.plan_size.is_full(plan) {
                return;
            }
            match partition.continue_sweep(&context, left, plan) {
                Ok(looked) => left -= looked,
                Err(error) => failed.push((partition.number, error.into())),
            }
        }
        let first = self.partitions.values().find(|partition| partition.is_surveying()).map(|p| p.number);
        let mut surveyed = 0;
        for partition in self.partitions.range_mut(first.unwrap_or(i32::MIN)..).map(|(_, partition)| partition) {
            if left == 0 || surveyed == SURVEYS_MAX || self.plan_size.is_full(plan) {
                break;
            }
            let before = partition.last_surveys;
            match partition.continue_survey(&context, left, plan) {
                Ok(looked) => left -= looked,
                Err(error) => failed.push((partition.number, error.into())),
            }
            if partition.is_surveying() {
                break;
            }
            surveyed += usize::from(partition.last_surveys != before);
        }
    }

    /// Is there work other than input, so that the lane should not wait for records?
    pub(in crate::lane) fn has_background_work(&self) -> bool {
        let looks = |p: &Partition| p.is_sweeping() || p.is_surveying() || p.is_applying_thresholds() || p.is_overdue();
        self.partitions.values().any(looks)
    }
}
