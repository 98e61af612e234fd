//! Looking through customers in a lane, a share in each turn: whatever the number of partitions, a turn stays as short.

use std::sync::Arc;

use crate::lane::commit::plan::Plan;
use crate::lane::error::LaneError;
use crate::lane::lane::Lane;
use crate::lane::partition::state::Partition;

/// Customers that a lane looks at in one turn, sweeps and surveys together: some 20 ms.
const LOOK_MAX: usize = 1_000;
/// Surveys that are published in one turn: at 600 cohorts one may come to a megabyte.
const SURVEYS_MAX: usize = 4;

impl Lane {
    /// Goes on with sweeps, then with surveys. One partition after another is surveyed: each takes memory for all cohorts.
    /// A partition that could not be looked through goes to `failed`.
    pub(in crate::lane) fn look_through(&mut self, plan: &mut Plan, failed: &mut Vec<(i32, LaneError)>) {
        let context = Arc::clone(&self.context);
        let mut left = LOOK_MAX;
        for partition in self.partitions.values_mut().filter(|partition| partition.is_sweeping()) {
            if left == 0 || self.size.is_reached(plan) {
                return;
            }
            match partition.sweep_on(&context, left, plan) {
                Ok(looked) => left -= looked,
                Err(error) => failed.push((partition.number, error.into())),
            }
        }
        let first = self.partitions.values().find(|partition| partition.is_surveying()).map(|p| p.number);
        let mut surveyed = 0;
        for partition in self.partitions.range_mut(first.unwrap_or(i32::MIN)..).map(|(_, partition)| partition) {
            if left == 0 || surveyed == SURVEYS_MAX || self.size.is_reached(plan) {
                break;
            }
            let before = partition.surveyed;
            match partition.survey_on(&context, left, plan) {
                Ok(looked) => left -= looked,
                Err(error) => failed.push((partition.number, error.into())),
            }
            if partition.is_surveying() {
                break;
            }
            surveyed += usize::from(partition.surveyed != before);
        }
    }

    /// Is there more to look at, so that the lane should not wait for input?
    pub(in crate::lane) fn is_looking(&self) -> bool {
        let looks = |p: &Partition| p.is_sweeping() || p.is_surveying() || p.is_taking_up() || p.is_overdue();
        self.partitions.values().any(looks)
    }
}
