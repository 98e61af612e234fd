//! Training the churn model on the samples of all partitions.

use std::sync::Arc;

use crate::engine::{Parameters, Sample, Trainer};
use crate::lane::context::Context;
use crate::lane::versions::rulebook::Version;

/// The samples for one version of the rules, as far as they are read.
pub(super) struct Training {
    version: Arc<Version>,
    /// None without `[churn]`.
    learner: Option<Trainer>,
    /// A sample came since the last call.
    is_fresh: bool,
    found: Option<Parameters>,
}

impl Training {
    pub(super) fn new(version: Arc<Version>) -> Self {
        let learner = version.rules.churn.as_ref().map(Trainer::new);
        Self { version, learner, is_fresh: false, found: None }
    }

    /// Switches to new rules. The samples are kept if the new rules take the same ones. False: they must be read again.
    pub(super) fn switch_to(&mut self, version: Arc<Version>) -> bool {
        let (old, new) = (&self.version.rules, &version.rules);
        let is_alike = old.sampled_from() == new.sampled_from();
        let kept = new.churn.as_ref().zip(self.learner.take().filter(|_| is_alike));
        let kept = kept.and_then(|(churn, learner)| learner.for_rules(churn));
        let is_complete = new.churn.is_none() || kept.is_some();
        let is_fresh = kept.is_some();
        let fresh = Self::new(Arc::clone(&version));
        *self = Self { learner: kept.or(fresh.learner), is_fresh, version, found: None };
        is_complete
    }

    pub(in crate::lane) fn add(&mut self, partition: u32, sample: Sample) {
        if let Some(learner) = &mut self.learner {
            learner.add(partition, sample);
            self.is_fresh = true;
        }
    }

    /// New parameters, from the newest week of which all partitions have published samples. Their version is the number
    /// of that week, so that every process computes the same version from the same samples.
    pub(super) fn parameters(&mut self, context: &Context) -> Option<Parameters> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let (churn, learner) = self.version.rules.churn.as_ref().zip(self.learner.as_mut())?;
        let trained = learner.train(churn, &self.version.rules.calendar())?;
        let parameters = trained.parameters(u32::try_from(trained.week).unwrap_or(0));
        if self.found.is_some_and(|found| found.version >= parameters.version) {
            return None;
        }
        self.found = Some(parameters);
        if let Some(quality) = &trained.quality {
            context.metrics.churn_quality(quality.auc, quality.brier, quality.ece);
        }
        Some(parameters)
    }
}
