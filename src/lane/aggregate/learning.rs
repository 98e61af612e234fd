//! The parameters of the model of churn, from the samples of all partitions.

use std::sync::Arc;

use crate::engine::{Parameters, Sample, Trainer};
use crate::lane::context::Context;
use crate::lane::edits::rulebook::Version;

/// The samples for one version of the rules, as far as they were read.
pub(in crate::lane) struct Learning {
    version: Arc<Version>,
    /// None without `[churn]`.
    learner: Option<Trainer>,
    /// Something came since the last look.
    is_fresh: bool,
    found: Option<Parameters>,
}

impl Learning {
    pub(in crate::lane) fn new(version: Arc<Version>) -> Self {
        let learner = version.rules.churn.as_ref().map(Trainer::new);
        Self { version, learner, is_fresh: false, found: None }
    }

    /// Other rules. What was sampled for the old ones is of use if these take the same samples. False: the samples must be
    /// read again.
    pub(in crate::lane) fn follow(&mut self, version: Arc<Version>) -> bool {
        let (old, new) = (&self.version.rules, &version.rules);
        let is_alike = old.sampled_from() == new.sampled_from();
        let kept = new.churn.as_ref().zip(self.learner.take().filter(|_| is_alike));
        let kept = kept.and_then(|(churn, learner)| learner.for_rules(churn));
        let is_complete = new.churn.is_none() || kept.is_some();
        let is_fresh = kept.is_some();
        let anew = Self::new(Arc::clone(&version));
        *self = Self { learner: kept.or(anew.learner), is_fresh, version, found: None };
        is_complete
    }

    pub(in crate::lane) fn take(&mut self, partition: u32, sample: Sample) {
        if let Some(learner) = &mut self.learner {
            learner.add(partition, sample);
            self.is_fresh = true;
        }
    }

    /// The parameters for the newest week of which all partitions have told, if they were not found yet. Their version is
    /// the number of that week, so that whoever works them out finds the same for the same.
    pub(in crate::lane) fn parameters(&mut self, context: &Context) -> Option<Parameters> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let (churn, learner) = self.version.rules.churn.as_ref().zip(self.learner.as_mut())?;
        let learnt = learner.train(churn, &self.version.rules.calendar())?;
        let parameters = learnt.parameters(u32::try_from(learnt.week).unwrap_or(0));
        if self.found.is_some_and(|found| found.version >= parameters.version) {
            return None;
        }
        self.found = Some(parameters);
        if let Some(quality) = &learnt.quality {
            context.metrics.churn_quality(quality.auc, quality.brier, quality.ece);
        }
        Some(parameters)
    }
}
