//! Training the churn model on the samples of all partitions.

use std::sync::Arc;

use crate::engine::{Parameters, Sample, Trainer};
use crate::lane::context::Context;
use crate::lane::versions::rulebook::Version;

/// The samples for one version of the rules, as far as they are read.
pub(super) struct Training {
    version: Arc<Version>,
    /// None without `[churn]`.
    trainer: Option<Trainer>,
    /// A sample was added since the last training.
    has_new_samples: bool,
    /// The parameters that [`parameters`](Self::parameters) returned last.
    last_returned: Option<Parameters>,
}

impl Training {
    pub(super) fn new(version: Arc<Version>) -> Self {
        let trainer = version.rules.churn.as_ref().map(Trainer::new);
        Self { version, trainer, has_new_samples: false, last_returned: None }
    }

    /// Switches to new rules. The samples are kept if the new rules take the same ones. False: they must be read again.
    pub(super) fn switch_to(&mut self, version: Arc<Version>) -> bool {
        let (old, new) = (&self.version.rules, &version.rules);
        let is_alike = old.sampled_from() == new.sampled_from();
        let kept = new.churn.as_ref().zip(self.trainer.take().filter(|_| is_alike));
        let kept = kept.and_then(|(churn, trainer)| trainer.for_rules(churn));
        let is_complete = new.churn.is_none() || kept.is_some();
        let has_new_samples = kept.is_some();
        let fresh = Self::new(Arc::clone(&version));
        *self = Self { trainer: kept.or(fresh.trainer), has_new_samples, version, last_returned: None };
        is_complete
    }

    pub(in crate::lane) fn add(&mut self, partition: u32, sample: Sample) {
        if let Some(trainer) = &mut self.trainer {
            trainer.add(partition, sample);
            self.has_new_samples = true;
        }
    }

    /// New parameters, from the newest week of which all partitions have published samples. Their version is the number
    /// of that week, so that every process computes the same version from the same samples.
    pub(super) fn parameters(&mut self, context: &Context) -> Option<Parameters> {
        if !std::mem::take(&mut self.has_new_samples) {
            return None;
        }
        let (churn, trainer) = self.version.rules.churn.as_ref().zip(self.trainer.as_mut())?;
        let trained = trainer.train(churn, &self.version.rules.calendar())?;
        let parameters = trained.parameters(u32::try_from(trained.week).unwrap_or(0));
        if self.last_returned.is_some_and(|last| last.version >= parameters.version) {
            return None;
        }
        self.last_returned = Some(parameters);
        if let Some(quality) = &trained.quality {
            context.metrics.churn_quality(quality.auc, quality.brier, quality.ece);
        }
        Some(parameters)
    }
}
